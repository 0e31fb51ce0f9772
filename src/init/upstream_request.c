/* Requests to the function's server; see upstream_request.h. */
#include "init/upstream_request.h"

#include "wire/http_head.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct writer {
        char *data;
        size_t length, capacity;
        bool overflow;
};

static void put(struct writer *writer, struct slice text)
{
        if (text.length > writer->capacity - writer->length)
                writer->overflow = true;
        if (writer->overflow || text.length == 0)
                return;
        memcpy(writer->data + writer->length, text.data, text.length);
        writer->length += text.length;
}

static void put_header(struct writer *writer, struct slice name, struct slice value)
{
        put(writer, name);
        put(writer, SLICE(": "));
        put(writer, value);
        put(writer, SLICE("\r\n"));
}

static void put_number(struct writer *writer, struct slice name, uint64_t value)
{
        char digits[24];

        (void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
        put_header(writer, name, slice_of(digits));
}

struct head {
        struct slice invocation, user, method, path, query, client, domain;
};

/* What an API call, which has no HTTP head, is to the server. */
static const struct head api_call = {
        .method = {"POST", 4},
        .path = {"/", 1},
        .domain = {"localhost", 9},
};

/* What the headers say that matters here. */
struct notes {
        struct slice content_length, forwarded_for, forwarded_proto;
        bool is_websocket;
};

/* True for a header that is not handed on as it is. */
static bool take_note(struct notes *notes, struct slice name, struct slice value)
{
        static const struct slice ours[] = {
                {"host", 4},
                {"expect", 6},
                {"magpie-user", 11},
                {"magpie-invocation-id", 20},
                {"magpie-deadline-ms", 18},
        };
        const struct {
                struct slice name;
                struct slice *slot;
        } kept[] = {
                {SLICE("content-length"), &notes->content_length},
                {SLICE("x-forwarded-for"), &notes->forwarded_for},
                {SLICE("x-forwarded-proto"), &notes->forwarded_proto},
        };

        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
                if (http_header_reads_as(name, kept[i].name)) {
                        if (slice_equal_fold(name, kept[i].name))
                                *kept[i].slot = value;
                        return true;
                }
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
                if (http_header_reads_as(name, ours[i]))
                        return true;
        if (slice_equal_fold(name, SLICE("sec-websocket-key")))
                notes->is_websocket = true;
        return http_header_is_hop_by_hop(name);
}

/* The request line and the headers that are handed on. */
static int put_request(struct writer *writer, struct slice meta, bool is_http, struct head *head,
                       struct notes *notes)
{
        struct slice *const lines[] = {&head->invocation, &head->user,   &head->method, &head->path,
                                       &head->query,      &head->client, &head->domain};
        size_t count = is_http ? sizeof(lines) / sizeof(lines[0]) : 2;
        struct slice name, value;
        int error = 0;

        for (size_t i = 0; i < count; i++)
                if (!worker_meta_next_line(&meta, lines[i]))
                        return -EPROTO;
        put(writer, head->method);
        put(writer, SLICE(" "));
        put(writer, head->path.length > 0 ? head->path : SLICE("/"));
        if (head->query.length > 0) {
                put(writer, SLICE("?"));
                put(writer, head->query);
        }
        put(writer, SLICE(" HTTP/1.1\r\n"));
        put_header(writer, SLICE("Host"), head->domain);
        if (!is_http) {
                put_header(writer, SLICE("Content-Type"), SLICE("application/json"));
                return 0;
        }
        while (worker_meta_next_header(&meta, &name, &value, &error))
                if (!take_note(notes, name, value))
                        put_header(writer, name, value);
        return error;
}

static void put_forwarded(struct writer *writer, const struct head *head, const struct notes *notes)
{
        put(writer, SLICE("X-Forwarded-For: "));
        if (notes->forwarded_for.length > 0) {
                put(writer, notes->forwarded_for);
                put(writer, SLICE(", "));
        }
        put(writer, head->client);
        put(writer, SLICE("\r\n"));
        put_header(writer, SLICE("X-Forwarded-Proto"),
                   notes->forwarded_proto.length > 0 ? notes->forwarded_proto : SLICE("http"));
}

/* RFC 7239. What came with the request stays, in lines before this one: lines of one name are one list. */
static void put_forwarded_element(struct writer *writer, const struct head *head,
                                  const struct notes *notes)
{
        bool is_ipv6 = head->client.length > 0 &&
                       memchr(head->client.data, ':', head->client.length) != NULL;

        put(writer, is_ipv6 ? SLICE("Forwarded: for=\"[") : SLICE("Forwarded: for=\""));
        put(writer, head->client);
        put(writer, is_ipv6 ? SLICE("]\";host=\"") : SLICE("\";host=\""));
        put(writer, head->domain);
        put(writer, SLICE("\";proto="));
        put(writer, slice_equal_fold(notes->forwarded_proto, SLICE("https")) ? SLICE("https")
                                                                             : SLICE("http"));
        put(writer, SLICE("\r\n"));
}

/* RFC 9110, section 8.6: a request whose method has a meaning for a body says that it has none. */
static bool expects_body(struct slice method)
{
        return slice_equal(method, SLICE("POST")) || slice_equal(method, SLICE("PUT")) ||
               slice_equal(method, SLICE("PATCH"));
}

static bool is_idempotent(struct slice method)
{
        static const struct slice methods[] = {{"GET", 3},   {"HEAD", 4}, {"OPTIONS", 7},
                                               {"TRACE", 5}, {"PUT", 3},  {"DELETE", 6}};

        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
                if (slice_equal(method, methods[i]))
                        return true;
        return false;
}

static int put_framing(struct writer *writer, const struct worker_frame *invoke,
                       const struct head *head, const struct notes *notes,
                       struct upstream_request *request)
{
        if (invoke->flags & WORKER_FLAG_END) {
                request->length = invoke->payload.length;
                if (request->length == 0 && !notes->content_length.data &&
                    !expects_body(head->method))
                        return 0;
        } else if (!notes->content_length.data) {
                request->chunked = true;
                put_header(writer, SLICE("Transfer-Encoding"), SLICE("chunked"));
                return 0;
        } else if (!http_head_parse_length(notes->content_length, &request->length)) {
                return -EPROTO;
        }
        put_number(writer, SLICE("Content-Length"), request->length);
        return 0;
}

int upstream_request_write(const struct worker_frame *invoke, char *ret_head, size_t capacity,
                           struct upstream_request *ret_request)
{
        struct writer writer = {.data = ret_head, .capacity = capacity};
        bool is_http = invoke->flags & WORKER_FLAG_HTTP;
        struct upstream_request request = {0};
        struct head head = api_call;
        struct notes notes = {0};
        int r;

        r = put_request(&writer, invoke->meta, is_http, &head, &notes);
        if (r < 0)
                return r;
        if (is_http) {
                put_forwarded(&writer, &head, &notes);
                put_forwarded_element(&writer, &head, &notes);
        }
        if (head.user.length > 0)
                put_header(&writer, SLICE("Magpie-User"), head.user);
        put_header(&writer, SLICE("Magpie-Invocation-Id"), head.invocation);
        put_number(&writer, SLICE("Magpie-Deadline-Ms"), invoke->value);
        r = put_framing(&writer, invoke, &head, &notes, &request);
        if (r < 0)
                return r;
        put(&writer, SLICE("\r\n"));
        if (writer.overflow)
                return -ENOBUFS;
        request.head_length = writer.length;
        request.is_head = slice_equal(head.method, SLICE("HEAD"));
        request.is_idempotent = is_idempotent(head.method);
        request.is_websocket = notes.is_websocket;
        *ret_request = request;
        return 0;
}
