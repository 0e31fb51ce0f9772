/* Who asks? Bearer JWT or Basic, cheap when it was seen before (core/auth/token_cache.h). */
#pragma once

#include "core/registry/function.h"
#include "gateway/connection.h"

enum authentication {
        AUTHENTICATED,            /* *ret_user, borrowed until the loop turn ends */
        AUTHENTICATION_MISSING,   /* no Authorization header */
        AUTHENTICATION_REFUSED,   /* wrong, expired, revoked, or perhaps one of another node */
        AUTHENTICATION_FOREIGN,   /* none of magpie's: another scheme, or somebody else's token */
        AUTHENTICATION_SUSPENDED, /* a password is being checked on the crew: the connection is
                                     resumed afterwards and the head comes again */
        AUTHENTICATION_BUSY,      /* too many password checks at once */
};

enum authentication authenticate(struct connection *connection, const struct http_request *request,
                                 struct user **ret_user);
/* Answers what was not AUTHENTICATED (401, or 503 for BUSY) and closes nothing that need not be. */
void authentication_answer(struct connection *connection, enum authentication result);
