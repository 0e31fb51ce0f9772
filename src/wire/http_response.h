/* Writes the head of an HTTP response into the caller's bytes. No malloc.
 *
 *     struct http_framing framing = http_framing_choose(&terms, status, true, body_length);
 *     http_response_begin(&response, bytes, sizeof(bytes), status);
 *     http_response_header(&response, SLICE("Date"), http_date_at(&date, unix_s));
 *     http_response_header(&response, SLICE("Content-Type"), SLICE("text/plain"));
 *     http_response_forward(&response, name, value);                a function's: hostile
 *     r = http_response_end(&response, &framing);                   the head's length, or -ENOBUFS
 *
 * The status line says HTTP/1.1 to a 1.0 client too (RFC 9110, section 2.5). The framing headers
 * (Content-Length, Transfer-Encoding, Connection) are written by http_response_end() alone.
 */
#pragma once

#include "base/slice.h"
#include "wire/http_request.h"

#include <stdint.h>

#define HTTP_CONTINUE SLICE("HTTP/1.1 100 Continue\r\n\r\n")

enum http_framing_kind {
        HTTP_FRAMING_NONE,    /* 204 and 304: no body, and nothing is said about its length */
        HTTP_FRAMING_LENGTH,  /* Content-Length */
        HTTP_FRAMING_CHUNKED, /* each piece as a chunk, HTTP_CHUNK_LAST at the end */
        HTTP_FRAMING_CLOSE,   /* an HTTP/1.0 client: the end of the connection is the body's */
};

struct http_framing {
        enum http_framing_kind kind;
        uint64_t length;     /* HTTP_FRAMING_LENGTH */
        bool send_body;      /* false for HEAD, 204, 205, 304: what the function gave is dropped */
        bool keep_alive;     /* false: close when the response was sent */
        bool say_keep_alive; /* to an HTTP/1.0 client that asked for it */
};

/* What an answer needs to know of its request; the request's own bytes may be gone by then. */
struct http_terms {
        enum http_method method;
        int minor_version;
        bool keep_alive;
};

/* How the body of this final response (200 to 599) goes out (RFC 9112, section 6.3). keep_alive is
 * the request's; clear it to close anyway. */
struct http_framing http_framing_choose(const struct http_terms *terms, int status,
                                        bool length_known, uint64_t length);

struct http_response {
        char *data; /* the caller's */
        size_t capacity, length;
        bool overflow;
        bool tells_length; /* the function's Content-Length is this, which counts for HEAD alone: */
        uint64_t told_length;
};

/* `status`: 200 to 599 (an assertion: check a function's own with http_status_is_final()). */
void http_response_begin(struct http_response *response, char *data, size_t capacity, int status);

/* 0; -EINVAL where the name is no token or the value has a control byte (CR, LF, NUL ...): it is
 * not written and the rest of the head stays good. Lack of room shows at the end. */
int http_response_header(struct http_response *response, struct slice name, struct slice value);
int http_response_header_number(struct http_response *response, struct slice name, uint64_t value);

/* A header that a function gave: as above, but what is the platform's own is dropped in silence
 * (returns 0): hop-by-hop headers, Content-Length, Date. */
int http_response_forward(struct http_response *response, struct slice name, struct slice value);

/* For HEAD (RFC 9110, sections 8.6 and 9.3.2): the length is what a GET would have brought, as far as
 * anybody knows. An empty body says nothing about that. */
void http_framing_for_head(struct http_framing *framing, const struct http_response *response);

/* Framing headers and the empty line. The length of the head, or -ENOBUFS. */
int http_response_end(struct http_response *response, const struct http_framing *framing);

/* "OK" for 200; "Unknown" for a status that has no phrase. */
const char *http_status_phrase(int status);
bool http_status_is_final(int64_t status);

/* The Date header, made once a second. Start with zeroes. */
#define HTTP_DATE_LENGTH 29
struct http_date {
        uint64_t unix_s;
        char text[HTTP_DATE_LENGTH + 1];
};

/* Borrows from `date` until its next use: "Sun, 06 Nov 1994 08:49:37 GMT". */
struct slice http_date_at(struct http_date *date, uint64_t unix_s);
