/* What the heads of requests and of answers have in common: the scan for the empty line, the header
 * lines, and what they say about the body. For http_request.c and http_answer.c.
 *
 * The scan stops at any byte that no head may have, so that who walks the lines afterwards can rely
 * on CRLF at the end of each and meets no control byte. */
#pragma once

#include "base/slice.h"
#include "wire/http_request.h"

struct http_head_scan {
        const char *at; /* all before it is good */
        bool line_ended;
        bool complete;     /* `at` is behind the empty line */
        const char *fault; /* a sentence, or NULL */
};

/* Scans [at, end) of the head that begins at `begin`. */
struct http_head_scan http_head_scan(const char *begin, const char *at, const char *end);

/* Where to go on with a head of which `scanned` bytes were good: a CR at the old end could not be
 * judged then. */
static inline const char *http_head_resume(const char *data, size_t scanned)
{
        return data + scanned - (scanned > 0 && data[scanned - 1] == '\r');
}

/* Takes the header line that begins at *at; [*at, end) are whole lines, each with its CRLF. NULL
 * and a header, or what is wrong with the line. */
const char *http_head_next_header(const char **at, const char *end, struct http_header *ret_header);

/* Decimal digits alone. */
bool http_head_parse_length(struct slice text, uint64_t *ret_length);

enum http_head_coding {
        HTTP_HEAD_CODING_CHUNKED,
        HTTP_HEAD_CODING_OTHER, /* chunked at last, but not alone */
        HTTP_HEAD_CODING_UNENDED,
        HTTP_HEAD_CODING_INVALID,
};

/* What a Transfer-Encoding's value lists (RFC 9112, section 6.1). */
enum http_head_coding http_head_coding(struct slice list);
