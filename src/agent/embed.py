#!/usr/bin/env python3
"""Writes the C source of embedded.h's table.

usage: embed.py OUTPUT DEPFILE PROGRAM RUNTIMES

PROGRAM (magpie-init) becomes "init"; every file below RUNTIMES/python and RUNTIMES/node keeps its
path. Documentation, tests and hidden or compiled files stay behind.
"""
import pathlib
import sys

LEFT_BEHIND = {".md", ".pyc"}


def shims(runtimes):
    for language in ("python", "node"):
        for path in sorted((runtimes / language).rglob("*")):
            parts = path.relative_to(runtimes).parts
            hidden = any(part.startswith((".", "__", "test")) for part in parts)
            if path.is_file() and not hidden and path.suffix not in LEFT_BEHIND:
                yield path.relative_to(runtimes).as_posix(), path


def main():
    output, depfile, program, runtimes = map(pathlib.Path, sys.argv[1:])
    files = [("init", 0o555, program)]
    files += [(name, 0o444, path) for name, path in shims(runtimes)]

    lines = ['#include "agent/embedded.h"', ""]
    for number, (_, _, path) in enumerate(files):
        text = ",".join(map(str, path.read_bytes()))
        lines.append(f"static const unsigned char file_{number}[] = {{{text}}};")
    lines.append("const struct embedded_file embedded_files[] = {")
    for number, (name, mode, _) in enumerate(files):
        lines.append(f'        {{"{name}", 0{mode:o}, file_{number}, sizeof(file_{number})}},')
    lines.append("};")
    lines.append(f"const size_t embedded_file_count = {len(files)};")
    output.write_text("\n".join(lines) + "\n")

    folders = [path for path in (runtimes / "python", runtimes / "node") if path.is_dir()]
    needed = [str(path) for path in [*(file[2] for file in files), *folders]]
    depfile.write_text(f"{output}: {' '.join(needed)}\n")


main()
