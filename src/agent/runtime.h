/* The fixed table of command lines: what magpie-init is told to run for each runtime. The first word
 * names the contract: "shim" runs one process that speaks the worker protocol, "exec" runs one process
 * an invocation, "http" and "lambda" run one and speak its language; "in" changes to a folder first;
 * "park" waits for a BOOT that names another command line. */
#pragma once

#include "agent/slots.h"
#include "wire/agent_protocol.h"

#include <stdbool.h>

#define RUNTIME_ARGUMENTS_MAX 12

/* Can it be started before its function is known? */
bool runtime_can_park(enum agent_runtime runtime);
/* Would the program look at this variable ("NAME=value") before a shim could set it? */
bool runtime_is_early(const char *assignment);

/* What BOOT tells magpie-init to run: an image's program in its folder, or one of the table's. */
struct runtime_command {
        const char *words[AGENT_WORDS_MAX + 5]; /* NULL-terminated; of the request and our own */
        char program[sizeof("/code/") + AGENT_HANDLER_MAX];
        char port[12];
};

/* None where an interpreter waits in the sandbox: it is told the environment alone. */
void runtime_command_make(struct runtime_command *ret_command, const struct agent_spawn *request,
                          bool has_interpreter);
/* What a sandbox for this request alone is parked with: nothing, a fork of its interpreter, or an
 * empty root. */
enum agent_runtime runtime_parked(enum agent_runtime runtime, bool adopts);
/* Who the function is inside. */
struct slot_ids runtime_ids(const struct agent_spawn *request);
/* For a sandbox whose interpreter comes from the nursery. */
void runtime_adopting_arguments(const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
/* The same for a sandbox that is to wait for its function: `runtime`'s interpreter where that can
 * park, else 0: magpie-init alone. */
void runtime_parked_arguments(enum agent_runtime runtime,
                              const char *ret_arguments[RUNTIME_ARGUMENTS_MAX]);
