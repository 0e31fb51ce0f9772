/* What the gateway needs to know a caller again: slow hashes of passwords, and quick digests of
 * credentials that were verified lately (core/auth/token_cache.h). */
#pragma once

#include "base/err.h"
#include "core/auth/token_cache.h"

#define PASSWORD_HASH_MAX 128 /* with the NUL, as in struct user */

struct credentials;

struct credentials_ops {
        /* Quick; from any thread. Keyed: nobody outside can make two credentials meet. */
        void (*digest)(const struct credentials *credentials, struct slice credential,
                       struct credential_digest *ret_digest);
        /* May it be chosen as a password? 0, or -EINVAL and a sentence. */
        int (*validate)(const struct credentials *credentials, struct slice password,
                        struct err *err);
        /* Both block for tens of milliseconds and use tens of megabytes: on the crew only. */
        int (*hash)(const struct credentials *credentials, struct slice password,
                    char ret_hash[PASSWORD_HASH_MAX], struct err *err);
        /* An empty `hash` (nobody, or a user without a password) is never matched, and takes as
         * long as any other: the time tells nobody which addresses are known. */
        bool (*verify)(const struct credentials *credentials, struct slice password,
                       const char *hash);
};

struct credentials {
        const struct credentials_ops *ops;
};
