/* The request-head parser; see http_request.h.
 *
 * Two passes. The first looks for the empty line and stops at any byte that no head may have; it is
 * quick (16 bytes a step) and remembers nothing but how far it came, so a head that arrives slowly
 * is scanned once. The request line is judged as soon as it is complete, the header lines when the
 * head is: the second pass can rely on CRLF at the end of each line and sees no control byte.
 */
#include "wire/http_request.h"

#include "wire/http_bytes.h"
#include "wire/http_head.h"

#include <assert.h>
#include <stddef.h>

#define PORT_DIGITS_MAX 5

static bool refuse(struct http_refusal *refusal, int status, const char *reason)
{
        *refusal = (struct http_refusal){.status = status, .reason = reason};
        return false;
}

/* --- request line ---------------------------------------------------------------------------- */

static bool find_method(struct slice text, enum http_method *ret_method)
{
        static const struct slice names[] = {
                [HTTP_METHOD_GET] = {"GET", 3},         [HTTP_METHOD_HEAD] = {"HEAD", 4},
                [HTTP_METHOD_POST] = {"POST", 4},       [HTTP_METHOD_PUT] = {"PUT", 3},
                [HTTP_METHOD_DELETE] = {"DELETE", 6},   [HTTP_METHOD_PATCH] = {"PATCH", 5},
                [HTTP_METHOD_OPTIONS] = {"OPTIONS", 7}, [HTTP_METHOD_TRACE] = {"TRACE", 5},
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (slice_equal(text, names[i])) {
                        *ret_method = (enum http_method)i;
                        return true;
                }
        }
        return false;
}

static bool parse_version(struct slice text, int *ret_minor, struct http_refusal *refusal)
{
        if (text.length != 8 || memcmp(text.data, "HTTP/", 5) != 0 ||
            !http_is_digit(text.data[5]) || text.data[6] != '.' || !http_is_digit(text.data[7]))
                return refuse(refusal, 400, "The request line does not end with an HTTP version.");
        if (text.data[5] != '1' || text.data[7] > '1')
                return refuse(refusal, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
        *ret_minor = text.data[7] - '0';
        return true;
}

/* A name or address and perhaps a port (RFC 3986, section 3.2.2). An empty host is refused, as
 * RFC 9110, section 4.2.1, demands of http URIs; user names (section 4.2.4) have no legal byte. */
static bool host_is_valid(struct slice text)
{
        const char *at = text.data, *end = text.data + text.length;
        unsigned port = 0;

        if (text.length > 0 && *at == '[') {
                for (at++; at < end && *at != ']'; at++)
                        if (!http_is_hex_digit(*at) && *at != ':' && *at != '.')
                                return false;
                if (at == end || at == text.data + 1)
                        return false;
                at++;
        } else {
                at = http_skip(at, end, HTTP_BYTE_HOST);
                if (at == text.data)
                        return false;
        }
        if (at == end)
                return true;
        if (*at++ != ':' || end - at > PORT_DIGITS_MAX)
                return false;
        for (; at < end; at++) {
                if (!http_is_digit(*at))
                        return false;
                port = port * 10 + (unsigned)(*at - '0');
        }
        return port <= UINT16_MAX;
}

static void set_path(struct http_request *request, struct slice path)
{
        const char *mark = path.length > 0 ? memchr(path.data, '?', path.length) : NULL;

        if (mark) {
                size_t length = (size_t)(mark - path.data);
                request->has_query = true;
                request->query = slice_skip(path, length + 1);
                path.length = length;
        }
        request->path = path.length > 0 ? path : SLICE("/");
}

/* RFC 9112, section 3.2. */
static bool parse_target(struct http_request *request, struct http_refusal *refusal)
{
        struct slice target = request->target, rest, authority;

        if (target.data[0] == '/') {
                set_path(request, target);
                return true;
        }
        if (slice_equal(target, SLICE("*"))) {
                request->path = target;
                return request->method == HTTP_METHOD_OPTIONS ||
                       refuse(refusal, 400, "The target '*' is for OPTIONS only.");
        }
        if (slice_starts_with_fold(target, SLICE("http://")))
                rest = slice_skip(target, 7);
        else if (slice_starts_with_fold(target, SLICE("https://")))
                rest = slice_skip(target, 8);
        else
                return refuse(refusal, 400, "The request target is neither a path nor a URL.");

        authority = rest;
        for (size_t i = 0; i < rest.length; i++) {
                if (rest.data[i] == '/' || rest.data[i] == '?') {
                        authority.length = i;
                        break;
                }
        }
        if (!host_is_valid(authority))
                return refuse(refusal, 400, "The request target has no valid host.");
        request->host = authority;
        set_path(request, slice_skip(rest, authority.length));
        return true;
}

/* `end` is where the line's CR stands. */
static bool parse_request_line(const char *at, const char *end, const struct http_limits *limits,
                               struct http_request *request, struct http_refusal *refusal)
{
        const char *from = at;

        at = http_skip(at, end, HTTP_BYTE_TOKEN);
        if (at == from || at == end || *at != ' ')
                return refuse(refusal, 400, "The request line does not begin with a method.");
        request->method_text = slice_make(from, (size_t)(at - from));

        from = ++at;
        at = http_skip(at, end, HTTP_BYTE_TARGET);
        if ((size_t)(at - from) > limits->target_max)
                return refuse(refusal, 414, "The request target is too long.");
        if (at == end)
                return refuse(refusal, 400, "The request line has no HTTP version.");
        if (at == from || *at != ' ')
                return refuse(refusal, 400, "The request target has a character it may not have.");
        request->target = slice_make(from, (size_t)(at - from));

        at++;
        if (!parse_version(slice_make(at, (size_t)(end - at)), &request->minor_version, refusal))
                return false;
        if (!find_method(request->method_text, &request->method))
                return refuse(refusal, 501, "The method is not known.");
        return parse_target(request, refusal);
}

/* --- header lines ---------------------------------------------------------------------------- */

/* What the header lines say about the message itself, gathered before it is judged as a whole. */
struct notes {
        struct slice host, content_length, transfer_encoding, expect;
        bool close, keep_alive, names_headers;
};

/* Where a header that may stand only once is kept; NULL for any other. */
static struct slice *slot_of(struct http_request *request, struct notes *notes, struct slice name)
{
        switch (name.length) {
        case 4:
                return slice_equal_fold(name, SLICE("host")) ? &notes->host : NULL;
        case 6:
                return slice_equal_fold(name, SLICE("expect")) ? &notes->expect : NULL;
        case 12:
                return slice_equal_fold(name, SLICE("content-type")) ? &request->content_type
                                                                     : NULL;
        case 13:
                return slice_equal_fold(name, SLICE("authorization")) ? &request->authorization
                                                                      : NULL;
        case 14:
                return slice_equal_fold(name, SLICE("content-length")) ? &notes->content_length
                                                                       : NULL;
        case 17:
                return slice_equal_fold(name, SLICE("transfer-encoding"))
                               ? &notes->transfer_encoding
                               : NULL;
        default:
                return NULL;
        }
}

static void note_connection(struct notes *notes, struct slice list)
{
        struct slice member;

        while (http_list_next(&list, &member)) {
                if (slice_equal_fold(member, SLICE("close")))
                        notes->close = true;
                else if (slice_equal_fold(member, SLICE("keep-alive")))
                        notes->keep_alive = true;
                else
                        notes->names_headers = true;
        }
}

static bool note_header(struct http_request *request, struct notes *notes,
                        const struct http_header *header, struct http_refusal *refusal)
{
        struct slice *slot = slot_of(request, notes, header->name);

        if (slot) {
                if (slot->data)
                        return refuse(refusal, 400, "A header that may stand once stands twice.");
                *slot = header->value;
        } else if (slice_equal_fold(header->name, SLICE("connection"))) {
                note_connection(notes, header->value);
        } else if (!request->prefer.data && slice_equal_fold(header->name, SLICE("prefer"))) {
                request->prefer = header->value;
        }
        return true;
}

/* [at, end) are the header lines, each with its CRLF; the CRLF of the empty line stands at `end`.
 */
static bool parse_headers(const char *at, const char *end, const struct http_limits *limits,
                          struct http_request *request, struct notes *notes,
                          struct http_refusal *refusal)
{
        while (at < end) {
                struct http_header *header = &request->headers[request->header_count];
                struct http_header line;
                const char *fault = http_head_next_header(&at, end, &line);

                if (fault)
                        return refuse(refusal, 400, fault);
                if (request->header_count == limits->header_max)
                        return refuse(refusal, 431, "The request has too many headers.");
                request->header_count++;
                *header = line;
                if (!note_header(request, notes, header, refusal))
                        return false;
        }
        return true;
}

/* --- the message as a whole ------------------------------------------------------------------ */

static bool judge_host(struct http_request *request, const struct notes *notes,
                       struct http_refusal *refusal)
{
        if (!notes->host.data)
                return request->minor_version == 0 ||
                       refuse(refusal, 400, "The request has no Host header.");
        if (!host_is_valid(notes->host))
                return refuse(refusal, 400, "The Host header is not valid.");
        /* RFC 9112, section 3.2.2: an absolute target's host counts, not the header's. */
        if (!request->host.data)
                request->host = notes->host;
        return true;
}

/* RFC 9112, section 6.1: chunked must be the last coding; the server knows no other. */
static bool judge_transfer_encoding(struct slice list, struct http_refusal *refusal)
{
        switch (http_head_coding(list)) {
        case HTTP_HEAD_CODING_CHUNKED:
                return true;
        case HTTP_HEAD_CODING_OTHER:
                return refuse(refusal, 501, "Only the transfer coding 'chunked' is understood.");
        case HTTP_HEAD_CODING_UNENDED:
                return refuse(refusal, 400, "The last Transfer-Encoding is not 'chunked'.");
        case HTTP_HEAD_CODING_INVALID:
                break;
        }
        return refuse(refusal, 400, "The Transfer-Encoding is not valid.");
}

/* RFC 9112, section 6.3. */
static bool judge_body(struct http_request *request, const struct notes *notes,
                       struct http_refusal *refusal)
{
        if (notes->transfer_encoding.data) {
                if (request->minor_version == 0)
                        return refuse(refusal, 400, "HTTP/1.0 has no Transfer-Encoding.");
                if (notes->content_length.data)
                        return refuse(refusal, 400,
                                      "Content-Length and Transfer-Encoding exclude each other.");
                request->body = HTTP_BODY_CHUNKED;
                return judge_transfer_encoding(notes->transfer_encoding, refusal);
        }
        if (notes->content_length.data) {
                request->body = HTTP_BODY_LENGTH;
                return http_head_parse_length(notes->content_length, &request->content_length) ||
                       refuse(refusal, 400, "The Content-Length is not a number.");
        }
        return true;
}

/* RFC 9110, section 10.1.1: in an HTTP/1.0 request an expectation is ignored. */
static bool judge_expect(struct http_request *request, const struct notes *notes,
                         struct http_refusal *refusal)
{
        if (!notes->expect.data || request->minor_version == 0)
                return true;
        if (!slice_equal_fold(notes->expect, SLICE("100-continue")))
                return refuse(refusal, 417, "Only the expectation '100-continue' is understood.");
        request->expect_continue =
                request->body == HTTP_BODY_CHUNKED || request->content_length > 0;
        return true;
}

/* `at` is where the header lines begin, `end` where the empty line's CRLF stands. */
static bool parse_complete_head(const char *at, const char *end, const struct http_limits *limits,
                                struct http_request *request, struct http_refusal *refusal)
{
        struct notes notes = {0};

        if (!parse_headers(at, end, limits, request, &notes, refusal) ||
            !judge_host(request, &notes, refusal) || !judge_body(request, &notes, refusal) ||
            !judge_expect(request, &notes, refusal))
                return false;
        request->names_headers = notes.names_headers;
        request->keep_alive = !notes.close && (request->minor_version == 1 || notes.keep_alive);
        return true;
}

enum http_parse_result http_request_parse(const char *data, size_t length, size_t scanned,
                                          const struct http_limits *limits,
                                          struct http_request *ret_request,
                                          struct http_refusal *ret_refusal)
{
        size_t visible = length < limits->head_max ? length : limits->head_max;
        const char *begin = data, *resume, *line_feed = NULL;
        struct http_head_scan scan;

        assert(scanned <= visible && limits->header_max <= HTTP_HEADERS_MAX);
        if (visible == 0)
                return HTTP_PARSE_MORE;
        /* RFC 9112, section 2.2: one empty line in front of the request is forgiven. */
        if (visible >= 2 && data[0] == '\r' && data[1] == '\n')
                begin += 2;
        resume = http_head_resume(data, scanned);
        if (resume < begin)
                resume = begin;

        scan = http_head_scan(begin, resume, data + visible);
        if (scan.line_ended)
                line_feed = memchr(begin, '\n', (size_t)(scan.at - begin));
        if (line_feed && (line_feed >= resume || scan.complete)) {
                memset(ret_request, 0, offsetof(struct http_request, headers));
                if (!parse_request_line(begin, line_feed - 1, limits, ret_request, ret_refusal))
                        return HTTP_PARSE_REFUSED;
        }

        if (scan.fault) {
                (void)refuse(ret_refusal, 400, scan.fault);
                return HTTP_PARSE_REFUSED;
        }
        if (!scan.complete) {
                if (visible < limits->head_max)
                        return HTTP_PARSE_MORE;
                if (memchr(begin, '\n', (size_t)(data + visible - begin)))
                        (void)refuse(ret_refusal, 431, "The request head is too large.");
                else
                        (void)refuse(ret_refusal, 414, "The request line is too long.");
                return HTTP_PARSE_REFUSED;
        }
        assert(line_feed);
        ret_request->head_length = (size_t)(scan.at - data);
        return parse_complete_head(line_feed + 1, scan.at - 2, limits, ret_request, ret_refusal)
                       ? HTTP_PARSE_DONE
                       : HTTP_PARSE_REFUSED;
}

/* --- questions ------------------------------------------------------------------------------- */

const struct http_header *http_request_find(const struct http_request *request, struct slice name)
{
        for (size_t i = 0; i < request->header_count; i++)
                if (slice_equal_fold(request->headers[i].name, name))
                        return &request->headers[i];
        return NULL;
}

bool http_request_lists(const struct http_request *request, struct slice name, struct slice token)
{
        for (size_t i = 0; i < request->header_count; i++) {
                struct slice list = request->headers[i].value, member;

                if (!slice_equal_fold(request->headers[i].name, name))
                        continue;
                while (http_list_next(&list, &member)) {
                        const char *parameters =
                                member.length > 0 ? memchr(member.data, ';', member.length) : NULL;
                        if (parameters)
                                member.length = (size_t)(parameters - member.data);
                        if (slice_equal_fold(http_trim(member), token))
                                return true;
                }
        }
        return false;
}

struct slice http_host_name(struct slice host)
{
        bool bracketed = host.length > 0 && *host.data == '[';
        const char *mark =
                host.length > 0 ? memchr(host.data, bracketed ? ']' : ':', host.length) : NULL;

        if (mark)
                host.length = (size_t)(mark - host.data) + bracketed;
        return host;
}

bool http_header_is_hop_by_hop(struct slice name)
{
        static const struct slice names[] = {
                {"connection", 10}, {"keep-alive", 10},        {"te", 2},
                {"trailer", 7},     {"transfer-encoding", 17}, {"upgrade", 7},
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (http_header_reads_as(name, names[i]))
                        return true;
        return name.length >= 6 && http_header_reads_as(slice_make(name.data, 6), SLICE("proxy-"));
}

bool http_header_reads_as(struct slice name, struct slice known)
{
        if (name.length != known.length)
                return false;
        for (size_t i = 0; i < name.length; i++) {
                char c = name.data[i] == '_' ? '-' : name.data[i];
                if (!slice_equal_fold(slice_make(&c, 1), slice_make(known.data + i, 1)))
                        return false;
        }
        return true;
}
