"""Parts of the machine that runs the tests as parts of images: a program with the libraries that it is
linked to, a folder with all that is in it."""
import fnmatch
import os
import pathlib
import re
import subprocess

LIBRARY = re.compile(r"(?:=> )?(/[^ ]+) \(0x[0-9a-f]+\)")


def libraries(path):
    """The paths at which the dynamic linker finds what a program is linked to, itself included."""
    output = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, check=False).stdout  # a static one is an error to it
    return LIBRARY.findall(output)


def add_program(layer, path, name):
    """The program at `path` as `name`, and its libraries where they are."""
    layer.file(name.lstrip("/"), pathlib.Path(path).read_bytes(), 0o755)
    for library in libraries(path):
        layer.file(library.lstrip("/"), pathlib.Path(library).read_bytes(), 0o755)
    return layer


def add_folder(layer, folder, name=None, without=()):
    """All files in `folder`, if it is there, as `name`; links as what they lead to."""
    name = (name or str(folder)).strip("/")
    for at, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [each for each in folders
                      if not any(fnmatch.fnmatch(each, pattern) for pattern in without)]
        below = os.path.relpath(at, folder)
        for each in files:
            path = pathlib.Path(at, each)
            layer.file(os.path.normpath(f"{name}/{below}/{each}"), path.read_bytes(),
                       0o755 if os.access(path, os.X_OK) else 0o644)
    return layer
