/* The environment of one invocation under the exec contract: the sandbox's own, and what the INVOKE
 * frame says about the request, in the manner of CGI (RFC 3875). */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXEC_ENVIRONMENT_BYTES 98304 /* of text, enough for any meta */
#define EXEC_ENVIRONMENT_MAX 512     /* variables */

struct exec_environment {
        const char *variables[EXEC_ENVIRONMENT_MAX + 1]; /* NULL-terminated */
        size_t count;
        char text[EXEC_ENVIRONMENT_BYTES];
        size_t used;
};

/* Sets MAGPIE_INVOCATION_ID, MAGPIE_USER and MAGPIE_DEADLINE_MS, and for a function-URL request
 * MAGPIE_METHOD, MAGPIE_PATH, MAGPIE_QUERY, MAGPIE_CLIENT, MAGPIE_DOMAIN and HTTP_<NAME> for each
 * header. 0, or -EPROTO for a meta that is none. Headers beyond the room are left out. */
int exec_environment_make(struct exec_environment *ret_environment, char *const *inherited,
                          struct slice meta, bool is_http, uint64_t deadline_ms);
