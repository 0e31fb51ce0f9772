/* The settings that all TLS connections of a run share. */
#pragma once

#include "base/err.h"

#include <openssl/types.h>
#include <stdbool.h>

/* TLS 1.2 or newer, HTTP/1.1, certificates checked against the system's authorities (or
 * SSL_CERT_FILE's) unless `insecure`. Freed by SSL_CTX_free(). */
int tls_settings_new(bool insecure, SSL_CTX **ret_settings, struct err *err);
