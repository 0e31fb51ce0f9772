/* The entry of a bundle: which function of which file is called, or which program runs. */
#pragma once

#include "adapters/archive/content.h"

/* What a single file is called in its bundle, so that the handler will find it: after the handler
 * that was given, else main.py, main.js (main.mjs where it looks like a module), or the function's
 * name. `ret_name` holds HANDLER_MAX_LENGTH + 8 bytes. */
void entry_file_name(const struct function *function, struct slice code, char *ret_name);

/* Checks function->handler against an unpacked bundle, or chooses one where it is "", and writes
 * it.
 *
 * python3, node: `file.function`; `file` with .py, or with .js, .mjs or .cjs, must be there.
 * Chosen: main.handler, index.handler, else the only source file's `handler`.
 *
 * native, exec: the path of a program in the bundle. Chosen: the only file, else main, bootstrap,
 * or the function's name. For native it must be an ELF program that this machine can run, for exec
 * that or a script whose first line names an interpreter. */
enum stage_result entry_choose(int root_fd, struct function *function, struct err *err);
