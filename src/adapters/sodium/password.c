/* Passwords by argon2id; see password.h. */
#include "adapters/sodium/password.h"

#include <errno.h>
#include <sodium.h>

/* 19 MiB, 2 passes, 1 lane: what the OWASP Password Storage Cheat Sheet sets as the least. More
 * memory would be harder to attack, yet a few log-ins at once must fit into a small machine. */
#define PASSES 2
#define MEMORY_BYTES (19u << 20)

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "the text fits");

int password_validate(struct slice password, struct err *err)
{
        size_t characters = 0;

        if (password.length > PASSWORD_MAX_LENGTH)
                return err_set(err, -EINVAL, "password has %zu bytes: at most %d are allowed",
                               password.length, PASSWORD_MAX_LENGTH);
        /* Of a UTF-8 character only the first byte counts. */
        for (size_t i = 0; i < password.length; i++)
                characters += ((unsigned char)password.data[i] & 0xc0) != 0x80;
        if (characters < PASSWORD_MIN_LENGTH)
                return err_set(err, -EINVAL, "password has %zu characters: at least %d are needed",
                               characters, PASSWORD_MIN_LENGTH);
        return 0;
}

int password_hash(struct slice password, char ret_hash[PASSWORD_HASH_SIZE], struct err *err)
{
        char hash[crypto_pwhash_STRBYTES];

        if (crypto_pwhash_str_alg(hash, password.data, password.length, PASSES, MEMORY_BYTES,
                                  crypto_pwhash_ALG_ARGON2ID13) != 0)
                return err_errno(err, -ENOMEM, "hashing a password with %u MiB",
                                 MEMORY_BYTES >> 20);
        memcpy(ret_hash, hash, sizeof(hash));
        return 0;
}

enum password_result password_verify(struct slice password, const char *hash)
{
        /* No password hashes to all zeros. */
        static const char decoy[crypto_pwhash_STRBYTES] =
                "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        bool is_hash = strncmp(hash, "$argon2id$", 10) == 0;

        errno = 0;
        if (crypto_pwhash_str_verify(is_hash ? hash : decoy, password.data, password.length) == 0)
                return is_hash ? PASSWORD_RIGHT : PASSWORD_WRONG;
        return errno == ENOMEM ? PASSWORD_FAILED : PASSWORD_WRONG;
}
