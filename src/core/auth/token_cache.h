/* Credentials that were verified lately, so that the next request with the same one costs a lookup.
 *
 * One cache a thread: no lock, no memory beyond the struct. It is asked with a keyed digest of the
 * whole credential ("Bearer ..." or "Basic ...", ports/credentials.h) and knows
 * nothing of the credential itself. An entry says whose it was and for which epoch; whether that
 * user still exists and still has that epoch is token_user()'s to answer, for each request.
 *
 * Four entries share a set, which is what a digest chooses. A new entry takes the place of a dead
 * one, else that of the oldest.
 */
#pragma once

#include "core/registry/function.h"

#define TOKEN_CACHE_SETS 1024
#define TOKEN_CACHE_WAYS 4
/* How long a password that was right may be taken for right without hashing it again. */
#define TOKEN_CACHE_PASSWORD_S 60

struct credential_digest {
        uint8_t bytes[16];
};

struct token_cache_entry { /* one cache line */
        struct credential_digest digest;
        uint64_t until_s; /* Unix time; 0 in an empty entry */
        uint64_t epoch;
        char user_id[ID_LENGTH + 1];
};

struct token_cache {
        struct token_cache_entry sets[TOKEN_CACHE_SETS][TOKEN_CACHE_WAYS]; /* newest first */
};

void token_cache_init(struct token_cache *cache);
/* NULL where it is unknown or past its time; borrowed until the next put. */
const struct token_cache_entry *token_cache_find(const struct token_cache *cache,
                                                 const struct credential_digest *digest,
                                                 uint64_t now_s);
/* `until_s`: a token's own expiry; for a password, now + TOKEN_CACHE_PASSWORD_S. */
void token_cache_put(struct token_cache *cache, const struct credential_digest *digest,
                     const char *user_id, uint64_t epoch, uint64_t until_s, uint64_t now_s);
