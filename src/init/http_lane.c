/* Invocations of the http contract; see http_lane.h. What concerns the answer is in
 * http_lane_answer.c. */
#include "init/http_lane.h"
#include "init/http_lane_parts.h"
#include "init/upstream.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* Less than servers let a connection rest before they close it: Gunicorn 2 s, Node and Uvicorn 5 s. Idle
 * instances are frozen meanwhile, and in the moment of the thaw the server's time is over and the call is
 * there. */
#define REST_MAX_MS 1000

static struct http_lane *self_of(struct lane *lane)
{
        return CONTAINER_OF(lane, struct http_lane, lane);
}

void http_lane_disconnect(struct http_lane *self)
{
        int fd = self->source.fd;

        loop_remove(&self->server->service.loop, &self->source);
        fd_close(&fd);
}

/* Between requests a server can only say that it goes; anything else is nonsense. What this event
 * tells of may have been read in the same turn, though. */
static bool has_something_to_say(struct http_lane *self)
{
        char byte;
        ssize_t got = recv(self->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

        self->readable = false;
        return got >= 0 || errno != EAGAIN;
}

/* Whether the server may be about to close this idle connection, so that what cannot be sent again had
 * better take a new one. */
static bool may_be_ending(struct http_lane *self)
{
        uint64_t rested_ns = self->server->service.loop.now_ns - self->rests_since_ns;

        return rested_ns > REST_MAX_MS * NS_PER_MS || has_something_to_say(self);
}

static void on_event(struct loop_source *source, uint32_t events)
{
        struct http_lane *self = CONTAINER_OF(source, struct http_lane, source);

        if (events & ~(uint32_t)EPOLLOUT)
                self->readable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                self->hung_up = true;
        if (self->lane.id != 0)
                lane_run(&self->lane);
        else if (self->readable && has_something_to_say(self))
                http_lane_disconnect(self);
}

static void on_grace_over(struct timer *timer)
{
        struct http_lane *self = CONTAINER_OF(timer, struct http_lane, timer);

        http_lane_fail(self,
                       "The server has closed the connection before its answer was complete.");
        lane_run(&self->lane);
}

static struct lane *http_open(struct lanes *lanes)
{
        struct http_lane *self = calloc(1, sizeof(*self));

        if (!self)
                return NULL;
        self->server = CONTAINER_OF(lanes, struct http_server, lanes);
        loop_source_init(&self->source, on_event);
        timer_init(&self->timer, on_grace_over);
        return &self->lane;
}

static void http_close(struct lane *lane)
{
        struct http_lane *self = self_of(lane);

        http_lane_disconnect(self);
        loop_remove_timer(&self->server->service.loop, &self->timer);
        free(self);
}

void http_lane_connected(struct http_lane *self, int fd)
{
        AUTO(fd_close) int owned = fd;

        if (loop_add(&self->server->service.loop, &self->source, fd, WATCHED) < 0)
                return;
        (void)fd_steal(&owned);
        self->readable = self->hung_up = false;
        self->reused = true;
        self->rests_since_ns = clock_now_ns();
}

/* False where nobody listens. */
static bool connect_anew(struct http_lane *self)
{
        AUTO(fd_close) int fd = upstream_connect(self->server->port, self->server->ipv6);

        if (fd < 0 || loop_add(&self->server->service.loop, &self->source, fd, WATCHED) < 0)
                return false;
        (void)fd_steal(&fd);
        self->readable = self->hung_up = self->reused = false;
        return true;
}

/* The connection that the server was found with is lane 0's, which carries no call where there are others.
 * Left open there it would keep a server that serves one connection after the other from all of them. */
static bool take_over_first(struct http_lane *self)
{
        struct http_lane *first = self_of(self->server->lanes.main);
        int fd = first->source.fd;

        if (!self->server->first_is_spare || first == self || fd < 0)
                return false;
        self->server->first_is_spare = false;
        if (!self->replayable && may_be_ending(first)) {
                http_lane_disconnect(first);
                return false;
        }
        loop_remove(&self->server->service.loop, &first->source);
        http_lane_connected(self, fd);
        return self->source.fd >= 0;
}

/* --- the request ----------------------------------------------------------------------------- */

/* The payload of the frame at hand goes out next, behind `first` if that is a head. */
static void prepare(struct http_lane *self, struct slice first, struct slice payload)
{
        struct slice *part = self->unsent;

        memset(self->unsent, 0, sizeof(self->unsent));
        *part++ = first;
        if (!self->request.chunked) {
                *part = payload;
                return;
        }
        if (payload.length > 0) {
                *part++ = slice_make(self->chunk, http_chunk_head(payload.length, self->chunk));
                *part++ = payload;
                *part = HTTP_CHUNK_TAIL;
        }
        if (!self->lane.body_ended)
                return;
        /* The end of the last chunk and the end of all are one text. */
        *part = payload.length > 0 ? SLICE("\r\n0\r\n\r\n") : HTTP_CHUNK_LAST;
}

/* False where the body is not as long as its head has said. */
static bool count_body(struct http_lane *self, size_t length)
{
        if (self->request.chunked)
                return true;
        if (length > self->body_left || (self->lane.body_ended && length < self->body_left))
                return false;
        self->body_left -= length;
        return true;
}

static void refuse_websocket(struct http_lane *self)
{
        static const char text[] = "WebSocket connections are not possible here.\n";

        lane_post(&self->lane, &(struct worker_frame){.type = WORKER_RESULT,
                                                      .flags = WORKER_FLAG_END,
                                                      .value = 501,
                                                      .meta = SLICE("content-type:text/plain\n"),
                                                      .payload = SLICE(text)});
        self->answer_state = ANSWER_ENDED;
}

static void begin(struct http_lane *self, const struct worker_frame *invoke)
{
        struct lane *lane = &self->lane;
        int r;

        lane->id = invoke->id;
        lane->body_ended = invoke->flags & WORKER_FLAG_END;
        self->answer_state = ANSWER_HEAD;
        self->scanned = self->meta_length = self->begin = self->end = 0;
        self->heard = self->announced = self->request_broken = self->keep = false;
        self->payload = invoke->payload;
        self->begun_ns = self->server->service.loop.now_ns;
        r = upstream_request_write(invoke, self->head, sizeof(self->head), &self->request);
        if (r == -EPROTO || lane->id == 0) {
                lane_break(lane);
                return;
        }
        self->replayable = lane->body_ended && self->request.is_idempotent;
        if (!self->replayable && self->source.fd >= 0 && may_be_ending(self))
                http_lane_disconnect(self);
        self->body_left = self->request.length;
        if (lane == lane->lanes->main)
                self->server->first_is_spare = false;
        if (r < 0)
                http_lane_fail(self, "The request's head is too long to be handed on.");
        else if (self->request.is_websocket)
                refuse_websocket(self);
        else if (!count_body(self, invoke->payload.length))
                http_lane_fail(self, "The request's body is not as long as its head says.");
        else
                prepare(self, slice_make(self->head, self->request.head_length), invoke->payload);
}

/* The next invocation, where there is one. */
static bool receive_invocation(struct http_lane *self)
{
        struct worker_frame frame;

        if (lane_receive(&self->lane, self->frame, &frame) != LANE_FRAME)
                return false;
        /* The rest of a body that the server did not want may still come. */
        if (frame.type == WORKER_INVOKE)
                begin(self, &frame);
        else if (frame.type != WORKER_DATA)
                lane_break(&self->lane);
        return true;
}

static bool all_is_sent(const struct http_lane *self)
{
        for (size_t i = 0; i < UNSENT_MAX; i++)
                if (self->unsent[i].length > 0)
                        return false;
        return true;
}

static bool receive_body(struct http_lane *self)
{
        struct lane *lane = &self->lane;
        struct worker_frame frame;

        if (lane->body_ended || self->request_broken || !all_is_sent(self))
                return false;
        if (lane_receive(lane, self->frame, &frame) != LANE_FRAME)
                return false;
        if (frame.type != WORKER_DATA || frame.id != lane->id) {
                lane_break(lane);
                return false;
        }
        lane->body_ended = frame.flags & WORKER_FLAG_END;
        if (count_body(self, frame.payload.length))
                prepare(self, (struct slice){0}, frame.payload);
        else
                http_lane_fail(self, "The request's body is not as long as its head says.");
        return true;
}

static void take_off(struct http_lane *self, size_t sent)
{
        for (size_t i = 0; i < UNSENT_MAX && sent > 0; i++) {
                size_t part = sent < self->unsent[i].length ? sent : self->unsent[i].length;
                self->unsent[i] = slice_skip(self->unsent[i], part);
                sent -= part;
        }
}

static bool send_request(struct http_lane *self)
{
        struct iovec parts[UNSENT_MAX];
        struct msghdr message = {.msg_iov = parts};
        ssize_t sent;

        for (size_t i = 0; i < UNSENT_MAX; i++)
                if (self->unsent[i].length > 0)
                        parts[message.msg_iovlen++] =
                                (struct iovec){.iov_base = (void *)(uintptr_t)self->unsent[i].data,
                                               .iov_len = self->unsent[i].length};
        if (message.msg_iovlen == 0)
                return false;
        if (self->source.fd < 0 && !take_over_first(self) && !connect_anew(self)) {
                http_lane_break_off(self);
                return true;
        }
        sent = sendmsg(self->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
                return errno == EINTR;
        if (sent < 0) {
                /* It may have answered before it closed: what there is to read tells. */
                self->request_broken = true;
                self->readable = true;
                memset(self->unsent, 0, sizeof(self->unsent));
                return true;
        }
        take_off(self, (size_t)sent);
        return true;
}

/* Once more from the beginning, on a new connection: the old one was closed while it was idle, as
 * far as can be known (RFC 9112, section 9.3.1). As far as can be known only, so never what must not be
 * done twice. False where that is no way out. */
static bool try_again(struct http_lane *self)
{
        if (!self->reused || !self->replayable || self->heard)
                return false;
        self->reused = self->request_broken = false;
        prepare(self, slice_make(self->head, self->request.head_length), self->payload);
        return true;
}

void http_lane_break_off(struct http_lane *self)
{
        http_lane_disconnect(self);
        memset(self->unsent, 0, sizeof(self->unsent));
        if (try_again(self))
                return;
        self->answer_state = ANSWER_BROKEN;
        loop_set_timer(&self->server->service.loop, &self->timer, SERVICE_GRACE_MS);
}

void http_lane_fail(struct http_lane *self, const char *fault)
{
        http_lane_disconnect(self);
        memset(self->unsent, 0, sizeof(self->unsent));
        self->answer_state = ANSWER_FAILED;
        self->fault = fault;
}

/* The answer's last frame has left. */
static void end_invocation(struct http_lane *self)
{
        bool complete = self->lane.body_ended && all_is_sent(self) && !self->request_broken;

        if (self->source.fd >= 0 && (!self->keep || !complete || self->hung_up))
                http_lane_disconnect(self);
        self->reused = true;
        self->readable = false;
        self->rests_since_ns = self->server->service.loop.now_ns;
        self->lane.id = 0;
}

static bool http_step(struct lane *lane)
{
        struct http_lane *self = self_of(lane);
        bool has_room = lane_flush(lane);

        if (lane->id == 0)
                return receive_invocation(self);
        switch (self->answer_state) {
        case ANSWER_HEAD:
        case ANSWER_BODY:
                /* Not one or the other: either may have to wait for the third. */
                return (int)send_request(self) | (int)receive_body(self) |
                       (int)(has_room && http_lane_receive_answer(self));
        case ANSWER_BROKEN:
                return false;
        case ANSWER_FAILED:
                if (!has_room)
                        return false;
                lane_post_error(lane, self->frame, "ProtocolError", self->fault);
                self->answer_state = ANSWER_ENDED;
                return true;
        case ANSWER_ENDED:
                if (has_room)
                        end_invocation(self);
                return has_room;
        }
        return false;
}

const struct lane_contract http_lane_contract = {
        .open = http_open,
        .step = http_step,
        .close = http_close,
};

void http_lane_hear_out(struct http_lane *self)
{
        uint32_t id = self->lane.id;

        self->readable = self->hung_up = true;
        while (id != 0 && self->lane.id == id && http_step(&self->lane))
                ;
}
