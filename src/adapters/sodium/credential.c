/* Digests of credentials; see credential.h. */
#include "adapters/sodium/credential.h"

#include <errno.h>
#include <sodium.h>

_Static_assert(sizeof(struct credential_key) == crypto_shorthash_siphashx24_KEYBYTES, "the key");
_Static_assert(sizeof(struct credential_digest) == crypto_shorthash_siphashx24_BYTES, "the digest");

int credential_key_make(struct credential_key *ret_key)
{
        if (sodium_init() < 0)
                return -ENOSYS;
        randombytes_buf(ret_key->bytes, sizeof(ret_key->bytes));
        return 0;
}

void credential_digest(const struct credential_key *key, struct slice credential,
                       struct credential_digest *ret_digest)
{
        /* Always 0: the function has nothing that could fail. */
        (void)crypto_shorthash_siphashx24(ret_digest->bytes, (const uint8_t *)credential.data,
                                          credential.length, key->bytes);
}
