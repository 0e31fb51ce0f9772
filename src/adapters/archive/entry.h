/* The entry of a bundle: which function of which file is called, or which program runs. */
#pragma once

#include "adapters/archive/bundle.h"

/* Checks the handler that the user gave, or chooses one where it is "".
 *
 * python3, node: `file.function`; `file` with .py, or with .js, .mjs or .cjs, must be there.
 * Chosen: main.handler, index.handler, else the only source file's `handler`. native, exec: the
 * path of a program in the bundle. Chosen: the only file, else main, bootstrap, or the function's
 * name. For native it must be an ELF program that this machine can run, for exec that or a script
 * that begins with #!.
 *
 * `ret_handler` holds HANDLER_MAX_LENGTH + 1 bytes. */
enum bundle_result bundle_choose_entry(struct bundle_store *store, const char *staging,
                                       enum runtime runtime, const char *handler,
                                       const char *function_name, char *ret_handler,
                                       struct err *err);
