/* HMAC-SHA256 (RFC 2104) by OpenSSL, for core/auth/mac.h. */
#pragma once

#include "core/auth/mac.h"

/* Copies the key; give it 32 random bytes. NULL without memory. */
struct mac *hmac_new(struct slice key);
/* Wipes the key. NULL is fine. */
void hmac_free(struct mac *mac);
