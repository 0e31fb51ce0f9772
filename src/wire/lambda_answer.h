/* What a Lambda runtime sends back, understood: a function's result as an HTTP answer, the prelude
 * of a streamed one, and a function's error. The shape of function URLs' results is AWS's
 * (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads). */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct lambda_answer {
        uint32_t status;    /* 0: the platform's default */
        size_t meta_length; /* of the "name:value\n" lines that were written */
        struct slice body;  /* in the result's own bytes */
};

/* Reads a buffered result. An object with `statusCode` is an HTTP answer; anything else is the body
 * itself, with a Content-Type that tells what it is. Strings are decoded in place: `result` is not
 * the same afterwards. NULL, or a sentence about what cannot be sent as an answer. */
const char *lambda_answer_read(char *result, size_t length, char *ret_meta, size_t capacity,
                               struct lambda_answer *ret_answer);

/* Reads the JSON in front of a streamed HTTP answer: `statusCode` (or the default), `headers`,
 * `cookies`. As lambda_answer_read(); there is no body in it. */
const char *lambda_prelude_read(char *prelude, size_t length, char *ret_meta, size_t capacity,
                                struct lambda_answer *ret_answer);

struct lambda_error {
        struct slice type, message; /* text; the type is never empty */
        struct slice trace;         /* of JSON: an array of strings */
};

/* Reads the body of an error report, in place as above. `type` is what its header says; the body's
 * own counts where that is empty. What is no such JSON is the message itself. */
void lambda_error_read(char *report, size_t length, struct slice type,
                       struct lambda_error *ret_error);

/* Writes an ERROR frame's payload. What does not fit is cut: the trace first, then the message.
 * `capacity` is at least LAMBDA_ERROR_MIN. Returns the length. */
#define LAMBDA_ERROR_MIN 2048
size_t lambda_error_write(const struct lambda_error *error, char *ret_json, size_t capacity);
