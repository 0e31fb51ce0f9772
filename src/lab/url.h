/* An http or https URL, cut into what a client needs of it. Strict: what would have to be encoded
 * first (blanks, control bytes, bytes beyond ASCII) is refused. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define URL_MAX 8000

/* Slices point into the text. */
struct url {
        bool is_tls;
        struct slice authority; /* what Host says: the host and perhaps a port */
        struct slice host;      /* a name or an address; of an IPv6 address without its brackets */
        uint16_t port;
        struct slice target; /* path and query: empty, or it begins with '/' or '?' */
};

/* "http://127.0.0.1:8080/f/echo?x=1"; without a scheme it is http. -EINVAL and a sentence. */
int url_parse(struct slice text, struct url *ret_url, struct err *err);
