"""From MAGPIE_HANDLER to a callable, or REFUSED with the reason as Python itself would print it."""

import sys

from . import frame, logs, worker

_REFUSED_MAX = 60000
_CODE_IS_ASYNC = 0x80 | 0x200  # inspect.CO_COROUTINE, CO_ASYNC_GENERATOR


def _refuse(text):
    logs.flush()
    text = text.encode("utf-8", "backslashreplace")
    frame.send(frame.REFUSED, 0, 0, 0, b"", text[-_REFUSED_MAX:])  # the end says what it was
    worker._exit(1)


def _bundle_files(code):
    import os

    return ", ".join(sorted(name for name in os.listdir(code) if name.endswith(".py"))) or "none"


def _split(handler):
    """'pkg/file.function' and 'pkg.file.function' -> ('pkg.file', 'function')."""
    module, _, function = handler.rpartition(".")
    module = module.replace("/", ".").strip(".")
    if not module or not function:
        _refuse(f"The handler '{handler}' is not of the form file.function, like main.handler.\n")
    return module, function


def _verify(code):
    from . import verify

    problems = verify.compile_all(code)
    if problems:
        _refuse(problems)


def _import(module, handler, code):
    try:
        __import__(module)
        return sys.modules[module]
    except SystemExit as error:
        _refuse(f"The module '{module}' called sys.exit({error.code!r}) while it was loaded.\n")
    except BaseException as error:
        from . import failure

        text = failure.traceback_text(error)
        if isinstance(error, ModuleNotFoundError) and module == error.name:
            text += (
                f"The handler is '{handler}', so the bundle needs {module.replace('.', '/')}.py;"
                f" the Python files at its top are: {_bundle_files(code)}.\n"
            )
        _refuse(text)


def _pick(module, name, handler):
    function = getattr(module, name, None)
    if callable(function):
        return function
    if function is not None:
        _refuse(f"'{handler}' is no function but {function!r:.200}.\n")
    own = [
        each
        for each, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    _refuse(
        f"The module '{module.__name__}' has no '{name}', which the handler '{handler}' names;"
        f" its functions are: {', '.join(own) or 'none'}.\n"
    )


def is_asynchronous(function):
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & _CODE_IS_ASYNC)


def _layer_folders():
    """Where layers have modules: behind the function's own, before Python's."""
    layers = worker.variable(b"MAGPIE_LAYERS")
    if not layers:
        return []
    major, minor = sys.version_info[:2]
    return [f"{layers}/python/lib/python{major}.{minor}/site-packages", f"{layers}/python"]


def load(code, handler):
    import builtins

    # `site` would bring them, and costs more than the rest of the start.
    builtins.exit = builtins.quit = sys.exit
    sys.path[:0] = [code, *_layer_folders()]
    module, name = _split(handler)
    if worker.variable(b"MAGPIE_VERIFY") == "1":
        _verify(code)
    function = _pick(_import(module, handler, code), name, handler)
    if is_asynchronous(function):
        __import__("asyncio")  # takes long: better now than in the first request
    return function
