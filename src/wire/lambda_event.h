/* The event that a Lambda runtime gets for a function-URL request: AWS's payload format 2.0
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads), written from
 * the meta of an INVOKE frame. The same as magpie's own shims make (docs/functions.md, "The
 * event"), with the difference that names and values that are no UTF-8 are repaired: JSON has no
 * other way to carry them. */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

#include <stdint.h>

struct lambda_request {
        struct slice meta; /* of an INVOKE with WORKER_FLAG_HTTP */
        struct slice body;
        struct slice function_name;
        uint64_t now_ms; /* Unix time */
};

/* Appends the event. 0; -EPROTO for a meta that is none; -ENOBUFS, -ENOMEM. */
int lambda_event_write(struct buffer *out, const struct lambda_request *request);
