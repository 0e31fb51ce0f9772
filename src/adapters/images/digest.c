/* SHA-256 by libcrypto; see digest.h. */
#include "adapters/images/digest.h"

#include "base/auto.h"
#include "base/hash.h"

#include <errno.h>

int digest_init(struct digest *digest)
{
        digest->context = EVP_MD_CTX_new();
        return digest->context && EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) ? 0
                                                                                         : -ENOMEM;
}

void digest_deinit(struct digest *digest)
{
        EVP_MD_CTX_free(digest->context);
        digest->context = NULL;
}

int digest_add(struct digest *digest, struct slice bytes)
{
        return EVP_DigestUpdate(digest->context, bytes.data, bytes.length) ? 0 : -ENOMEM;
}

int digest_finish(struct digest *digest, char ret_hex[SHA256_HEX_LENGTH + 1])
{
        unsigned char hash[SHA256_HEX_LENGTH / 2];

        if (!EVP_DigestFinal_ex(digest->context, hash, NULL))
                return -ENOMEM;
        hex_encode(hash, sizeof(hash), ret_hex);
        return 0;
}

int digest_of(struct slice bytes, char ret_hex[SHA256_HEX_LENGTH + 1])
{
        AUTO(digest_deinit) struct digest digest = {0};
        int r = digest_init(&digest);

        if (r == 0)
                r = digest_add(&digest, bytes);
        return r == 0 ? digest_finish(&digest, ret_hex) : r;
}
