/* Requests as Lambda events; see lambda_event.h. */
#include "wire/lambda_event.h"

#include "base/auto.h"
#include "base/text.h"
#include "wire/base64.h"
#include "wire/http_bytes.h"
#include "wire/http_request.h"
#include "wire/json_text.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define HEADERS_MAX 1024
#define LAST_SECOND 253402300799ull /* of the year 9999 */

/* What the text says so far; the first failure is kept, and what follows it writes nothing. */
struct writer {
        struct buffer *out;
        int error;
};

static void put(struct writer *writer, const char *text)
{
        if (writer->error == 0)
                writer->error = buffer_append_text(writer->out, text);
}

static void put_string(struct writer *writer, struct slice text)
{
        if (writer->error == 0)
                writer->error = json_write_string(writer->out, text);
}

/* `lead` is what stands in front of the value: commas, braces and its name. */
static void put_named(struct writer *writer, const char *lead, struct slice value)
{
        put(writer, lead);
        put_string(writer, value);
}

struct pair {
        struct slice name, value;
        bool joined; /* to one of the same name before it */
};

/* The values of pairs[first]'s name, joined as RFC 9110, section 5.3, and RFC 9113, section 8.2.3,
 * have it. */
static void join(struct writer *writer, struct pair *pairs, size_t first, size_t count,
                 struct buffer *joined)
{
        struct slice name = pairs[first].name;
        const char *with = slice_equal(name, SLICE("cookie")) ? "; " : ",";

        for (size_t i = first; i < count && writer->error == 0; i++) {
                if (pairs[i].joined || !slice_equal(pairs[i].name, name))
                        continue;
                if (i > first)
                        writer->error = buffer_append_text(joined, with);
                if (writer->error == 0)
                        writer->error =
                                buffer_append(joined, pairs[i].value.data, pairs[i].value.length);
                pairs[i].joined = true;
        }
}

/* An object of the pairs; those of one name become one. */
static void put_pairs(struct writer *writer, struct pair *pairs, size_t count)
{
        const char *lead = "{";

        for (size_t i = 0; i < count && writer->error == 0; i++) {
                AUTO(buffer_deinit) struct buffer joined = {.limit = writer->out->limit};

                if (pairs[i].joined)
                        continue;
                join(writer, pairs, i, count, &joined);
                put_named(writer, lead, pairs[i].name);
                put_named(writer, ":", buffer_slice(&joined));
                lead = ",";
        }
        put(writer, count > 0 ? "}" : "{}");
}

/* --- the query ------------------------------------------------------------------------------- */

static int hex_value(char digit)
{
        return http_is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* As browsers and Python do it: '+' is a space, and what is no escape stands for itself. Writes at
 * *at, which goes on behind it. */
static struct slice decode(struct slice text, char **at)
{
        char *from = *at;

        while (text.length > 0) {
                size_t taken = 1;
                char byte = text.data[0];
                if (byte == '+') {
                        byte = ' ';
                } else if (byte == '%' && text.length >= 3 && http_is_hex_digit(text.data[1]) &&
                           http_is_hex_digit(text.data[2])) {
                        byte = (char)(hex_value(text.data[1]) << 4 | hex_value(text.data[2]));
                        taken = 3;
                }
                *(*at)++ = byte;
                text = slice_skip(text, taken);
        }
        return slice_make(from, (size_t)(*at - from));
}

static size_t count_pieces(struct slice query)
{
        size_t count = 1;

        for (size_t i = 0; i < query.length; i++)
                count += query.data[i] == '&';
        return count;
}

static void put_query(struct writer *writer, struct slice query)
{
        AUTO(memory_free) char *text = malloc(query.length);
        AUTO(memory_free) struct pair *pairs = calloc(count_pieces(query), sizeof(*pairs));
        size_t count = 0;
        char *at = text;

        if (!text || !pairs) {
                writer->error = -ENOMEM;
                return;
        }
        while (query.length > 0) {
                const char *mark = memchr(query.data, '&', query.length);
                size_t length = mark ? (size_t)(mark - query.data) : query.length;
                struct slice piece = slice_make(query.data, length), name = piece;

                query = slice_skip(query, mark ? length + 1 : length);
                if (length == 0)
                        continue;
                mark = memchr(piece.data, '=', length);
                name.length = mark ? (size_t)(mark - piece.data) : length;
                pairs[count].name = decode(name, &at);
                pairs[count++].value = decode(slice_skip(piece, name.length + !!mark), &at);
        }
        put(writer, ",\"queryStringParameters\":");
        put_pairs(writer, pairs, count);
}

/* --- headers --------------------------------------------------------------------------------- */

/* The headers' count, or -EPROTO. */
static int read_headers(struct slice meta, struct pair *ret_headers, size_t capacity)
{
        size_t count = 0;
        int error;

        while (count < capacity && worker_meta_next_header(&meta, &ret_headers[count].name,
                                                           &ret_headers[count].value, &error))
                ret_headers[count++].joined = false;
        return count < capacity && error == 0 ? (int)count : -EPROTO;
}

static struct slice first_of(const struct pair *headers, size_t count, struct slice name)
{
        for (size_t i = 0; i < count; i++)
                if (slice_equal(headers[i].name, name))
                        return headers[i].value;
        return (struct slice){0};
}

/* Each cookie of each line is one string. */
static void put_cookies(struct writer *writer, const struct pair *headers, size_t count)
{
        const char *lead = ",\"cookies\":[";

        for (size_t i = 0; i < count; i++) {
                struct slice rest = headers[i].value;
                if (!slice_equal(headers[i].name, SLICE("cookie")))
                        continue;
                while (rest.length > 0) {
                        const char *mark = memchr(rest.data, ';', rest.length);
                        size_t length = mark ? (size_t)(mark - rest.data) : rest.length;
                        struct slice cookie = http_trim(slice_make(rest.data, length));
                        rest = slice_skip(rest, mark ? length + 1 : length);
                        if (cookie.length == 0)
                                continue;
                        put_named(writer, lead, cookie);
                        lead = ",";
                }
        }
        if (lead[1] == '\0')
                put(writer, "]");
        else if (first_of(headers, count, SLICE("cookie")).data)
                put(writer, ",\"cookies\":[]");
}

/* --- the whole ------------------------------------------------------------------------------- */

struct head {
        struct slice invocation, user, method, path, query, client, domain;
        size_t header_count;
        struct pair headers[HEADERS_MAX];
};

static int read_head(struct slice meta, struct head *ret_head)
{
        struct slice *const lines[] = {&ret_head->invocation, &ret_head->user,  &ret_head->method,
                                       &ret_head->path,       &ret_head->query, &ret_head->client,
                                       &ret_head->domain};
        int count;

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                if (!worker_meta_next_line(&meta, lines[i]))
                        return -EPROTO;
        ret_head->domain = http_host_name(ret_head->domain);
        count = read_headers(meta, ret_head->headers, HEADERS_MAX);
        if (count < 0)
                return count;
        ret_head->header_count = (size_t)count;
        return 0;
}

static void put_authorizer(struct writer *writer, struct slice user)
{
        put_named(writer, ",\"authorizer\":{\"iam\":{\"accessKey\":null,\"accountId\":", user);
        put_named(writer, ",\"callerId\":", user);
        put_named(writer,
                  ",\"cognitoIdentity\":null,\"principalOrgId\":null,\"userArn\":null,"
                  "\"userId\":",
                  user);
        put_named(writer, "},\"userId\":", user);
        put(writer, "}");
}

static void put_context(struct writer *writer, const struct head *head,
                        const struct lambda_request *request)
{
        uint64_t unix_s = request->now_ms / 1000;
        time_t seconds = (time_t)(unix_s < LAST_SECOND ? unix_s : LAST_SECOND);
        const char *dot = head->domain.length > 0
                                  ? memchr(head->domain.data, '.', head->domain.length)
                                  : NULL;
        struct slice prefix = head->domain;
        char date[64], number[32];
        struct tm tm;

        if (dot)
                prefix.length = (size_t)(dot - prefix.data);
        (void)gmtime_r(&seconds, &tm);
        (void)strftime(date, sizeof(date), "%d/%b/%Y:%H:%M:%S +0000", &tm);
        (void)snprintf(number, sizeof(number), ",\"timeEpoch\":%" PRIu64, request->now_ms);

        put_named(writer, ",\"requestContext\":{\"accountId\":",
                  head->user.length > 0 ? head->user : SLICE("anonymous"));
        put_named(writer, ",\"apiId\":", request->function_name);
        put_named(writer, ",\"authentication\":null,\"domainName\":", head->domain);
        put_named(writer, ",\"domainPrefix\":", prefix);
        put_named(writer, ",\"http\":{\"method\":", head->method);
        put_named(writer, ",\"path\":", head->path);
        put_named(writer, ",\"protocol\":\"HTTP/1.1\",\"sourceIp\":", head->client);
        put_named(writer, ",\"userAgent\":",
                  first_of(head->headers, head->header_count, SLICE("user-agent")));
        put_named(writer, "},\"requestId\":", head->invocation);
        put_named(writer,
                  ",\"routeKey\":\"$default\",\"stage\":\"$default\",\"time\":", slice_of(date));
        put(writer, number);
        if (head->user.length > 0)
                put_authorizer(writer, head->user);
        put(writer, "}");
}

/* Text where it is text, whatever the content type says; else base64. */
static void put_body(struct writer *writer, struct slice body)
{
        bool text = text_is_utf8(body);
        size_t room = BASE64_ENCODED_MAX(body.length);

        put(writer, text ? ",\"isBase64Encoded\":false" : ",\"isBase64Encoded\":true");
        if (body.length == 0)
                return;
        if (text) {
                put_named(writer, ",\"body\":", body);
                return;
        }
        put(writer, ",\"body\":\"");
        if (writer->error == 0)
                writer->error = buffer_reserve(writer->out, room);
        if (writer->error < 0)
                return;
        writer->out->length += base64_encode(BASE64_STANDARD, body.data, body.length,
                                             writer->out->data + writer->out->length);
        put(writer, "\"");
}

int lambda_event_write(struct buffer *out, const struct lambda_request *request)
{
        struct writer writer = {.out = out};
        struct head head; /* on the stack: musl would map and unmap it, and that is dear */
        int r = read_head(request->meta, &head);

        if (r < 0)
                return r;
        put_named(&writer,
                  "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":", head.path);
        put_named(&writer, ",\"rawQueryString\":", head.query);
        put_cookies(&writer, head.headers, head.header_count);
        put_context(&writer, &head, request);
        if (head.query.length > 0)
                put_query(&writer, head.query);
        put_body(&writer, request->body);
        put(&writer, ",\"headers\":");
        put_pairs(&writer, head.headers, head.header_count);
        put(&writer, "}");
        return writer.error;
}
