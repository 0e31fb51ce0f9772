/* SHA-256 of what streams by. */
#pragma once

#include "base/slice.h"
#include "wire/image_reference.h"

#include <openssl/evp.h>

struct digest {
        EVP_MD_CTX *context;
};

/* 0 or -ENOMEM. */
int digest_init(struct digest *digest);
void digest_deinit(struct digest *digest); /* also as AUTO(digest_deinit) */
int digest_add(struct digest *digest, struct slice bytes);
/* Ends it. */
int digest_finish(struct digest *digest, char ret_hex[SHA256_HEX_LENGTH + 1]);

/* Of one text. */
int digest_of(struct slice bytes, char ret_hex[SHA256_HEX_LENGTH + 1]);
