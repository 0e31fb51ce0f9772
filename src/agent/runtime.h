/* The fixed table of command lines: what magpie-init is told to run for each runtime. The first word
 * names the contract: "shim" runs one process that speaks the worker protocol, "exec" runs one process
 * an invocation; "park" waits for a BOOT that names another command line. */
#pragma once

#include "wire/agent_protocol.h"

#include <stdbool.h>

#define RUNTIME_ARGUMENTS_MAX 12

/* Can it be started before its function is known? */
bool runtime_can_park(enum agent_runtime runtime);
/* Would the program look at this variable ("NAME=value") before a shim could set it? */
bool runtime_is_early(const char *assignment);

/* Fills magpie-init's arguments, NULL-terminated. `program` is "/code/<handler>"; the strings are
 * lent. */
void runtime_arguments(enum agent_runtime runtime, const char *program,
                       const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
/* For a sandbox whose interpreter comes from the nursery. */
void runtime_adopting_arguments(const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
/* The same for a sandbox that is to wait for its function: `runtime`'s interpreter where that can
 * park, else 0: magpie-init alone. */
void runtime_parked_arguments(enum agent_runtime runtime,
                              const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
