"""The check at registration: does every source of the bundle compile?"""

import os


def _installed_files(code):
    """What pip installed into the bundle. Packages may ship files that are not meant to compile."""
    installed = set()
    for entry in os.listdir(code):
        record = os.path.join(code, entry, "RECORD")
        if entry.endswith(".dist-info") and os.path.isfile(record):
            with open(record, encoding="utf-8", errors="replace") as lines:
                installed.update(line.split(",", 1)[0].strip('"') for line in lines)
    return installed


def _sources(code):
    for folder, folders, files in os.walk(code):
        folders[:] = sorted(set(folders) - {"__pycache__", "site-packages"})
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(folder, name), code)


def compile_all(code):
    """The compiler's words about every source that it refuses; "" when all is well."""
    from . import failure

    installed = _installed_files(code)
    problems = []
    for path in _sources(code):
        if path in installed:
            continue
        with open(os.path.join(code, path), "rb") as file:
            source = file.read()
        try:
            compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            problems.append(failure.compile_text(error, path))
    return "".join(problems)
