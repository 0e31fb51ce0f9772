#!/usr/bin/python3
"""Writes the C source of embedded.h's table.

usage: embed.py OUTPUT DEPFILE PROGRAM LIBRARY... RUNTIMES

PROGRAM (magpie-init) becomes "init"; a LIBRARY is its language's, python's (.so) or node's (.node);
every file below RUNTIMES/python and RUNTIMES/node keeps its path, documentation and tests apart.
Python's modules come compiled as well, so that a cold start need not do it: for the interpreter that
runs this script, which is the one that sandboxes run. The cache is of the unchecked kind, because the
files' times mean nothing in a sandbox.
"""
import importlib.util
import pathlib
import py_compile
import sys
import tempfile

LANGUAGES = {".so": "python", ".node": "node"}
LEFT_BEHIND = {"__pycache__", "test", "tests", "README.md"}


def shims(runtimes):
    for language in ("python", "node"):
        for path in sorted((runtimes / language).rglob("*")):
            name = path.relative_to(runtimes)
            if path.is_file() and not LEFT_BEHIND.intersection(name.parts):
                yield name.as_posix(), path


def compiled(name, path):
    cached = importlib.util.cache_from_source(name)
    with tempfile.NamedTemporaryFile(suffix=".pyc") as output:
        py_compile.compile(str(path), cfile=output.name, dfile=f"/magpie/{name}", doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        return cached, pathlib.Path(output.name).read_bytes()


def main():
    output, depfile, program, *libraries, runtimes = map(pathlib.Path, sys.argv[1:])
    sources = [program, *libraries]
    files = [("init", 0o555, program.read_bytes())]
    for library in libraries:
        language = LANGUAGES[library.suffix]
        files.append((f"{language}/{library.name}", 0o444, library.read_bytes()))
    for name, path in shims(runtimes):
        sources.append(path)
        files.append((name, 0o444, path.read_bytes()))
        if path.suffix == ".py":
            cached, data = compiled(name, path)
            files.append((cached, 0o444, data))

    lines = ['#include "agent/embedded.h"', ""]
    for number, (_, _, data) in enumerate(files):
        # An empty array is no C.
        text = ",".join(map(str, data)) or "0"
        lines.append(f"static const unsigned char file_{number}[] = {{{text}}};")
    lines.append("const struct embedded_file embedded_files[] = {")
    for number, (name, mode, data) in enumerate(files):
        lines.append(f'        {{"{name}", 0{mode:o}, file_{number}, {len(data)}}},')
    lines.append("};")
    lines.append(f"const size_t embedded_file_count = {len(files)};")
    output.write_text("\n".join(lines) + "\n")

    # The folders too, so that a new file is noticed.
    folders = {path.parent for path in sources[1 + len(libraries):]} | {
        runtimes / language for language in ("python", "node") if (runtimes / language).is_dir()}
    needed = [str(path) for path in [*sources, *sorted(folders)]]
    depfile.write_text(f"{output}: {' '.join(needed)}\n")


main()
