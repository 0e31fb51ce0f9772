/* Passwords and digests; see credentials_sodium.h. */
#include "adapters/sodium/credentials_sodium.h"

#include "base/list.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#define PASSWORD_MIN_CHARACTERS 8
#define PASSWORD_MAX_BYTES 1024

/* 19 MiB, 2 passes, 1 lane: what the OWASP Password Storage Cheat Sheet sets as the least. More
 * memory would be harder to attack, yet a few log-ins at once must fit into a small machine. */
#define ARGON_PASSES 2
#define ARGON_BYTES (19u << 20)

_Static_assert(PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "a hash fits");
_Static_assert(sizeof(struct credential_digest) == crypto_shorthash_siphashx24_BYTES,
               "a digest is one of SipHash");

struct credentials_sodium {
        struct credentials credentials;
        uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
};

static void credentials_digest(const struct credentials *credentials, struct slice credential,
                               struct credential_digest *ret_digest)
{
        const struct credentials_sodium *self =
                CONTAINER_OF(credentials, const struct credentials_sodium, credentials);

        /* Always 0: the function has nothing that could fail. */
        (void)crypto_shorthash_siphashx24(ret_digest->bytes, (const uint8_t *)credential.data,
                                          credential.length, self->key);
}

static int credentials_validate(const struct credentials *credentials, struct slice password,
                                struct err *err)
{
        size_t characters = 0;

        (void)credentials;
        if (password.length > PASSWORD_MAX_BYTES)
                return err_set(err, -EINVAL, "password has %zu bytes: at most %d are allowed",
                               password.length, PASSWORD_MAX_BYTES);
        /* Of a UTF-8 character only the first byte counts. */
        for (size_t i = 0; i < password.length; i++)
                characters += ((unsigned char)password.data[i] & 0xc0) != 0x80;
        if (characters < PASSWORD_MIN_CHARACTERS)
                return err_set(err, -EINVAL, "password has %zu characters: at least %d are needed",
                               characters, PASSWORD_MIN_CHARACTERS);
        return 0;
}

static int credentials_hash(const struct credentials *credentials, struct slice password,
                            char ret_hash[PASSWORD_HASH_MAX], struct err *err)
{
        char hash[crypto_pwhash_STRBYTES];

        (void)credentials;
        if (crypto_pwhash_str_alg(hash, password.data, password.length, ARGON_PASSES, ARGON_BYTES,
                                  crypto_pwhash_ALG_ARGON2ID13) != 0)
                return err_errno(err, -ENOMEM, "hashing a password with %u MiB", ARGON_BYTES >> 20);
        memcpy(ret_hash, hash, sizeof(hash));
        return 0;
}

static bool credentials_verify(const struct credentials *credentials, struct slice password,
                               const char *hash)
{
        /* No password hashes to all zeros; trying takes as long as with a real hash. */
        static const char decoy[crypto_pwhash_STRBYTES] =
                "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        bool is_hash = hash[0] != '\0';

        (void)credentials;
        return crypto_pwhash_str_verify(is_hash ? hash : decoy, password.data, password.length) ==
                       0 &&
               is_hash;
}

static const struct credentials_ops credentials_sodium_ops = {
        .digest = credentials_digest,
        .validate = credentials_validate,
        .hash = credentials_hash,
        .verify = credentials_verify,
};

int credentials_sodium_open(struct credentials **ret_credentials)
{
        struct credentials_sodium *self;

        if (sodium_init() < 0)
                return -ENOSYS;
        self = malloc(sizeof(*self));
        if (!self)
                return -ENOMEM;
        self->credentials.ops = &credentials_sodium_ops;
        randombytes_buf(self->key, sizeof(self->key));
        *ret_credentials = &self->credentials;
        return 0;
}

void credentials_sodium_close(struct credentials *credentials)
{
        if (!credentials)
                return;
        struct credentials_sodium *self =
                CONTAINER_OF(credentials, struct credentials_sodium, credentials);
        sodium_memzero(self->key, sizeof(self->key));
        free(self);
}
