/* An invocation as the head of an HTTP/1.1 request to the function's own server. */
#pragma once

#include "wire/worker_protocol.h"

#include <stdbool.h>

#define UPSTREAM_HEAD_MAX 65536 /* what the gateway lets pass fits by far */

struct upstream_request {
        size_t head_length;
        bool is_head;       /* the answer has no body */
        bool is_idempotent; /* to do it twice is to do it once: RFC 9110, section 9.2.2 */
        bool is_websocket;  /* cannot be handed on: an upgrade is no request and answer */
        bool chunked;       /* how the body goes out */
        uint64_t length;    /* of the body where it is not chunked */
};

/* Writes the head of the request that an INVOKE frame begins. 0; -EPROTO for a meta that is none,
 * -ENOBUFS beyond `capacity`. */
int upstream_request_write(const struct worker_frame *invoke, char *ret_head, size_t capacity,
                           struct upstream_request *ret_request);
