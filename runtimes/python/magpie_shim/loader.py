"""From MAGPIE_HANDLER to a callable, or REFUSED with the reason as Python itself would print it."""

import sys


def _refuse(text):
    from posix import _exit

    from . import frame, logs

    logs.flush()
    frame.send(frame.REFUSED, 0, 0, 0, b"", text.encode("utf-8", "backslashreplace")[-60000:])
    _exit(1)


def _bundle_files(code):
    import os

    return ", ".join(sorted(name for name in os.listdir(code) if name.endswith(".py"))) or "none"


def _split(handler):
    """'pkg/file.function' and 'pkg.file.function' -> ('pkg.file', 'function')."""
    module, _, function = handler.removesuffix("()").rpartition(".")
    module = module.replace("/", ".").strip(".")
    if not module or not function:
        _refuse(f"The handler '{handler}' is not of the form file.function, such as main.handler.\n")
    return module, function


def _import(module):
    __import__(module)
    return sys.modules[module]


def load(code, handler, verify):
    import builtins

    sys.path.insert(0, code)
    builtins.exit = builtins.quit = sys.exit  # `site` would bring them; it costs more than it is worth
    module_name, function_name = _split(handler)
    try:
        if verify:
            from . import verify as verification

            problems = verification.compile_all(code)
            if problems:
                _refuse(problems)
        module = _import(module_name)
    except SystemExit as error:
        _refuse(f"The module '{module_name}' called sys.exit({error.code!r}) while it was loaded.\n")
    except BaseException as error:
        from . import failure

        text = failure.traceback_text(error)
        if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or "\0"):
            text += (
                f"The handler is '{handler}', so the bundle needs {module_name.replace('.', '/')}.py;"
                f" the Python files at its top are: {_bundle_files(code)}.\n"
            )
        _refuse(text)

    function = getattr(module, function_name, None)
    if function is None:
        there = [name for name, value in vars(module).items() if _is_own_function(value, module)]
        _refuse(
            f"The module '{module_name}' has no '{function_name}', which the handler '{handler}' names;"
            f" its functions are: {', '.join(there) or 'none'}.\n"
        )
    if not callable(function):
        _refuse(f"'{handler}' is no function but {function!r:.200}.\n")
    return function


def _is_own_function(value, module):
    return callable(value) and getattr(value, "__module__", None) == module.__name__
