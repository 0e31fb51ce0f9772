/* TLS settings; see tls.h. */
#include "lab/tls.h"

#include <errno.h>
#include <openssl/ssl.h>

int tls_settings_new(bool insecure, SSL_CTX **ret_settings, struct err *err)
{
        static const unsigned char protocols[] = "\x08http/1.1";
        SSL_CTX *settings = SSL_CTX_new(TLS_client_method());

        if (!settings || SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) != 1 ||
            SSL_CTX_set_alpn_protos(settings, protocols, sizeof(protocols) - 1) != 0 ||
            (!insecure && SSL_CTX_set_default_verify_paths(settings) != 1)) {
                SSL_CTX_free(settings);
                return err_set(err, -ENOMEM, "TLS cannot be set up");
        }
        SSL_CTX_set_verify(settings, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        (void)SSL_CTX_set_mode(settings, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                                 SSL_MODE_RELEASE_BUFFERS);
        /* Whether an answer is whole, its framing tells. */
        (void)SSL_CTX_set_options(settings, SSL_OP_IGNORE_UNEXPECTED_EOF);
        *ret_settings = settings;
        return 0;
}
