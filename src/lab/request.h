/* The bytes of a request, made once and sent often. */
#pragma once

#include "base/buffer.h"
#include "lab/url.h"

#define REQUEST_HEADERS_MAX 64

struct request_form {
        const struct url *url;
        struct slice method;
        size_t header_count;
        struct slice headers[REQUEST_HEADERS_MAX]; /* "Name: value" each */
        bool has_body;
        struct slice body;
        bool keep_alive;
};

/* Appends head and body. -EINVAL and a sentence for a method or a header that HTTP does not allow,
 * or that is the lab's own to say (Connection, Content-Length, Transfer-Encoding); -ENOBUFS,
 * -ENOMEM. */
int request_write(struct buffer *buffer, const struct request_form *form, struct err *err);
