/* The head of an HTTP/1.x answer, for who has asked a server: strict, incremental, without a copy
 * and without malloc, as http_request.h is for the other side.
 *
 * Strict about bytes and framing; a status line without a reason, or with any reason, is taken.
 */
#pragma once

#include "base/slice.h"
#include "wire/http_request.h"

#include <stdint.h>

enum http_answer_body {
        HTTP_ANSWER_NONE, /* by the status (1xx, 204, 304), or to a HEAD request */
        HTTP_ANSWER_LENGTH,
        HTTP_ANSWER_CHUNKED,
        HTTP_ANSWER_UNTIL_CLOSE, /* the connection's end is the body's */
};

/* Slices point into the bytes that were parsed. Large: keep one a connection or a program. */
struct http_answer {
        size_t head_length; /* bytes up to and including the empty line */
        int status;         /* 100 to 599 */
        int minor_version;  /* 0 or 1 */
        bool keep_alive;    /* by version, Connection, and how the body ends */
        enum http_answer_body body;
        uint64_t content_length; /* HTTP_ANSWER_LENGTH: its bytes; else 0 */
        size_t header_count;
        struct http_header headers[HTTP_HEADERS_MAX]; /* all of them, in their order */
};

/* `data` begins where the head begins and holds `length` bytes so far; `scanned` is 0 at first,
 * afterwards the length at which this head was HTTP_PARSE_MORE (the bytes may have moved since). A
 * head of more than `head_max` bytes is refused. *ret_answer is valid after HTTP_PARSE_DONE only,
 * *ret_fault, a constant sentence, after HTTP_PARSE_REFUSED only. */
enum http_parse_result http_answer_parse(const char *data, size_t length, size_t scanned,
                                         size_t head_max, bool to_head_request,
                                         struct http_answer *ret_answer, const char **ret_fault);
