/* The environment of a sandbox: nothing of the host's, everything of the request's. */
#pragma once

#include "wire/agent_protocol.h"

#define ENVIRONMENT_OWN_MAX 5 /* variables the agent adds */

/* Where programs are searched. */
#define ENVIRONMENT_PATH "PATH=/usr/local/bin:/usr/bin:/bin"

struct environment {
        const char *variables[AGENT_ENV_MAX + ENVIRONMENT_OWN_MAX + 1]; /* NULL-terminated */
        char handler[sizeof("MAGPIE_HANDLER=") + AGENT_HANDLER_MAX];
};

/* For a program that is started before its function is known: what is everybody's, and of `early`
 * (`count` assignments, lent) the rest. */
void environment_make_early(struct environment *ret_environment, const char *const *early,
                            size_t count);

/* Lends the request's strings. A variable that comes twice counts as it came last, and the
 * request's own beat PATH, HOME and LANG. Of an image's request nothing is assumed but a PATH and a
 * HOME where it says none. */
void environment_make(struct environment *ret_environment, const struct agent_spawn *request);
