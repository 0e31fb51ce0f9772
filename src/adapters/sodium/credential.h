/* The keyed digest under which the token cache keeps a credential.
 *
 * SipHash-2-4 with 128 bits of result: a pseudo-random function (Aumasson and Bernstein, 2012), so
 * who does not know the key cannot make a credential that meets the digest of another, and a digest
 * tells nothing of the credential. Three times as fast as BLAKE2b for a token's length.
 */
#pragma once

#include "core/auth/token_cache.h"

struct credential_key {
        uint8_t bytes[16];
};

/* Random, for one process. Call once, before threads exist: it also starts libsodium. 0 or a
 * negative errno. */
int credential_key_make(struct credential_key *ret_key);
void credential_digest(const struct credential_key *key, struct slice credential,
                       struct credential_digest *ret_digest);
