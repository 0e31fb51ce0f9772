/* Answers on a connection; see response.h. */
#include "gateway/response.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "core/registry/function.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <stdio.h>

#define PROBLEM_MAX 16384

void response_begin(struct connection *connection, struct http_response *response, int status)
{
        struct gateway_thread *thread = connection->thread;

        connection->status = status;
        http_response_begin(response, thread->head, HEAD_SIZE, status);
        (void)http_response_header(response, SLICE("Date"),
                                   http_date_at(&thread->date, clock_unix_ms() / 1000));
}

static void response_choose_framing(struct connection *connection,
                                    const struct http_response *response, bool complete,
                                    size_t length)
{
        const struct gateway *gateway = connection->thread->gateway;
        const struct http_terms terms = {.method = connection->method,
                                         .minor_version = connection->minor_version,
                                         .keep_alive = connection->keep_alive};

        connection->framing = http_framing_choose(&terms, connection->status, complete, length);
        if (terms.method == HTTP_METHOD_HEAD)
                http_framing_for_head(&connection->framing, response);
        if (!connection->body_ended ||
            atomic_load_explicit(&gateway->draining, memory_order_relaxed) ||
            (connection->framing.keep_alive && accept_asks_to_leave(connection, complete)))
                connection->framing.keep_alive = false;
        if (connection->framing.kind == HTTP_FRAMING_CLOSE)
                connection_guard_end(connection, true);
        connection->head_sent = true;
}

int response_send(struct connection *connection, struct http_response *response, struct slice body,
                  bool complete)
{
        struct slice parts[4];
        size_t count = 0;
        char chunk_head[HTTP_CHUNK_HEAD_MAX];
        int length;

        if (connection->fd < 0)
                return -EPIPE;
        response_choose_framing(connection, response, complete, body.length);
        length = http_response_end(response, &connection->framing);
        if (length < 0) {
                connection_close(connection);
                return -EPIPE;
        }
        parts[count++] = slice_make(response->data, (size_t)length);
        if (connection->framing.send_body && body.length > 0) {
                bool chunked = connection->framing.kind == HTTP_FRAMING_CHUNKED;
                if (chunked)
                        parts[count++] =
                                slice_make(chunk_head, http_chunk_head(body.length, chunk_head));
                parts[count++] = body;
                if (chunked)
                        parts[count++] = HTTP_CHUNK_TAIL;
        }
        if (connection_write(connection, parts, count) < 0)
                return -EPIPE;
        if (complete)
                connection_answered(connection);
        return 0;
}

int response_more(struct connection *connection, struct slice body, bool complete)
{
        struct slice parts[4];
        size_t count = 0;
        char chunk_head[HTTP_CHUNK_HEAD_MAX];
        bool chunked = connection->framing.kind == HTTP_FRAMING_CHUNKED;

        if (connection->fd < 0)
                return -EPIPE;
        if (connection->framing.send_body) {
                if (body.length > 0 && chunked)
                        parts[count++] =
                                slice_make(chunk_head, http_chunk_head(body.length, chunk_head));
                if (body.length > 0)
                        parts[count++] = body;
                if (body.length > 0 && chunked)
                        parts[count++] = HTTP_CHUNK_TAIL;
                if (complete && chunked)
                        parts[count++] = HTTP_CHUNK_LAST;
        }
        if (count > 0 && connection_write(connection, parts, count) < 0)
                return -EPIPE;
        if (complete)
                connection_answered(connection);
        return 0;
}

void response_break(struct connection *connection)
{
        connection_close(connection);
}

void response_document(struct connection *connection, int status, struct slice content_type,
                       struct slice body)
{
        struct http_response response;

        if (connection->fd < 0)
                return;
        response_begin(connection, &response, status);
        if (content_type.length > 0)
                (void)http_response_header(&response, SLICE("Content-Type"), content_type);
        (void)response_send(connection, &response, body, true);
}

/* Text as the inside of a JSON string. */
static void append_json_text(struct buffer *buffer, const char *text)
{
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;
                if (c == '"' || c == '\\')
                        (void)buffer_printf(buffer, "\\%c", c);
                else if (c == '\n')
                        (void)buffer_append_text(buffer, "\\n");
                else if (c < 0x20)
                        (void)buffer_printf(buffer, "\\u%04x", c);
                else
                        (void)buffer_append(buffer, text, 1);
        }
}

static void problem_write(struct buffer *body, const struct problem *problem, const char *title,
                          const char *detail)
{
        (void)buffer_append_text(body, "{\"title\":\"");
        append_json_text(body, title);
        (void)buffer_printf(body, "\",\"status\":%d,\"reason\":\"%s\",\"detail\":\"",
                            problem->status, problem->reason);
        append_json_text(body, detail);
        (void)buffer_append_text(body, "\",\"message\":\"");
        append_json_text(body, detail);
        (void)buffer_append_text(body, "\"");
        if (problem->extra)
                (void)buffer_printf(body, ",%s", problem->extra);
        if (problem->invocation_id)
                (void)buffer_printf(body, ",\"invocationId\":\"%s\"", problem->invocation_id);
        (void)buffer_append_text(body, "}\n");
}

void response_problem(struct connection *connection, const struct problem *problem)
{
        const char *title = problem->title ? problem->title : http_status_phrase(problem->status);
        const char *detail = problem->detail ? problem->detail : title;
        struct http_response response;
        struct buffer body;

        if (connection->fd < 0)
                return;
        buffer_init(&body, PROBLEM_MAX * 4);
        problem_write(&body, problem, title, detail);
        response_begin(connection, &response, problem->status);
        (void)http_response_header(&response, SLICE("Content-Type"),
                                   SLICE("application/problem+json"));
        if (problem->status == 401)
                (void)http_response_header(
                        &response, SLICE("WWW-Authenticate"),
                        SLICE("Bearer realm=\"magpie\", Basic realm=\"magpie\""));
        if (problem->allow)
                (void)http_response_header(&response, SLICE("Allow"), slice_of(problem->allow));
        if (problem->retry_after_s > 0 || problem->status == 503)
                (void)http_response_header_number(
                        &response, SLICE("Retry-After"),
                        problem->retry_after_s > 0 ? problem->retry_after_s : 1);
        if (problem->invocation_id)
                (void)http_response_header(&response, SLICE("Magpie-Invocation-Id"),
                                           slice_of(problem->invocation_id));
        if (problem->start)
                (void)http_response_header(&response, SLICE("Magpie-Start"),
                                           slice_of(problem->start));
        if (problem->timing)
                (void)http_response_header(&response, SLICE("Server-Timing"),
                                           slice_of(problem->timing));
        (void)response_send(connection, &response, buffer_slice(&body), true);
        buffer_deinit(&body);
}

static const char *size_word(uint64_t bytes, char ret_word[32])
{
        char size[24];

        size_format(bytes, size);
        (void)snprintf(ret_word, 32, "%s%s", size, bytes % 1024 ? " bytes" : "");
        return ret_word;
}

const char *response_too_large(uint64_t max_bytes, char ret_text[TOO_LARGE_SIZE])
{
        char most[32];

        (void)snprintf(ret_text, TOO_LARGE_SIZE,
                       "The body is larger than the %s that this server allows.",
                       size_word(max_bytes, most));
        return ret_text;
}

const char *response_code_too_large(uint64_t max_bytes, char ret_text[TOO_LARGE_SIZE])
{
        char most[32];

        (void)snprintf(ret_text, TOO_LARGE_SIZE,
                       "This is more than the %s of code that this server allows.",
                       size_word(max_bytes, most));
        return ret_text;
}

void response_refuse(struct connection *connection, int status, const char *reason,
                     const char *detail)
{
        struct problem problem = {.status = status, .reason = reason, .detail = detail};
        struct exchange *exchange = connection->exchange;

        if (connection->fd < 0)
                return;
        if (connection->head_sent) {
                connection_close(connection);
                return;
        }
        connection->exchange = NULL;
        if (exchange) {
                exchange->connection = NULL;
                exchange->ops->gone(exchange);
        }
        connection->keep_alive = false;
        connection->body_ended = false;
        response_problem(connection, &problem);
}
