/* Connections to the Runtime API; see lambda_client.h. */
#include "init/lambda_client.h"

#include "base/auto.h"
#include "wire/http_response.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define STEPS_MAX 64

static void stop_waiting(struct lambda_client *client)
{
        if (list_is_empty(&client->waiting))
                return;
        list_remove(&client->waiting);
        client->lambda->waiting_count--;
}

static void client_close(struct lambda_client *client)
{
        struct lambda *lambda = client->lambda;
        struct lambda_lane *lane = client->lane;
        int fd = client->source.fd;

        stop_waiting(client);
        if (lane && client->has_event)
                lambda_lane_give_back(lane, &client->event);
        else if (lane)
                lambda_lane_abandon(lane);
        loop_remove(&lambda->service.loop, &client->source);
        fd_close(&fd);
        list_remove(&client->task.link);
        list_remove(&client->link);
        lambda->client_count--;
        (void)loop_modify(&lambda->service.loop, &lambda->listener, EPOLLIN);
        buffer_deinit(&client->body);
        buffer_deinit(&client->event);
        free(client->trailers);
        free(client);
}

struct lambda_client *lambda_client_waiting(struct lambda *lambda)
{
        struct list *first = list_peek_front(&lambda->waiting);

        return first ? CONTAINER_OF(first, struct lambda_client, waiting) : NULL;
}

void lambda_client_wait(struct lambda_client *client)
{
        client->state = CLIENT_WAITING;
        list_push_back(&client->lambda->waiting, &client->waiting);
        client->lambda->waiting_count++;
        lambda_lanes_offer(client->lambda);
}

void lambda_client_run_soon(struct lambda_client *client)
{
        loop_defer(&client->lambda->service.loop, &client->task);
}

void lambda_client_lose_lane(struct lambda_client *client)
{
        client->lane = NULL;
        lambda_client_run_soon(client);
}

/* --- replies --------------------------------------------------------------------------------- */

static void make_head(struct lambda_client *client, int status, size_t length,
                      const struct lambda_lane *lane)
{
        const struct http_framing framing = {
                .kind = HTTP_FRAMING_LENGTH, .length = length, .keep_alive = client->keep_alive};
        struct http_response response;
        int head_length;

        http_response_begin(&response, client->reply, sizeof(client->reply), status);
        (void)http_response_header(&response, SLICE("Content-Type"), SLICE("application/json"));
        if (lane) {
                (void)http_response_header(&response, SLICE("Lambda-Runtime-Aws-Request-Id"),
                                           slice_of(lane->request_id));
                (void)http_response_header_number(&response, SLICE("Lambda-Runtime-Deadline-Ms"),
                                                  lane->deadline_ms);
                (void)http_response_header(&response, SLICE("Lambda-Runtime-Invoked-Function-Arn"),
                                           slice_of(client->lambda->arn));
                (void)http_response_header(&response, SLICE("Lambda-Runtime-Trace-Id"),
                                           slice_of(lane->trace_id));
        }
        head_length = http_response_end(&response, &framing);
        client->unsent[0] = slice_make(client->reply, head_length > 0 ? (size_t)head_length : 0);
}

void lambda_client_reply(struct lambda_client *client, int status, struct slice json)
{
        make_head(client, status, json.length, NULL);
        client->unsent[1] = json;
}

void lambda_client_refuse(struct lambda_client *client, int status, const char *type,
                          const char *text)
{
        client->body.length = 0;
        client->body.limit = LAMBDA_REPORT_MAX;
        (void)buffer_printf(&client->body, "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n", text,
                            type);
        client->sink = SINK_DROP;
        client->purpose = PURPOSE_NONE;
        lambda_client_reply(client, status, buffer_slice(&client->body));
}

void lambda_client_give(struct lambda_client *client, struct lambda_lane *lane)
{
        stop_waiting(client);
        client->lane = lane;
        client->has_event = true;
        buffer_swap(&client->event, &lane->body);
        make_head(client, 200, client->event.length, lane);
        client->unsent[1] = buffer_slice(&client->event);
        client->state = CLIENT_REPLY;
        lambda_client_run_soon(client);
}

/* The reply has left. False where the connection ends with it. */
static bool finish_reply(struct lambda_client *client)
{
        if (client->lane)
                client->lane->client = NULL;
        client->lane = NULL;
        client->has_event = false;
        buffer_clear_down_to(&client->event, LAMBDA_KEPT_MAX);
        buffer_clear_down_to(&client->body, LAMBDA_KEPT_MAX);
        free(client->trailers);
        client->trailers = NULL;
        client->state = CLIENT_HEAD;
        client->scanned = 0;
        return client->keep_alive;
}

enum progress { PROGRESS_MADE, PROGRESS_NONE, PROGRESS_OVER };

static enum progress send_reply(struct lambda_client *client)
{
        struct iovec parts[2];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent;

        for (int i = 0; i < 2; i++)
                parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)client->unsent[i].data,
                                          .iov_len = client->unsent[i].length};
        sent = sendmsg(client->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
                return errno == EAGAIN ? PROGRESS_NONE
                                       : (errno == EINTR ? PROGRESS_MADE : PROGRESS_OVER);
        for (int i = 0; i < 2; i++) {
                size_t part = (size_t)sent < client->unsent[i].length ? (size_t)sent
                                                                      : client->unsent[i].length;
                client->unsent[i] = slice_skip(client->unsent[i], part);
                sent -= (ssize_t)part;
        }
        if (client->unsent[0].length > 0 || client->unsent[1].length > 0)
                return PROGRESS_MADE;
        return finish_reply(client) ? PROGRESS_MADE : PROGRESS_OVER;
}

/* --- requests -------------------------------------------------------------------------------- */

/* More bytes of the connection, behind `end`. */
static enum progress receive(struct lambda_client *client)
{
        ssize_t got;
        size_t room;

        if (!client->readable)
                return PROGRESS_NONE;
        if (client->begin == client->end)
                client->begin = client->end = 0;
        room = sizeof(client->in) - client->end;
        if (room == 0) {
                memmove(client->in, client->in + client->begin, client->end - client->begin);
                client->end -= client->begin;
                client->begin = 0;
                room = sizeof(client->in) - client->end;
        }
        got = recv(client->source.fd, client->in + client->end, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
                return PROGRESS_MADE;
        if (got < 0 && errno == EAGAIN) {
                client->readable = false;
                return PROGRESS_NONE;
        }
        if (got <= 0)
                return PROGRESS_OVER;
        client->readable = (size_t)got == room || client->hung_up;
        client->end += (size_t)got;
        return PROGRESS_MADE;
}

static void begin_body(struct lambda_client *client, const struct http_request *request)
{
        client->state = CLIENT_BODY;
        client->framing = request->body;
        client->body_left = request->content_length;
        client->body_ended = request->body == HTTP_BODY_NONE;
        client->keep_alive = request->keep_alive;
        client->piece = (struct slice){0};
        client->announced = false;
        client->sink = SINK_DROP;
        client->purpose = PURPOSE_NONE;
        if (request->body == HTTP_BODY_CHUNKED)
                http_chunked_init(&client->chunked, UINT64_MAX);
}

static enum progress read_head(struct lambda_client *client)
{
        struct http_request *request = &client->lambda->parsed;
        struct http_refusal refusal;
        size_t length = client->end - client->begin;

        switch (http_request_parse(client->in + client->begin, length, client->scanned,
                                   &HTTP_LIMITS_DEFAULT, request, &refusal)) {
        case HTTP_PARSE_MORE:
                client->scanned = length;
                return receive(client);
        case HTTP_PARSE_REFUSED:
                client->keep_alive = false;
                client->begin = client->end;
                lambda_client_refuse(client, refusal.status, "InvalidRequest", refusal.reason);
                client->state = CLIENT_REPLY;
                return PROGRESS_MADE;
        case HTTP_PARSE_DONE:
                break;
        }
        begin_body(client, request);
        client->begin += request->head_length;
        client->scanned = 0;
        lambda_route(client, request);
        if (request->expect_continue && client->begin == client->end)
                (void)send(client->source.fd, HTTP_CONTINUE.data, HTTP_CONTINUE.length,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
        return PROGRESS_MADE;
}

/* Decodes what is there, in place: `piece` is all the body's bytes of it, in one run. False where it
 * is no chunked body. */
static bool decode_chunks(struct lambda_client *client)
{
        struct slice input = slice_make(client->in + client->begin, client->end - client->begin);
        char *start = client->in + client->begin, *at = start;
        struct http_refusal refusal;
        struct slice payload;

        for (;;) {
                switch (http_chunked_next(&client->chunked, &input, &payload, &refusal)) {
                case HTTP_CHUNKED_DATA:
                        memmove(at, payload.data, payload.length);
                        at += payload.length;
                        continue;
                case HTTP_CHUNKED_DONE:
                        client->body_ended = true;
                        break;
                case HTTP_CHUNKED_MORE:
                        break;
                case HTTP_CHUNKED_REFUSED:
                        return false;
                }
                client->piece = slice_make(start, (size_t)(at - start));
                client->begin = client->end - input.length;
                return true;
        }
}

static void take_plain(struct lambda_client *client)
{
        size_t length = client->end - client->begin;

        if (length > client->body_left)
                length = (size_t)client->body_left;
        client->piece = slice_make(client->in + client->begin, length);
        client->begin += length;
        client->body_left -= length;
        client->body_ended = client->body_left == 0;
}

/* Whether what was read last is still on its way to the gateway. */
static bool is_held_up(const struct lambda_client *client)
{
        return client->lane && (client->sink == SINK_STREAM || client->sink == SINK_PRELUDE) &&
               client->lane->lane.outbox_full;
}

static enum progress read_body(struct lambda_client *client)
{
        if (is_held_up(client))
                return PROGRESS_NONE;
        if (client->piece.length > 0) {
                lambda_take_piece(client);
                return PROGRESS_MADE;
        }
        if (client->framing == HTTP_BODY_LENGTH && client->body_left == 0)
                client->body_ended = true;
        if (client->body_ended) {
                lambda_body_done(client);
                return PROGRESS_MADE;
        }
        if (client->begin == client->end)
                return receive(client);
        if (client->framing == HTTP_BODY_LENGTH) {
                take_plain(client);
        } else if (!decode_chunks(client)) {
                if (client->lane)
                        lambda_lane_fail(client->lane, "Runtime.BrokenResponse",
                                         "The response is not a valid chunked body.");
                return PROGRESS_OVER;
        }
        return PROGRESS_MADE;
}

/* --- the connection -------------------------------------------------------------------------- */

static enum progress step(struct lambda_client *client)
{
        switch (client->state) {
        case CLIENT_HEAD:
                return read_head(client);
        case CLIENT_WAITING:
                return client->hung_up ? PROGRESS_OVER : PROGRESS_NONE;
        case CLIENT_BODY:
                return read_body(client);
        case CLIENT_REPLY:
                return send_reply(client);
        }
        return PROGRESS_OVER;
}

static void client_run(struct lambda_client *client)
{
        enum progress progress = PROGRESS_MADE;

        for (int steps = 0; progress == PROGRESS_MADE && steps < STEPS_MAX; steps++)
                progress = step(client);
        if (progress == PROGRESS_OVER)
                client_close(client);
        else if (progress == PROGRESS_MADE)
                loop_defer_turn(&client->lambda->service.loop, &client->task);
}

static void on_event(struct loop_source *source, uint32_t events)
{
        struct lambda_client *client = CONTAINER_OF(source, struct lambda_client, source);

        if (events & ~(uint32_t)EPOLLOUT)
                client->readable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                client->hung_up = true;
        client_run(client);
}

static void run_task(struct loop_task *task)
{
        client_run(CONTAINER_OF(task, struct lambda_client, task));
}

static void client_open(struct lambda *lambda, int fd)
{
        AUTO(fd_close) int owned = fd;
        struct lambda_client *client = calloc(1, sizeof(*client));
        int one = 1;

        if (!client)
                return;
        client->lambda = lambda;
        list_init(&client->waiting);
        loop_source_init(&client->source, on_event);
        loop_task_init(&client->task, run_task);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (loop_add(&lambda->service.loop, &client->source, fd, WATCHED) < 0) {
                free(client);
                return;
        }
        (void)fd_steal(&owned);
        list_push_back(&lambda->clients, &client->link);
        lambda->client_count++;
}

/* Level-triggered; one a turn. Beyond the bound they wait in the backlog. */
static void on_connection(struct loop_source *source, uint32_t events)
{
        struct lambda *lambda = CONTAINER_OF(source, struct lambda, listener);
        int fd;

        (void)events;
        if (lambda->client_count == LAMBDA_CLIENTS_MAX) {
                (void)loop_modify(&lambda->service.loop, source, 0);
                return;
        }
        fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
                client_open(lambda, fd);
}

int lambda_listen(struct lambda *lambda)
{
        const struct sockaddr_in address = {.sin_family = AF_INET,
                                            .sin_port = htons(LAMBDA_PORT),
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        AUTO(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int one = 1, r;

        list_init(&lambda->clients);
        list_init(&lambda->waiting);
        loop_source_init(&lambda->listener, on_connection);
        if (fd < 0)
                return -errno;
        /* The sandbox may have had an instance before. */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, SOMAXCONN) < 0)
                return -errno;
        r = loop_add(&lambda->service.loop, &lambda->listener, fd, EPOLLIN);
        if (r == 0)
                (void)fd_steal(&fd);
        return r;
}
