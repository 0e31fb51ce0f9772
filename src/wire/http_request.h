/* The head of an HTTP/1.1 request: strict, incremental, without a copy and without malloc.
 *
 * Nothing is repaired. Whatever two parsers could read differently is refused (RFC 9112, section
 * 11.2, request smuggling): the connection is to be closed after the answer.
 *
 *     switch (http_request_parse(data, length, scanned, &limits, &request, &refusal)) {
 *     case HTTP_PARSE_DONE:    the body, or the next request, begins at data + request.head_length
 *     case HTTP_PARSE_MORE:    call again with more bytes and scanned = this length
 *     case HTTP_PARSE_REFUSED: answer refusal.status and close
 *     }
 *
 * The result does not depend on how the bytes were cut into pieces. A head costs O(its length),
 * however slowly it arrives: while it is incomplete, only new bytes are looked at.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

#define HTTP_HEADERS_MAX 100

/* Any other method is refused (501), CONNECT and those in lower case among them: what stands between
 * requests by mistake is a token easily, but hardly one of these. */
enum http_method {
        HTTP_METHOD_GET,
        HTTP_METHOD_HEAD,
        HTTP_METHOD_POST,
        HTTP_METHOD_PUT,
        HTTP_METHOD_DELETE,
        HTTP_METHOD_PATCH,
        HTTP_METHOD_OPTIONS,
        HTTP_METHOD_TRACE,
};

enum http_body {
        HTTP_BODY_NONE,   /* neither Content-Length nor Transfer-Encoding */
        HTTP_BODY_LENGTH, /* content_length bytes, perhaps 0 */
        HTTP_BODY_CHUNKED,
};

struct http_header {
        struct slice name;  /* a token, as it was sent: compare with slice_equal_fold() */
        struct slice value; /* white space at both ends is gone; may be empty */
};

/* Slices point into the bytes that were parsed (an empty path in an absolute-form target becomes a
 * constant "/"). data is NULL where a header is absent. The struct is large: keep one a thread or
 * a connection rather than one a call. */
struct http_request {
        size_t head_length; /* bytes up to and including the empty line */
        enum http_method method;
        int minor_version; /* 0 or 1 */
        struct slice method_text;
        struct slice target; /* as it was sent */
        struct slice path;   /* raw, begins with '/'; "*" for OPTIONS * */
        struct slice query;  /* raw, without the '?' */
        bool has_query;
        bool keep_alive;      /* by version and Connection */
        bool names_headers;   /* Connection names others: http_request_lists() tells which */
        bool expect_continue; /* a body follows as soon as "100 Continue" was sent */
        enum http_body body;
        uint64_t content_length; /* HTTP_BODY_LENGTH: its bytes; else 0 */
        struct slice host;       /* with the port; from an absolute-form target, else from Host */
        struct slice authorization;
        struct slice content_type;
        struct slice prefer; /* the first Prefer line; http_request_lists() sees all */
        size_t header_count;
        struct http_header headers[HTTP_HEADERS_MAX]; /* all of them, in their order */
};

struct http_limits {
        size_t head_max;   /* bytes of the whole head, the empty line included: 431 */
        size_t target_max; /* bytes of the request target: 414 */
        size_t header_max; /* header lines, at most HTTP_HEADERS_MAX: 431 */
};

#define HTTP_LIMITS_DEFAULT                                                                        \
        ((struct http_limits){                                                                     \
                .head_max = 32768, .target_max = 8192, .header_max = HTTP_HEADERS_MAX})

/* Why a peer's bytes are not taken. */
struct http_refusal {
        int status;         /* 400, 413, 414, 417, 431, 501 or 505 */
        const char *reason; /* a constant sentence for the peer */
};

enum http_parse_result { HTTP_PARSE_DONE, HTTP_PARSE_MORE, HTTP_PARSE_REFUSED };

/* `data` begins where the head begins and holds `length` bytes so far; `scanned` is 0 at first,
 * afterwards the length at which this head was HTTP_PARSE_MORE (the bytes may have moved since).
 * *ret_request is valid after HTTP_PARSE_DONE only, *ret_refusal after HTTP_PARSE_REFUSED only. */
enum http_parse_result http_request_parse(const char *data, size_t length, size_t scanned,
                                          const struct http_limits *limits,
                                          struct http_request *ret_request,
                                          struct http_refusal *ret_refusal);

/* The first header of that name, whatever its case; NULL where there is none. */
const struct http_header *http_request_find(const struct http_request *request, struct slice name);

/* Whether any line of the list header `name` has the member `token`: case is ignored, parameters
 * after ';' are not looked at. As in (request, SLICE("prefer"), SLICE("respond-async")). */
bool http_request_lists(const struct http_request *request, struct slice name, struct slice token);

/* The name or address in a valid host, without the port; an IPv6 address stays in its brackets. */
struct slice http_host_name(struct slice host);

/* Headers that speak of one connection only and are not handed on, in either direction: Connection,
 * Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade (RFC 9110, section 7.6.1). Names that some
 * server reads as one of these are none either. */
bool http_header_is_hop_by_hop(struct slice name);
/* Is it `known`, in any case, to a server that reads `_` in a name as `-`? CGI and its heirs do (RFC 3875,
 * section 4.1.18): to them a header `Magpie_User` from outside would be the verified one. */
bool http_header_reads_as(struct slice name, struct slice known);
