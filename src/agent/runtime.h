/* The fixed table of command lines: what magpie-init is told to run for each runtime. */
#pragma once

#include "wire/agent_protocol.h"

#define RUNTIME_ARGUMENTS_MAX 12

/* Fills magpie-init's arguments, NULL-terminated. `program` is "/code/<handler>"; the strings are
 * lent. */
void runtime_arguments(enum agent_runtime runtime, const char *program,
                       const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
