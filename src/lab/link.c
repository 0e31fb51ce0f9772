/* A connection's life: connect, ask, read the answer, again; see engine_parts.h. */
#include "lab/engine_parts.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void link_init(struct link *link, struct client *client, const struct origin *origin)
{
        *link = (struct link){.fd = -1, .client = client, .origin = origin};
}

static struct engine *link_engine(const struct link *link)
{
        return link->client->engine;
}

/* No system call where nothing changes. */
static int link_watch(struct link *link, uint32_t events)
{
        struct engine *engine = link_engine(link);
        struct epoll_event event = {
                .events = events,
                .data.u64 = (uint64_t)link->generation << 32 | (uint64_t)(link - engine->links),
        };
        int operation = link->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (link->events == events)
                return 0;
        if (epoll_ctl(engine->epoll_fd, operation, link->fd, &event) < 0)
                return -errno;
        link->events = events;
        return 0;
}

void link_close(struct link *link)
{
        struct engine *engine = link_engine(link);

        if (link->state == LINK_CLOSED)
                return;
        if (link->state == LINK_IDLE || link->state == LINK_BUSY)
                engine->open_count--;
        transport_close(link);
        reading_drop(&link->reading, &engine->spills);
        link->generation++;
        link->events = 0;
        link->state = LINK_CLOSED;
}

static enum failure failure_of(int code, bool was_connected)
{
        switch (code) {
        case -EMFILE:
        case -ENFILE:
        case -ENOBUFS:
        case -ENOMEM:
        case -EADDRNOTAVAIL:
                return FAILURE_LOCAL;
        case -EPROTO:
                return was_connected ? FAILURE_PROTOCOL : FAILURE_TLS;
        case -ETIMEDOUT:
                return was_connected ? FAILURE_TIMEOUT : FAILURE_CONNECT_TIMEOUT;
        default:
                break;
        }
        return was_connected || code == -ECONNRESET || code == -EPIPE ? FAILURE_RESET
                                                                      : FAILURE_REFUSED;
}

static void link_fail(struct link *link, enum failure failure)
{
        link_close(link);
        client_failed(link->client, failure);
}

static void link_fail_connecting(struct link *link, int code)
{
        engine_tally(link_engine(link))->connect_failures++;
        link_fail(link, failure_of(code, false));
}

/* --- the answer ------------------------------------------------------------------------------ */

/* It is complete: the link may serve again, or is closed. */
static void link_finish(struct link *link)
{
        struct client *client = link->client;
        bool is_sent = link->sent == client->target->bytes.length;
        int status = link->reading.status;

        /* What the server did not want to read is still on its way: nothing can follow it. */
        if (link->reading.keep_alive && is_sent && client->engine->load->keep_alive) {
                reading_drop(&link->reading, &client->engine->spills);
                link->state = LINK_IDLE;
        } else {
                link_close(link);
        }
        client_answered(client, status);
}

static void link_conclude(struct link *link, enum reading_result result)
{
        switch (result) {
        case READING_MORE:
                return;
        case READING_DONE:
                link_finish(link);
                return;
        case READING_BROKEN:
                link_fail(link, FAILURE_PROTOCOL);
                return;
        case READING_SHORT:
                link_fail(link, FAILURE_SHORT);
                return;
        case READING_EMPTY:
                link_fail(link, FAILURE_RESET);
                return;
        }
}

static void link_receive(struct link *link)
{
        struct engine *engine = link_engine(link);
        enum reading_result result;
        ssize_t count;

        do {
                count = transport_receive(link, engine->input, sizeof(engine->input));
                if (count == -EAGAIN || count == -EINTR)
                        return;
                if (count == 0) {
                        link_conclude(link, reading_end(&link->reading));
                        return;
                }
                if (count < 0) {
                        link_fail(link, failure_of((int)count, true));
                        return;
                }
                engine_tally(engine)->bytes_in += (uint64_t)count;
                result = reading_feed(&link->reading, &engine->spills,
                                      slice_make(engine->input, (size_t)count));
                /* A socket that had less than was asked for has no more; TLS may hold some back. */
        } while (result == READING_MORE && (link->tls || (size_t)count == sizeof(engine->input)));
        link_conclude(link, result);
}

/* Nobody asked: the server closes, or says that it will. Either ends the connection. */
static void link_receive_idle(struct link *link)
{
        char unasked[256];
        ssize_t count = transport_receive(link, unasked, sizeof(unasked));

        if (count != -EAGAIN && count != -EINTR)
                link_close(link);
}

/* --- the request ----------------------------------------------------------------------------- */

static void link_connected(struct link *link)
{
        struct engine *engine = link_engine(link);
        struct tally *tally = engine_tally(engine);

        tally->connected++;
        histogram_record(&tally->connecting, clock_now_ns() - link->connecting_ns, 1);
        engine->open_count++;
        if (engine->open_count > tally->connections_max)
                tally->connections_max = engine->open_count;
        link->state = LINK_BUSY;
}

static void link_begin_request(struct link *link)
{
        struct client *client = link->client;

        link->state = LINK_BUSY;
        link->sent = 0;
        reading_begin(&link->reading, client->target->is_head);
        client_wait_until(client,
                          client->engine->now_ns + client->engine->load->request_timeout_ns);
}

/* Bytes that were taken, or a negative errno. */
static ssize_t link_send_some(struct link *link)
{
        struct slice bytes = link->client->target->bytes;
        ssize_t count = transport_send(link, bytes.data + link->sent, bytes.length - link->sent);

        if (count > 0) {
                link->sent += (size_t)count;
                engine_tally(link_engine(link))->bytes_out += (uint64_t)count;
        }
        return count;
}

static void link_send(struct link *link)
{
        size_t length = link->client->target->bytes.length;
        uint32_t generation = link->generation;
        ssize_t count = 1;

        while (link->sent < length && count > 0)
                count = link_send_some(link);
        if (count < 0 && count != -EAGAIN && count != -EINTR) {
                /* A server may answer before it has read all, and close: then that counts. */
                link_receive(link);
                if (link->generation == generation)
                        link_fail(link, failure_of((int)count, true));
                return;
        }
        if (link_watch(link, link->sent < length ? EPOLLIN | EPOLLOUT : EPOLLIN) < 0)
                link_fail(link, FAILURE_LOCAL);
}

static void link_handshake(struct link *link)
{
        struct engine *engine = link_engine(link);
        uint32_t events = EPOLLIN;
        int r = transport_handshake(link, engine->load, &events);

        if (r == -EAGAIN) {
                if (link_watch(link, events) < 0)
                        link_fail(link, FAILURE_LOCAL);
                return;
        }
        if (r < 0) {
                link_fail_connecting(link, r);
                return;
        }
        link_connected(link);
        link_begin_request(link);
        link_send(link);
}

/* On loopback a connection is there as soon as connect(2) returns, though it says EINPROGRESS: so
 * the request goes out at once, and only where it cannot is there something to wait for. */
static void link_try_at_once(struct link *link)
{
        struct engine *engine = link_engine(link);
        ssize_t count;

        link->sent = 0;
        count = link_send_some(link);
        if (count >= 0) {
                size_t sent = link->sent;
                link_connected(link);
                link_begin_request(link);
                link->sent = sent;
                link_send(link);
        } else if (count == -EAGAIN || count == -ENOTCONN) {
                client_wait_until(link->client, engine->now_ns + engine->load->connect_timeout_ns);
                if (link_watch(link, EPOLLOUT) < 0)
                        link_fail(link, FAILURE_LOCAL);
        } else {
                link_fail_connecting(link, (int)count);
        }
}

static void link_connect(struct link *link)
{
        struct engine *engine = link_engine(link);
        int r;

        link->connecting_ns = engine->now_ns;
        link->state = LINK_CONNECTING;
        r = transport_connect(link);
        if (r < 0) {
                link_fail_connecting(link, r);
                return;
        }
        if (!link->origin->is_tls) {
                link_try_at_once(link);
                return;
        }
        client_wait_until(link->client, engine->now_ns + engine->load->connect_timeout_ns);
        if (link_watch(link, EPOLLOUT) < 0)
                link_fail(link, FAILURE_LOCAL);
}

static void link_on_connected(struct link *link)
{
        socklen_t length = sizeof(int);
        int code = 0;

        if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
                code = errno;
        if (code != 0) {
                link_fail_connecting(link, -code);
        } else if (link->origin->is_tls) {
                link->state = LINK_HANDSHAKE;
                link_handshake(link);
        } else {
                link_connected(link);
                link_begin_request(link);
                link_send(link);
        }
}

void link_ask(struct link *link)
{
        assert(link->state == LINK_CLOSED || link->state == LINK_IDLE);
        if (link->state == LINK_CLOSED) {
                link_connect(link);
                return;
        }
        link_begin_request(link);
        link_send(link);
}

void link_on_event(struct link *link, uint32_t events)
{
        switch (link->state) {
        case LINK_CLOSED:
                return;
        case LINK_CONNECTING:
                link_on_connected(link);
                return;
        case LINK_HANDSHAKE:
                link_handshake(link);
                return;
        case LINK_IDLE:
                link_receive_idle(link);
                return;
        case LINK_BUSY:
                if (events & (uint32_t)~EPOLLOUT)
                        link_receive(link);
                if (link->state == LINK_BUSY && link->sent < link->client->target->bytes.length)
                        link_send(link);
                return;
        }
}
