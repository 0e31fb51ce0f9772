/* HMAC-SHA256 (RFC 2104) as the port `mac`, by OpenSSL. */
#pragma once

#include "ports/mac.h"

/* Copies the key; give it 32 random bytes. NULL without memory. */
struct mac *hmac_new(struct slice key);
/* Wipes the key. NULL is fine. */
void hmac_free(struct mac *mac);
