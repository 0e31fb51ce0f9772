/* HMAC-SHA256; see hmac.h. */
#include "adapters/openssl/hmac.h"

#include "base/list.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct hmac {
        struct mac mac;
        size_t key_length;
        char key[];
};

/* The one-call form keeps no state between calls, so that all threads can share one key. */
static int hmac_compute(const struct mac *mac, struct slice text, uint8_t ret_tag[MAC_LENGTH])
{
        const struct hmac *hmac = CONTAINER_OF(mac, const struct hmac, mac);

        return HMAC(EVP_sha256(), hmac->key, (int)hmac->key_length,
                    (const unsigned char *)text.data, text.length, ret_tag, NULL)
                       ? 0
                       : -ENOMEM;
}

struct mac *hmac_new(struct slice key)
{
        struct hmac *hmac = malloc(sizeof(*hmac) + key.length);

        if (!hmac)
                return NULL;
        hmac->mac.compute = hmac_compute;
        hmac->key_length = key.length;
        memcpy(hmac->key, key.data, key.length);
        return &hmac->mac;
}

void hmac_free(struct mac *mac)
{
        if (!mac)
                return;
        struct hmac *hmac = CONTAINER_OF(mac, struct hmac, mac);
        OPENSSL_cleanse(hmac->key, hmac->key_length);
        free(hmac);
}
