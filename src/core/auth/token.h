/* Tokens: who logged in, until when, in a text that only the holder of the key can make.
 *
 * A token is a JSON Web Token (RFC 7519) signed with HMAC-SHA256 ("HS256", RFC 7515). It is made
 * and read here alone, so exactly one spelling of header and claims is accepted; whatever else
 * another signer, another algorithm or "alg":"none" would look like is not a token.
 */
#pragma once

#include "core/auth/mac.h"
#include "core/registry/catalog.h"

#define TOKEN_MAX_LENGTH 256

struct token_claims {
        char user_id[ID_LENGTH + 1]; /* sub */
        uint64_t issued_s;           /* iat, Unix time */
        uint64_t expires_s;          /* exp, Unix time; the token is dead from then on */
        uint64_t epoch;              /* the user's token_epoch when it was issued */
};

enum token_result {
        TOKEN_VALID,
        TOKEN_MALFORMED, /* not one of our tokens, whoever signed it */
        TOKEN_FORGED,    /* signed with another key */
        TOKEN_EXPIRED,
        TOKEN_FAILED, /* the signature could not be computed */
};

/* Writes a NUL-terminated token; `ret_token` holds TOKEN_MAX_LENGTH + 1 bytes. 0, -EINVAL for a
 * user id that is not one, or what the mac says. */
int token_sign(const struct token_claims *claims, const struct mac *mac, char *ret_token);

/* *ret_claims is written for TOKEN_VALID only. */
enum token_result token_verify(struct slice token, const struct mac *mac, uint64_t now_s,
                               struct token_claims *ret_claims);

/* Does a token stand in it, ours or of another node like this one, whether it is good or not? */
bool token_stands_in(struct slice text);

/* The user who may still be addressed by a token of this epoch: NULL when he is gone, or when his
 * tokens were revoked since. Ask for each request, also where the token itself was cached. */
struct user *token_user(const struct catalog *catalog, struct slice user_id, uint64_t epoch);
