/* A client's connection; see connection.h. */
#include "gateway/connection.h"

#include "base/auto.h"
#include "base/clock.h"
#include "gateway/connection_parts.h"
#include "gateway/gateway.h"
#include "gateway/response.h"
#include "gateway/router.h"
#include "gateway/tenants.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LINGER_MS 2000
#define LINGER_MAX_BYTES                                                                           \
        (8u << 20) /* more than the rest of a body, 6 MiB unless --payload-max says so */

uint64_t connection_now_ms(const struct connection *connection)
{
        return connection->thread->loop.now_ns / NS_PER_MS;
}

/* Is it the client's turn? Where the function is busy, or does not take the body, its own limit
 * counts. */
static bool connection_waits_for_client(struct connection *connection)
{
        struct exchange *exchange = connection->exchange;

        if (connection_backlog(connection) > 0)
                return true;
        if (turns_item_is_parked(&connection->turn))
                return false;
        switch (connection->state) {
        case CONNECTION_SUSPENDED:
        case CONNECTION_ANSWER:
                return false;
        case CONNECTION_BODY:
                return exchange->ops->room(exchange) > 0;
        case CONNECTION_HEAD:
        case CONNECTION_FLUSH:
        case CONNECTION_LINGER:
                break;
        }
        return true;
}

/* Is it a body that the client sends, to be taken in pieces or in one? */
static bool connection_is_in_body(const struct connection *connection)
{
        return connection->state == CONNECTION_BODY ||
               (connection->state == CONNECTION_HEAD && connection->needed > 0);
}

static void connection_on_timer(struct timer *timer)
{
        struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
        uint64_t now_ms = connection_now_ms(connection);
        bool waits_for_client;

        if (connection->deadline_ms > now_ms) {
                loop_set_timer(&connection->thread->loop, timer, connection->deadline_ms - now_ms);
                return;
        }
        if (connection->deadline_ms == 0)
                return; /* connection_touch() sets it again */
        waits_for_client = connection_waits_for_client(connection);
        if (connection->fd < 0)
                return; /* what it had for the function was sent on, and that has ended it */
        if (!waits_for_client) {
                connection_touch(connection, connection->thread->gateway->config.stall_timeout_ms);
                return;
        }
        if (connection->state == CONNECTION_HEAD && connection->needed == 0 &&
            block_length(connection->input) > 0)
                response_refuse(connection, 408, "request.timeout",
                                "The request head did not arrive in time.");
        else if (connection_is_in_body(connection) && !connection->head_sent &&
                 connection_backlog(connection) == 0)
                response_refuse(connection, 408, "request.timeout",
                                "The request body did not arrive in time.");
        else
                connection_close(connection);
}

void connection_touch(struct connection *connection, uint32_t timeout_ms)
{
        connection->deadline_ms = timeout_ms ? connection_now_ms(connection) + timeout_ms : 0;
        if (timeout_ms == 0)
                return;
        /* A timer that fires too early looks and sleeps on; one that would fire too late moves. */
        if (!timer_is_set(&connection->timer) || connection->timer.due_ms > connection->deadline_ms)
                loop_set_timer(&connection->thread->loop, &connection->timer, timeout_ms);
}

uint32_t connection_events(const struct connection *connection)
{
        uint32_t events = 0;

        if (connection_backlog(connection) > 0)
                events |= EPOLLOUT;
        /* While there is unprocessed input the client has to wait: its window closes. */
        if (!connection->peer_closed && connection->state != CONNECTION_FLUSH &&
            !turns_item_is_parked(&connection->turn) &&
            (block_length(connection->input) < BLOCK_LARGE / 2 ||
             block_length(connection->input) < connection->needed))
                events |= EPOLLIN | EPOLLRDHUP;
        return events;
}

void connection_watch(struct connection *connection)
{
        if (connection->fd >= 0 && list_is_empty(&connection->leaving))
                (void)loop_modify(&connection->thread->loop, &connection->source,
                                  connection_events(connection));
}

void connection_close(struct connection *connection)
{
        struct gateway_thread *thread = connection->thread;
        struct exchange *exchange = connection->exchange;

        if (connection->fd < 0)
                return;
        list_remove(&connection->link);
        list_remove(&connection->leaving);
        loop_remove(&thread->loop, &connection->source);
        loop_remove_timer(&thread->loop, &connection->timer);
        turns_forget(&thread->tenants.turns, &connection->turn);
        fd_close(&connection->fd);
        accept_expect_no_more(connection);
        atomic_fetch_sub_explicit(&thread->connection_count, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&thread->gateway->connection_count, 1, memory_order_relaxed);
        connection->exchange = NULL;
        if (exchange) {
                exchange->connection = NULL;
                exchange->ops->gone(exchange);
        }
        /* Whoever is in the middle of using it sees fd -1; the memory goes at the turn's end. */
        loop_defer(&thread->loop, &connection->resume_task);
}

static void connection_drop_input(struct connection *connection)
{
        block_give(&connection->thread->blocks, connection->input);
        connection->input = NULL;
}

static void connection_free(struct connection *connection)
{
        connection_drop_input(connection);
        connection_drop_output(connection);
        free(connection);
}

/* Keeps what was read and not processed. False when no memory may be had. */
static bool connection_keep_input(struct connection *connection, struct slice rest)
{
        struct blocks *blocks = &connection->thread->blocks;
        struct block *block = connection->input;
        size_t room = rest.length > connection->needed ? rest.length : connection->needed;

        if (rest.length == 0) {
                connection_drop_input(connection);
                return true;
        }
        if (!block || block->capacity < room) {
                struct block *larger = block_take(blocks, room > BLOCK_LARGE ? BLOCK_LARGE : room);
                if (!larger)
                        return false;
                memcpy(larger->data, rest.data, rest.length);
                block_give(blocks, block);
                connection->input = block = larger;
        } else {
                memmove(block->data, rest.data, rest.length);
                if (block->end > rest.length) /* what is beyond the end is not wiped later */
                        explicit_bzero(block->data + rest.length, block->end - rest.length);
        }
        block->start = 0;
        block->end = (uint32_t)rest.length;
        return true;
}

/* Parses a head and finds its exchange. False: nothing more can be done with this input now. */
static bool connection_take_head(struct connection *connection, struct slice *input)
{
        struct gateway_thread *thread = connection->thread;
        const struct http_limits limits = HTTP_LIMITS_DEFAULT;
        struct http_request *request = &thread->request;
        struct http_refusal refusal;
        size_t consumed;

        if (input->length < connection->needed)
                return false;
        switch (http_request_parse(input->data, input->length, connection->scanned, &limits,
                                   request, &refusal)) {
        case HTTP_PARSE_MORE:
                if (connection->scanned == 0)
                        connection_begin_head(connection);
                connection->scanned = input->length;
                return false;
        case HTTP_PARSE_REFUSED:
                response_refuse(connection, refusal.status, "request.malformed", refusal.reason);
                return false;
        case HTTP_PARSE_DONE:
                break;
        }
        connection->scanned = 0;
        consumed = request->head_length;
        connection->method = request->method;
        connection->minor_version = request->minor_version;
        connection->keep_alive = request->keep_alive;
        connection->head_sent = false;
        connection->body = request->body;
        connection->body_left = request->content_length;
        connection->is_followed = input->length - consumed > request->content_length;
        connection->body_ended =
                request->body == HTTP_BODY_NONE ||
                (request->body == HTTP_BODY_LENGTH && request->content_length == 0);

        switch (gateway_route(connection, request, *input, &consumed)) {
        case ROUTE_MORE: /* a small body is waited for, so that it goes in one piece */
                return false;
        case ROUTE_SUSPENDED:
                connection->state = CONNECTION_SUSPENDED;
                return false;
        case ROUTE_ANSWERED:
        case ROUTE_EXCHANGE:
                break;
        }
        connection->needed = 0;
        if (connection->fd < 0)
                return false;
        *input = slice_skip(*input, consumed);
        return true;
}

static void connection_refuse_chunk(struct connection *connection,
                                    const struct http_refusal *refusal)
{
        char text[TOO_LARGE_SIZE];

        if (refusal->status == 413)
                response_refuse(connection, 413, "payload.too_large",
                                response_too_large(connection->chunked.body_max, text));
        else
                response_refuse(connection, refusal->status, "request.malformed", refusal->reason);
}

/* One piece of the body for the exchange. False: it takes no more now, or nothing is there. */
static bool connection_take_body(struct connection *connection, struct slice *input)
{
        struct exchange *exchange = connection->exchange;
        struct slice payload = {0}, piece = *input;
        struct http_refusal refusal;
        size_t room = exchange->ops->room(exchange);
        bool end;

        if (piece.length > room)
                piece.length = room;
        if (connection->body == HTTP_BODY_LENGTH) {
                if (piece.length > connection->body_left)
                        piece.length = (size_t)connection->body_left;
                if (piece.length == 0)
                        return false;
                connection->body_left -= piece.length;
                *input = slice_skip(*input, piece.length);
                end = connection->body_left == 0;
                payload = piece;
        } else {
                size_t before = piece.length;
                enum http_chunked_result result =
                        http_chunked_next(&connection->chunked, &piece, &payload, &refusal);
                *input = slice_skip(*input, before - piece.length);
                if (result == HTTP_CHUNKED_MORE) /* perhaps only where little room cut it short */
                        return before > 0 && input->length > 0;
                if (result == HTTP_CHUNKED_REFUSED) {
                        connection_refuse_chunk(connection, &refusal);
                        return false;
                }
                end = result == HTTP_CHUNKED_DONE;
        }

        connection_touch(connection, connection->thread->gateway->config.stall_timeout_ms);
        connection->body_ended = end;
        if (end) {
                connection->state = CONNECTION_ANSWER;
                connection->is_followed = input->length > 0;
        }
        exchange->ops->body(exchange, payload, end);
        return true;
}

/* Takes requests and bodies off the input as far as they go. */
static struct slice connection_process(struct connection *connection, struct slice input)
{
        bool more = true, is_first = true;

        while (more && connection->fd >= 0) {
                switch (connection->state) {
                case CONNECTION_HEAD:
                        /* An answer that the client does not read holds up its next request. */
                        more = input.length > 0 && connection_backlog(connection) == 0 &&
                               (is_first || tenants_let_next(connection)) &&
                               connection_take_head(connection, &input);
                        is_first = false;
                        break;
                case CONNECTION_BODY:
                        more = connection_take_body(connection, &input);
                        break;
                case CONNECTION_SUSPENDED:
                case CONNECTION_ANSWER:
                case CONNECTION_FLUSH:
                case CONNECTION_LINGER:
                        more = false;
                        break;
                }
        }
        if (connection->state == CONNECTION_FLUSH || connection->state == CONNECTION_LINGER)
                return slice_make(NULL, 0); /* the last answer has been given */
        return input;
}

/* The client sends no more, perhaps since before this request was begun. */
static void connection_heed_half_close(struct connection *connection, bool has_rest)
{
        struct exchange *exchange;

        if (connection->state == CONNECTION_HEAD && connection_backlog(connection) == 0)
                connection_close(connection); /* nothing asked, or half a request */
        else if (connection->state == CONNECTION_HEAD && !has_rest)
                connection->state = CONNECTION_FLUSH; /* a rest is looked at after the answer */
        else if (connection->state == CONNECTION_BODY && !has_rest && !connection->head_sent)
                response_refuse(connection, 400, "request.malformed",
                                "The request's body breaks off.");
        exchange = connection->exchange;
        if (exchange && exchange->ops->half_closed)
                exchange->ops->half_closed(exchange);
}

/* Between requests the time runs from the last answer, in a head from its first byte, or from the last
 * answer where that came later. */
static void connection_settle(struct connection *connection, struct slice rest, bool is_new)
{
        const struct gateway_config *config = &connection->thread->gateway->config;

        if (connection->fd < 0)
                return;
        if (!connection_keep_input(connection, rest)) {
                if (connection->state == CONNECTION_HEAD)
                        response_refuse(connection, 503, "overloaded",
                                        "No memory for more requests at the moment.");
                else
                        connection_close(connection);
                return;
        }
        if (connection->state == CONNECTION_HEAD && connection->needed == 0 && rest.length > 0 &&
            is_new)
                connection_touch(connection, config->head_timeout_ms);
        if (connection->peer_closed && !turns_item_is_parked(&connection->turn))
                connection_heed_half_close(connection, rest.length > 0);
        connection_watch(connection);
}

static void connection_linger(struct connection *connection)
{
        ssize_t length =
                recv(connection->fd, connection->thread->scratch, SCRATCH_SIZE, MSG_DONTWAIT);

        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        connection->lingered += length > 0 ? (size_t)length : 0;
        if (length <= 0 || connection->lingered > LINGER_MAX_BYTES)
                connection_close(connection);
}

void connection_read(struct connection *connection)
{
        struct gateway_thread *thread = connection->thread;
        struct block *block = connection->input;
        size_t held = block_length(block);
        ssize_t length;

        if (connection->state == CONNECTION_LINGER) {
                connection_linger(connection);
                return;
        }
        if (connection->state == CONNECTION_FLUSH)
                return;
        if (held > 0)
                memcpy(thread->scratch, block->data + block->start, held);
        length = recv(connection->fd, thread->scratch + held, SCRATCH_SIZE - held, MSG_DONTWAIT);
        if (length < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        connection_close(connection);
                return;
        }
        if (length == 0)
                connection->peer_closed = true;
        else if (connection->needed > 0)
                connection_touch(connection, thread->gateway->config.stall_timeout_ms);
        if (turns_are_taken(&thread->tenants.turns))
                tenants_charge(connection, (size_t)length);
        connection_settle(
                connection,
                connection_process(connection, slice_make(thread->scratch, held + (size_t)length)),
                held == 0);
}

static void connection_on_event(struct loop_source *source, uint32_t events)
{
        struct connection *connection = CONTAINER_OF(source, struct connection, source);

        if (events & EPOLLOUT)
                connection_send_output(connection);
        if (connection->fd < 0)
                return;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                connection_leave(connection, events & (EPOLLHUP | EPOLLERR));
        else if ((events & EPOLLIN) &&
                 (!turns_are_taken(&connection->thread->tenants.turns) || tenants_let(connection)))
                connection_read(connection);
}

/* Goes on with what was read before. */
static void connection_go_on(struct connection *connection)
{
        struct slice held =
                slice_make(connection->thread->scratch, block_length(connection->input));

        if (held.length > 0)
                memcpy(connection->thread->scratch,
                       connection->input->data + connection->input->start, held.length);
        connection_settle(connection, connection_process(connection, held), true);
}

void connection_unpark(struct connection *connection)
{
        bool goes_on = connection->resume_parked;

        connection->resume_parked = false;
        if (goes_on)
                connection_go_on(connection);
        else
                connection_read(connection);
        connection_watch(connection);
}

static void connection_run_task(struct loop_task *task)
{
        struct connection *connection = CONTAINER_OF(task, struct connection, resume_task);

        if (connection->fd < 0) {
                connection_free(connection);
                return;
        }
        /* One request behind the other counts like one beside the other. */
        if (connection->state == CONNECTION_HEAD && block_length(connection->input) > 0 &&
            (turns_item_is_parked(&connection->turn) ||
             turns_are_taken(&connection->thread->tenants.turns)) &&
            !tenants_let(connection)) {
                connection->resume_parked = true;
                return;
        }
        connection_go_on(connection);
}

void connection_resume(struct connection *connection)
{
        loop_defer(&connection->thread->loop, &connection->resume_task);
}

void connection_guard_end(struct connection *connection, bool guarded)
{
        const struct linger at_once = {.l_onoff = guarded};

        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void connection_finish(struct connection *connection)
{
        if (connection->fd < 0)
                return;
        if (connection_backlog(connection) > 0) {
                connection->state = CONNECTION_FLUSH;
                connection_watch(connection);
                accept_expect_no_more(connection);
                return;
        }
        if (connection->framing.kind == HTTP_FRAMING_CLOSE)
                connection_guard_end(connection, false);
        (void)shutdown(connection->fd, SHUT_WR);
        connection->state = CONNECTION_LINGER;
        /* Else no more would be read, and what is unread resets the answer away. */
        connection_drop_input(connection);
        connection_touch(connection, LINGER_MS);
        connection_watch(connection);
}

void connection_answered(struct connection *connection)
{
        bool more_may_come = !connection->peer_closed || block_length(connection->input) > 0;

        if (connection->exchange) {
                connection->exchange->connection = NULL;
                connection->exchange = NULL;
        }
        if (connection->fd < 0)
                return;
        if (!connection->framing.keep_alive || !connection->body_ended || !more_may_come) {
                connection_finish(connection);
                return;
        }
        connection->state = CONNECTION_HEAD;
        connection->head_sent = false; /* what is wrong with the next head can be said */
        connection_rest(connection);
        if (block_length(connection->input) > 0)
                connection_resume(connection);
}

void connection_drain(struct connection *connection)
{
        connection->keep_alive = false;
        connection->framing.keep_alive = false;
        if (connection_is_unasked(connection))
                connection_finish(connection);
}

bool connection_cut(struct connection *connection)
{
        struct exchange *exchange = connection->exchange;

        if (exchange && exchange->ops->cut)
                exchange->ops->cut(exchange);
        else if (connection->state != CONNECTION_FLUSH && connection->state != CONNECTION_LINGER)
                connection_close(connection);
        return exchange != NULL;
}

int connection_open(struct gateway_thread *thread, int fd, const char *peer)
{
        struct connection *connection = calloc(1, sizeof(*connection));
        const int yes = 1;
        int r = connection ? 0 : -ENOMEM;

        if (r == 0) {
                connection->thread = thread;
                connection->fd = fd;
                (void)strncpy(connection->peer, peer, sizeof(connection->peer) - 1);
                list_init(&connection->link);
                list_init(&connection->leaving);
                turns_item_init(&connection->turn);
                timer_init(&connection->timer, connection_on_timer);
                loop_task_init(&connection->resume_task, connection_run_task);
                loop_source_init(&connection->source, connection_on_event);
                connection->source.comes_first = true;
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
                r = loop_add(&thread->loop, &connection->source, fd, EPOLLIN | EPOLLRDHUP);
        }
        if (r < 0) {
                free(connection);
                fd_close(&fd);
                return r;
        }
        connection_rest(connection);
        atomic_fetch_add_explicit(&thread->connection_count, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&thread->gateway->connection_count, 1, memory_order_relaxed);
        return 0;
}
