/* Answers of the function's server; see http_lane.h. */
#include "init/http_lane_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void post(struct http_lane *self, bool end)
{
        struct worker_frame frame = {
                .type = self->announced ? WORKER_DATA : WORKER_RESULT,
                .flags = end ? WORKER_FLAG_END : 0,
                .meta = slice_make(self->answer, self->meta_length),
                .payload = slice_make(self->answer + self->begin, self->end - self->begin),
        };

        if (!self->announced) {
                uint64_t ran_us = (clock_now_ns() - self->begun_ns) / 1000 + 1;
                frame.value = (uint64_t)self->status;
                if (end)
                        frame.value |= (ran_us < UINT32_MAX ? ran_us : UINT32_MAX) << 32;
        }
        self->announced = true;
        if (end)
                self->answer_state = ANSWER_ENDED;
        lane_post(&self->lane, &frame);
        self->begin = self->end = self->meta_length = 0;
}

/* --- the body -------------------------------------------------------------------------------- */

/* Decodes [raw, raw + length) to `end`, which it stands at or behind. False where it is no chunked
 * body. */
static bool absorb_chunks(struct http_lane *self, const char *raw, size_t length, bool *ret_ended)
{
        struct slice input = slice_make(raw, length), payload;
        struct http_refusal refusal;

        for (;;) {
                switch (http_chunked_next(&self->chunked, &input, &payload, &refusal)) {
                case HTTP_CHUNKED_DATA:
                        memmove(self->answer + self->end, payload.data, payload.length);
                        self->end += payload.length;
                        continue;
                case HTTP_CHUNKED_MORE:
                        return true;
                case HTTP_CHUNKED_DONE:
                        self->keep &= input.length == 0;
                        *ret_ended = true;
                        return true;
                case HTTP_CHUNKED_REFUSED:
                        self->fault = refusal.reason;
                        return false;
                }
        }
}

static void absorb_plain(struct http_lane *self, const char *raw, size_t length)
{
        memmove(self->answer + self->end, raw, length);
        self->end += length;
}

/* Takes what came of the body, and posts it, unless more is to be waited for. */
static void absorb(struct http_lane *self, const char *raw, size_t length)
{
        uint64_t part = length < self->answer_left ? length : self->answer_left;
        bool ended = false, held = false;

        switch (self->answer_body) {
        case HTTP_ANSWER_NONE:
                self->keep &= length == 0;
                ended = true;
                break;
        case HTTP_ANSWER_LENGTH:
                absorb_plain(self, raw, (size_t)part);
                self->answer_left -= part;
                self->keep &= length == part;
                ended = self->answer_left == 0;
                held = !self->announced &&
                       self->answer_left + (self->end - self->begin) <= ANSWER_HELD_MAX;
                break;
        case HTTP_ANSWER_CHUNKED:
                if (!absorb_chunks(self, raw, length, &ended)) {
                        http_lane_fail(self, self->fault);
                        return;
                }
                break;
        case HTTP_ANSWER_UNTIL_CLOSE:
                absorb_plain(self, raw, length);
                break;
        }
        if (ended || (!held && (!self->announced || self->end > self->begin)))
                post(self, ended);
}

/* --- the head -------------------------------------------------------------------------------- */

/* Headers that are about this connection, or that the platform writes itself: of an answer without a
 * body it cannot know the length. */
static bool is_dropped(const struct http_lane *self, struct slice name)
{
        if (slice_equal_fold(name, SLICE("content-length")))
                return !self->request.is_head;
        return http_header_is_hop_by_hop(name);
}

/* Writes the meta over the head: each line is shorter than what it comes from. */
static void write_meta(struct http_lane *self, const struct http_answer *parsed)
{
        char *at = self->answer;

        for (size_t i = 0; i < parsed->header_count; i++) {
                const struct http_header *header = &parsed->headers[i];
                if (is_dropped(self, header->name))
                        continue;
                memmove(at, header->name.data, header->name.length);
                at += header->name.length;
                *at++ = ':';
                memmove(at, header->value.data, header->value.length);
                at += header->value.length;
                *at++ = '\n';
        }
        self->meta_length = (size_t)(at - self->answer);
}

/* A final head is there. */
static void take_head(struct http_lane *self, const struct http_answer *parsed)
{
        size_t length = self->end - parsed->head_length;

        write_meta(self, parsed);
        self->status = parsed->status;
        self->keep = parsed->keep_alive;
        self->answer_body = parsed->body;
        self->answer_left = parsed->content_length;
        self->answer_state = ANSWER_BODY;
        self->begin = self->end = parsed->head_length;
        if (parsed->body == HTTP_ANSWER_CHUNKED)
                http_chunked_init(&self->chunked, UINT64_MAX);
        absorb(self, self->answer + parsed->head_length, length);
}

/* Heads of interim answers (1xx) are dropped: the body is on its way anyway. */
static void look_at_head(struct http_lane *self)
{
        struct http_answer *parsed = &self->server->parsed;
        const char *fault;

        while (self->answer_state == ANSWER_HEAD) {
                switch (http_answer_parse(self->answer, self->end, self->scanned, WORKER_META_MAX,
                                          self->request.is_head, parsed, &fault)) {
                case HTTP_PARSE_MORE:
                        self->scanned = self->end;
                        return;
                case HTTP_PARSE_REFUSED:
                        http_lane_fail(self, fault);
                        return;
                case HTTP_PARSE_DONE:
                        break;
                }
                if (parsed->status >= 200) {
                        take_head(self, parsed);
                } else if (parsed->status == 101) {
                        http_lane_fail(self, "The server switches protocols, unasked.");
                } else {
                        self->end -= parsed->head_length;
                        memmove(self->answer, self->answer + parsed->head_length, self->end);
                        self->scanned = 0;
                }
        }
}

/* A server that writes head and body apart, and has Nagle's algorithm on, sends the second when we
 * have acknowledged the first, which the kernel would do after 40 ms (tcp(7), TCP_QUICKACK). */
static void hurry_up(const struct http_lane *self)
{
        int one = 1;

        if (self->source.fd >= 0 && !self->readable &&
            (self->answer_state == ANSWER_HEAD || self->answer_state == ANSWER_BODY))
                (void)setsockopt(self->source.fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

bool http_lane_receive_answer(struct http_lane *self)
{
        size_t room = ANSWER_MAX - self->end;
        ssize_t got;

        if (!self->readable || self->source.fd < 0 ||
            (self->answer_state != ANSWER_HEAD && self->answer_state != ANSWER_BODY))
                return false;
        got = recv(self->source.fd, self->answer + self->end, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
                return true;
        if (got < 0 && errno == EAGAIN) {
                self->readable = false;
                return false;
        }
        if (got > 0) {
                /* Less than there was room for was all, and more is an event of its own: epoll(7). */
                self->readable = (size_t)got == room || self->hung_up;
                self->heard = true;
        }
        if (got > 0 && self->answer_state == ANSWER_HEAD) {
                self->end += (size_t)got;
                look_at_head(self);
        } else if (got > 0) {
                absorb(self, self->answer + self->end, (size_t)got);
        } else if (got == 0 && self->answer_state == ANSWER_BODY &&
                   self->answer_body == HTTP_ANSWER_UNTIL_CLOSE) {
                self->keep = false;
                post(self, true);
        } else {
                http_lane_break_off(self);
        }
        hurry_up(self);
        return true;
}
