/* magpie.h: write a native magpie function in C or C++.
 *
 *     #include "magpie.h"
 *
 *     static void handle(struct magpie_request *request, struct magpie_response *response)
 *     {
 *             magpie_print(response, "Hello, invocation %s!\n", request->invocation_id);
 *     }
 *
 *     int main(void)
 *     {
 *             return magpie_serve(handle);
 *     }
 *
 * One header, no library: `cc -O2 -o main main.c`. C99 or C++11, glibc or musl, static or not.
 *
 * Theory of operation. magpie_serve() speaks the worker protocol (docs/worker-protocol.md) on
 * descriptor 3: one recv() brings a request, one send() takes a small answer back, and both live in
 * buffers that are there from the start, so that nothing is allocated for an invocation. What does
 * not fit into one frame of 64 KiB flows through the same buffers frame by frame: bodies of any size
 * pass in bounded memory. One invocation runs at a time. When several at once have come a few times, the
 * platform shares a piece of memory (a ring), by which small ones come and go without system calls.
 *
 * Whatever goes to stdout and stderr is the function's log; both are flushed when a handler returns.
 */
#ifndef MAGPIE_H
#define MAGPIE_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* clock_gettime() under -std=c99; include this header first then */
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGPIE_FD 3
#define MAGPIE_HEADER_SIZE 16
#define MAGPIE_FRAME_MAX 65536
#define MAGPIE_META_MAX 40960 /* response headers, each with a colon and a line feed */

/* ---- what a handler sees ---- */

/* Strings are NUL-terminated, never NULL, and valid until the handler returns. */
struct magpie_request {
        const char *invocation_id;
        const char *user_id;  /* the caller, verified by the platform; "" when anonymous */
        const char *method;   /* this and the next four are "" unless called by function URL */
        const char *path;     /* as sent, not decoded */
        const char *query;    /* as sent, without the '?' */
        const char *address;  /* the client's */
        const char *domain;   /* the name the client used, without a port */
        uint64_t deadline_ms; /* Unix time at which the platform ends the invocation */

        struct magpie_worker *worker; /* private */
};

struct magpie_response {
        struct magpie_worker *worker; /* private */
};

typedef void magpie_handler(struct magpie_request *request, struct magpie_response *response);

/* Serves invocations until the platform ends it. Returns main()'s exit status. */
static inline int magpie_serve(magpie_handler *handler);

/* Milliseconds until the deadline; 0 when it has passed. */
static inline uint64_t magpie_remaining_ms(const struct magpie_request *request);

/* The value of a request header (names are matched without case), the first where it is repeated;
 * NULL where there is none. */
static inline const char *magpie_header(struct magpie_request *request, const char *name);

/* Walks all request headers: begin with *position = 0. False at the end. */
static inline bool magpie_next_header(struct magpie_request *request, size_t *position,
                                      const char **ret_name, const char **ret_value);

/* Takes up to `capacity` bytes of the body; 0 at its end. */
static inline size_t magpie_read(struct magpie_request *request, void *buffer, size_t capacity);

/* All of the body that magpie_read() has not taken, in memory until the handler returns, with a NUL
 * behind it that does not count. NULL, and a length of 0, where memory does not suffice. */
static inline const char *magpie_body(struct magpie_request *request, size_t *ret_length);

/* Status and headers go out with the first part of the body: set them before it is written. The
 * status is 200 to 599; 0, the default, leaves it to the platform. */
static inline void magpie_set_status(struct magpie_response *response, int status);
static inline void magpie_set_header(struct magpie_response *response, const char *name,
                                     const char *value);

/* Adds to the body. Nothing is sent before the handler returns or 64 KiB have come together. */
static inline void magpie_write(struct magpie_response *response, const void *data, size_t length);
static inline void magpie_print(struct magpie_response *response, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Sends what has been written so far: for answers that the client reads while they are made. */
static inline void magpie_flush(struct magpie_response *response);

/* Makes the invocation a failure: the caller gets `type` and `message`. What was written and not yet
 * sent is dropped; where part of the answer is out already, it breaks off. */
static inline void magpie_fail(struct magpie_response *response, const char *type,
                               const char *message);

/* ---- how it is done ---- */

enum magpie_frame {
        MAGPIE_INVOKE = 1,
        MAGPIE_DATA,
        MAGPIE_READY,
        MAGPIE_RESULT,
        MAGPIE_ERROR,
        MAGPIE_RING = 11,
        MAGPIE_BELL
};
enum magpie_flag { MAGPIE_FLAG_END = 1, MAGPIE_FLAG_HTTP = 2, MAGPIE_FLAG_RING = 16 };

#define MAGPIE_RING_FRAME_MAX 1600
#define MAGPIE_TELL_US 50 /* an answer waits for no more than others that come so quickly */

enum magpie_place_state { MAGPIE_SENT = 1, MAGPIE_BEGUN, MAGPIE_ANSWERED };

/* The ring: two words, and behind them places for small calls. */
struct magpie_ring {
        uint32_t worker_awake;
        uint32_t gateway_told;
        unsigned char unused[56];
};

struct magpie_place {
        uint32_t state;
        uint32_t length;
        unsigned char frame[MAGPIE_RING_FRAME_MAX];
};

enum magpie_phase {
        MAGPIE_PHASE_HEAD,  /* status and headers may be set */
        MAGPIE_PHASE_BODY,  /* the frame holds part of the body */
        MAGPIE_PHASE_FAILED /* ERROR has been sent */
};

struct magpie_worker {
        uint32_t number;     /* of the running invocation */
        uint64_t started_us; /* when its handler was called, by CLOCK_MONOTONIC */

        /* The request. Its first frame stays where it is, for the strings that point into it. */
        char *headers; /* the request's header lines, in `request` */
        size_t headers_length;
        bool headers_split;
        bool body_complete; /* no frame of the body is left to receive */
        char *body;         /* what has been received of it and not been read */
        size_t body_length;
        char *collected; /* magpie_body()'s, freed when the handler has returned */

        /* The response: a frame under construction. */
        enum magpie_phase phase;
        bool begun; /* RESULT has been sent, DATA frames follow */
        int status;
        size_t meta_length;
        size_t payload_length;

        /* Memory shared with the platform, for calls that are small both ways. */
        struct magpie_ring *ring; /* NULL: none yet */
        bool bell_due;            /* that this worker did not need */
        size_t place_size, place_count, next_place;
        struct magpie_place *place; /* where the running invocation lies; NULL: it came by socket */
        size_t untold;              /* answers that lie there and that it has not been told of */
        uint64_t untold_us;         /* since when */

        unsigned char request[MAGPIE_FRAME_MAX + 1]; /* a NUL may follow the body */
        unsigned char more[MAGPIE_FRAME_MAX + 1];    /* DATA frames */
        unsigned char frame[MAGPIE_FRAME_MAX];
};

/* In a child that the function forked: the descriptor is the parent's. */
static bool magpie_is_orphan;

static inline void magpie_orphan(void)
{
        magpie_is_orphan = true;
        (void)close(MAGPIE_FD);
}

static inline void magpie_store(unsigned char *to, uint64_t value, int bytes)
{
        for (int i = 0; i < bytes; i++)
                to[i] = (unsigned char)(value >> (8 * i));
}

static inline uint64_t magpie_load(const unsigned char *from, int bytes)
{
        uint64_t value = 0;
        for (int i = bytes - 1; i >= 0; i--)
                value = value << 8 | from[i];
        return value;
}

/* The instance cannot go on; the platform answers the caller and makes another. */
static inline void magpie_die(const char *reason)
{
        if (!magpie_is_orphan)
                (void)fprintf(stderr, "magpie: %s\n", reason);
        (void)fflush(stdout);
        _exit(magpie_is_orphan ? 0 : 1);
}

static inline void magpie_send_bytes(const unsigned char *frame, size_t length)
{
        while (send(MAGPIE_FD, frame, length, MSG_NOSIGNAL) < 0)
                if (errno != EINTR)
                        magpie_die("cannot send to the platform");
}

/* Puts a header before what is in worker->frame. Returns the length of both. */
static inline size_t magpie_seal(struct magpie_worker *worker, int type, int flags, uint64_t value)
{
        size_t length = MAGPIE_HEADER_SIZE + worker->meta_length + worker->payload_length;
        unsigned char *frame = worker->frame;

        if (magpie_is_orphan)
                magpie_die("");
        frame[0] = (unsigned char)type;
        frame[1] = (unsigned char)flags;
        magpie_store(frame + 2, worker->meta_length, 2);
        magpie_store(frame + 4, worker->number, 4);
        magpie_store(frame + 8, value, 8);
        worker->meta_length = worker->payload_length = 0;
        return length;
}

/* Sends worker->frame. */
static inline void magpie_send(struct magpie_worker *worker, int type, int flags, uint64_t value)
{
        magpie_send_bytes(worker->frame, magpie_seal(worker, type, flags, value));
        worker->untold = 0; /* what lies in the ring is looked at first */
}

/* The next frame's length; 0 when the platform has gone. *ret_fd: what came with it, or -1. */
static inline size_t magpie_receive_with(unsigned char *frame, int *ret_fd)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {frame, MAGPIE_FRAME_MAX};
        struct msghdr message;
        ssize_t length;

        memset(&message, 0, sizeof(message));
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        while ((length = recvmsg(MAGPIE_FD, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
                ;
        *ret_fd = -1;
        if (length > 0 && CMSG_FIRSTHDR(&message))
                memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*ret_fd));
        if (length < 0)
                magpie_die("cannot receive from the platform");
        if (length > 0 && (length < MAGPIE_HEADER_SIZE ||
                           (size_t)length < MAGPIE_HEADER_SIZE + magpie_load(frame + 2, 2)))
                magpie_die("the platform sent a frame that is too short");
        return (size_t)length;
}

static inline size_t magpie_receive(unsigned char *frame)
{
        int fd;

        return magpie_receive_with(frame, &fd);
}

/* Cuts the next line off the meta, in place; "" where there is none. */
static inline const char *magpie_take_line(char **meta, char *end)
{
        char *line = *meta;
        char *feed = (char *)memchr(line, '\n', (size_t)(end - line));

        if (!feed)
                return "";
        *feed = '\0';
        *meta = feed + 1;
        return line;
}

/* Cuts the port off a host, in place. */
static inline void magpie_cut_port(char *host)
{
        host += *host == '[' ? strcspn(host, "]") : 0;
        host[strcspn(host, ":")] = '\0';
}

static inline void magpie_parse_request(struct magpie_worker *worker, size_t length,
                                        struct magpie_request *request)
{
        unsigned char *frame = worker->request;
        char *meta = (char *)frame + MAGPIE_HEADER_SIZE;
        char *end = meta + magpie_load(frame + 2, 2);
        bool http = (frame[1] & MAGPIE_FLAG_HTTP) != 0;

        if (frame[0] != MAGPIE_INVOKE)
                magpie_die("the platform sent no request where one was due");
        worker->number = (uint32_t)magpie_load(frame + 4, 4);
        request->worker = worker;
        request->deadline_ms = magpie_load(frame + 8, 8);
        request->invocation_id = magpie_take_line(&meta, end);
        request->user_id = magpie_take_line(&meta, end);
        request->method = http ? magpie_take_line(&meta, end) : "";
        request->path = http ? magpie_take_line(&meta, end) : "";
        request->query = http ? magpie_take_line(&meta, end) : "";
        request->address = http ? magpie_take_line(&meta, end) : "";
        request->domain = http ? magpie_take_line(&meta, end) : "";
        if (*request->domain)
                magpie_cut_port((char *)request->domain);
        worker->headers = meta;
        worker->headers_length = (size_t)(end - meta);
        worker->headers_split = false;
        worker->body = end;
        worker->body_length = (size_t)((char *)frame + length - end);
        worker->body_complete = (frame[1] & MAGPIE_FLAG_END) != 0;
}

static inline uint64_t magpie_now_us(clockid_t clock)
{
        struct timespec now;

        (void)clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline uint64_t magpie_remaining_ms(const struct magpie_request *request)
{
        uint64_t now_ms = magpie_now_us(CLOCK_REALTIME) / 1000;

        return now_ms < request->deadline_ms ? request->deadline_ms - now_ms : 0;
}

/* "name:value\n" becomes "name\0value\0", once, at the first question about headers. */
static inline void magpie_split_headers(struct magpie_worker *worker)
{
        char *line = worker->headers, *end = line + worker->headers_length;

        while (line < end) {
                char *feed = (char *)memchr(line, '\n', (size_t)(end - line));
                char *colon = feed ? (char *)memchr(line, ':', (size_t)(feed - line)) : NULL;
                if (!colon)
                        magpie_die("the platform sent a header that is none");
                *colon = *feed = '\0';
                line = feed + 1;
        }
        worker->headers_split = true;
}

static inline bool magpie_next_header(struct magpie_request *request, size_t *position,
                                      const char **ret_name, const char **ret_value)
{
        struct magpie_worker *worker = request->worker;

        if (!worker->headers_split)
                magpie_split_headers(worker);
        if (*position >= worker->headers_length)
                return false;
        *ret_name = worker->headers + *position;
        *ret_value = *ret_name + strlen(*ret_name) + 1;
        *position = (size_t)(*ret_value + strlen(*ret_value) + 1 - worker->headers);
        return true;
}

static inline const char *magpie_header(struct magpie_request *request, const char *name)
{
        const char *each, *value;
        size_t position = 0;

        while (magpie_next_header(request, &position, &each, &value))
                if (strcasecmp(each, name) == 0)
                        return value;
        return NULL;
}

/* Makes worker->body non-empty, unless the body has ended. */
static inline void magpie_receive_body(struct magpie_worker *worker)
{
        while (worker->body_length == 0 && !worker->body_complete) {
                size_t length = magpie_receive(worker->more);
                size_t start = MAGPIE_HEADER_SIZE + magpie_load(worker->more + 2, 2);
                if (length == 0)
                        _exit(0); /* nobody is left who could want the answer */
                if (worker->more[0] != MAGPIE_DATA ||
                    magpie_load(worker->more + 4, 4) != worker->number)
                        magpie_die("the platform sent no more of the body where it was due");
                worker->body = (char *)worker->more + start;
                worker->body_length = length - start;
                worker->body_complete = (worker->more[1] & MAGPIE_FLAG_END) != 0;
        }
}

static inline size_t magpie_read(struct magpie_request *request, void *buffer, size_t capacity)
{
        struct magpie_worker *worker = request->worker;
        size_t length;

        magpie_receive_body(worker);
        length = worker->body_length < capacity ? worker->body_length : capacity;
        memcpy(buffer, worker->body, length);
        worker->body += length;
        worker->body_length -= length;
        return length;
}

/* The body's rest, which is more than one frame: on the heap. */
static inline const char *magpie_collect(struct magpie_request *request, size_t *ret_length)
{
        size_t length = 0, capacity = 4 * (size_t)MAGPIE_FRAME_MAX, taken;
        char *all = (char *)malloc(capacity);

        *ret_length = 0;
        while (all && (taken = magpie_read(request, all + length, capacity - 1 - length)) > 0) {
                char *larger;
                length += taken;
                if (length + 1 < capacity)
                        continue;
                capacity *= 2;
                larger = (char *)realloc(all, capacity);
                if (!larger)
                        free(all);
                all = larger;
        }
        if (!all)
                return NULL;
        all[length] = '\0';
        free(request->worker->collected);
        request->worker->collected = all;
        *ret_length = length;
        return all;
}

static inline const char *magpie_body(struct magpie_request *request, size_t *ret_length)
{
        struct magpie_worker *worker = request->worker;
        char *body = worker->body;

        if (!worker->body_complete)
                return magpie_collect(request, ret_length);
        *ret_length = worker->body_length;
        worker->body += worker->body_length;
        worker->body_length = 0;
        *worker->body = '\0';
        return body;
}

/* The platform is to look into the ring. */
static inline void magpie_tell(struct magpie_worker *worker)
{
        static const unsigned char bell[MAGPIE_HEADER_SIZE] = {MAGPIE_BELL};

        if (worker->untold > 0 &&
            __atomic_exchange_n(&worker->ring->gateway_told, 1, __ATOMIC_SEQ_CST) == 0)
                magpie_send_bytes(bell, sizeof(bell));
        worker->untold = 0;
}

static inline bool magpie_may_set_head(struct magpie_response *response)
{
        if (response->worker->phase == MAGPIE_PHASE_BODY)
                magpie_fail(response, "Runtime.MarshalError", "the answer's body has begun before");
        return response->worker->phase == MAGPIE_PHASE_HEAD;
}

static inline void magpie_set_status(struct magpie_response *response, int status)
{
        if (!magpie_may_set_head(response))
                return;
        if (status != 0 && (status < 200 || status > 599))
                magpie_fail(response, "Runtime.MarshalError", "the status is not from 200 to 599");
        else
                response->worker->status = status;
}

/* What HTTP forbids (RFC 9110, sections 5.5 and 5.6.2) must not get as far as the platform, which
 * would take the whole instance for a hostile one. */
static inline bool magpie_is_header(const char *name, const char *value)
{
        static const char others[] = "0123456789!#$%&'*+-.^_`|~";
        const char *c;

        for (c = name; *c; c++)
                if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || strchr(others, *c)))
                        return false;
        for (c = value; *c; c++)
                if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
                        return false;
        return name[0] != '\0';
}

static inline void magpie_set_header(struct magpie_response *response, const char *name,
                                     const char *value)
{
        struct magpie_worker *worker = response->worker;
        size_t name_length = strlen(name), value_length = strlen(value);
        char *to = (char *)worker->frame + MAGPIE_HEADER_SIZE + worker->meta_length;

        if (!magpie_may_set_head(response))
                return;
        if (!magpie_is_header(name, value)) {
                magpie_fail(response, "Runtime.MarshalError", "HTTP forbids such a header");
        } else if (name_length > MAGPIE_META_MAX || value_length > MAGPIE_META_MAX ||
                   worker->meta_length + name_length + value_length + 2 > MAGPIE_META_MAX) {
                magpie_fail(response, "Runtime.MarshalError", "the headers are too long");
        } else {
                memcpy(to, name, name_length);
                to[name_length] = ':';
                memcpy(to + name_length + 1, value, value_length);
                to[name_length + 1 + value_length] = '\n';
                worker->meta_length += name_length + value_length + 2;
        }
}

/* The answer is whole. True: it was small, and lies where the call was. */
static inline bool magpie_answer_there(struct magpie_worker *worker, uint64_t value)
{
        size_t length = MAGPIE_HEADER_SIZE + worker->meta_length + worker->payload_length;
        uint64_t ran_us = value >> 32, now_us = worker->started_us + ran_us;

        if (!worker->place || length > MAGPIE_RING_FRAME_MAX)
                return false;
        (void)magpie_seal(worker, MAGPIE_RESULT, MAGPIE_FLAG_END, value);
        memcpy(worker->place->frame, worker->frame, length);
        worker->place->length = (uint32_t)length;
        __atomic_store_n(&worker->place->state, (uint32_t)MAGPIE_ANSWERED, __ATOMIC_RELEASE);
        if (worker->untold++ == 0)
                worker->untold_us = now_us;
        if (ran_us > MAGPIE_TELL_US || now_us - worker->untold_us > MAGPIE_TELL_US)
                magpie_tell(worker);
        return true;
}

static inline void magpie_send_part(struct magpie_worker *worker, int flags)
{
        uint64_t value = worker->begun ? 0 : (uint64_t)worker->status;

        if (!worker->begun && (flags & MAGPIE_FLAG_END)) { /* how long the handler ran */
                uint64_t ran_us = magpie_now_us(CLOCK_MONOTONIC) - worker->started_us + 1;
                value |= (ran_us < UINT32_MAX ? ran_us : UINT32_MAX) << 32;
                if (magpie_answer_there(worker, value))
                        return;
        }
        magpie_send(worker, worker->begun ? MAGPIE_DATA : MAGPIE_RESULT, flags, value);
        worker->begun = true;
}

static inline void magpie_write(struct magpie_response *response, const void *data, size_t length)
{
        struct magpie_worker *worker = response->worker;
        const char *from = (const char *)data;

        if (worker->phase == MAGPIE_PHASE_FAILED || length == 0)
                return;
        worker->phase = MAGPIE_PHASE_BODY;
        for (;;) {
                size_t used = MAGPIE_HEADER_SIZE + worker->meta_length + worker->payload_length;
                size_t room = MAGPIE_FRAME_MAX - used;
                size_t taken = length < room ? length : room;
                memcpy(worker->frame + used, from, taken);
                worker->payload_length += taken;
                from += taken;
                length -= taken;
                if (length == 0)
                        return;
                magpie_send_part(worker, 0);
        }
}

static inline void magpie_print(struct magpie_response *response, const char *format, ...)
{
        char text[1024];
        char *longer = NULL;
        va_list arguments;
        int length;

        va_start(arguments, format);
        length = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (length >= (int)sizeof(text)) {
                longer = (char *)malloc((size_t)length + 1);
                if (!longer) {
                        magpie_fail(response, "MemoryError", "no memory for a long magpie_print()");
                        return;
                }
                va_start(arguments, format);
                (void)vsnprintf(longer, (size_t)length + 1, format, arguments);
                va_end(arguments);
        }
        if (length > 0)
                magpie_write(response, longer ? longer : text, (size_t)length);
        free(longer);
}

static inline void magpie_flush(struct magpie_response *response)
{
        struct magpie_worker *worker = response->worker;

        if (worker->phase == MAGPIE_PHASE_FAILED || (worker->begun && worker->payload_length == 0))
                return;
        worker->phase = MAGPIE_PHASE_BODY;
        magpie_send_part(worker, 0);
}

/* Appends `before`, and a JSON string of `text`: UTF-8, cut between characters if it is too long. */
static inline void magpie_put_json(struct magpie_worker *worker, const char *before,
                                   const char *text)
{
        unsigned char *start = worker->frame + MAGPIE_HEADER_SIZE + worker->payload_length;
        unsigned char *to = start + strlen(before), *end = to + 8192;

        memcpy(start, before, strlen(before));
        *to++ = '"';
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;
                if (to >= end + 4 || (to >= end && (c & 0xc0) != 0x80))
                        break;
                if (c == '"' || c == '\\')
                        *to++ = '\\';
                if (c < 0x20)
                        to += sprintf((char *)to, "\\u%04x", c);
                else
                        *to++ = c;
        }
        *to++ = '"';
        worker->payload_length += (size_t)(to - start);
}

static inline void magpie_fail(struct magpie_response *response, const char *type,
                               const char *message)
{
        struct magpie_worker *worker = response->worker;

        if (worker->phase == MAGPIE_PHASE_FAILED)
                return;
        (void)fflush(stdout);
        worker->phase = MAGPIE_PHASE_FAILED;
        worker->meta_length = worker->payload_length = 0;
        magpie_put_json(worker, "{\"stackTrace\":[],\"errorType\":", type);
        magpie_put_json(worker, ",\"errorMessage\":", message);
        worker->frame[MAGPIE_HEADER_SIZE + worker->payload_length++] = '}';
        magpie_send(worker, MAGPIE_ERROR, 0, 0);
}

/* Whatever the handler left undone: the end of the answer, the rest of the body. */
static inline void magpie_finish(struct magpie_worker *worker)
{
        (void)fflush(stdout);
        if (worker->phase != MAGPIE_PHASE_FAILED)
                magpie_send_part(worker, MAGPIE_FLAG_END);
        for (worker->body_length = 0; !worker->body_complete; worker->body_length = 0)
                magpie_receive_body(worker);
        free(worker->collected);
        worker->collected = NULL;
}

/* Calls come by this memory from now on. */
static inline void magpie_take_ring(struct magpie_worker *worker, int fd)
{
        uint64_t value = magpie_load(worker->request + 8, 8);
        size_t length;
        void *ring;

        worker->place_count = value & UINT32_MAX;
        worker->place_size = value >> 32;
        length = sizeof(struct magpie_ring) + worker->place_count * worker->place_size;
        ring = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (ring == MAP_FAILED)
                magpie_die("cannot share memory with the platform");
#ifdef MADV_DONTFORK
        (void)madvise(ring, length, MADV_DONTFORK); /* it is no child's */
#endif
        worker->ring = (struct magpie_ring *)ring;
        (void)close(fd);
}

/* The frame in the next place, if there is one: it is ours then. Its length, or 0. */
static inline size_t magpie_begin_there(struct magpie_worker *worker)
{
        void *at = (char *)(worker->ring + 1) + worker->next_place * worker->place_size;
        struct magpie_place *place = (struct magpie_place *)at;
        uint32_t sent = MAGPIE_SENT, length;

        if (!__atomic_compare_exchange_n(&place->state, &sent, (uint32_t)MAGPIE_BEGUN, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                return 0;
        length = place->length;
        if (length < MAGPIE_HEADER_SIZE || length > MAGPIE_RING_FRAME_MAX)
                magpie_die("the platform sent a frame that is none");
        memcpy(worker->request, place->frame, length);
        worker->place = place;
        worker->next_place = (worker->next_place + 1) % worker->place_count;
        return length;
}

/* There is nothing in the ring, it seems: the last look before the worker sleeps, and where it finds nothing
 * the platform will ring. */
static inline size_t magpie_begin_last(struct magpie_worker *worker)
{
        size_t length;

        magpie_tell(worker);
        if (worker->bell_due) /* that wakes it */
                return 0;
        __atomic_store_n(&worker->ring->worker_awake, 0, __ATOMIC_SEQ_CST);
        length = magpie_begin_there(worker);
        if (length > 0)
                worker->bell_due =
                        __atomic_exchange_n(&worker->ring->worker_awake, 1, __ATOMIC_SEQ_CST) != 0;
        return length;
}

/* The next invocation's first frame, as magpie_receive(). What lies in the ring was there before whatever
 * comes by the socket; the platform rings only for a worker that it finds asleep. */
static inline size_t magpie_next(struct magpie_worker *worker)
{
        size_t length;
        int fd;

        if (magpie_is_orphan)
                magpie_die(""); /* neither the ring nor the socket is a child's */
        worker->place = NULL;
        for (;;) {
                if (worker->ring && ((length = magpie_begin_there(worker)) > 0 ||
                                     (length = magpie_begin_last(worker)) > 0))
                        return length;
                length = magpie_receive_with(worker->request, &fd);
                if (worker->ring)
                        __atomic_store_n(&worker->ring->worker_awake, 1, __ATOMIC_SEQ_CST);
                worker->bell_due = false;
                if (length > 0 && worker->request[0] == MAGPIE_RING)
                        magpie_take_ring(worker, fd);
                else if (length == 0 || worker->request[0] != MAGPIE_BELL)
                        return length;
        }
}

static inline int magpie_serve(magpie_handler *handler)
{
        static struct magpie_worker worker;
        struct magpie_request request;
        struct magpie_response response;
        const char *boot = getenv("MAGPIE_BOOT_NS"); /* when that came, noted by magpie-init */
        uint64_t us = boot ? magpie_now_us(CLOCK_MONOTONIC) - strtoull(boot, NULL, 10) / 1000 : 0;
        size_t length;

        (void)unsetenv("MAGPIE_BOOT_NS");
        (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a crash loses no finished line */
        if (pthread_atfork(NULL, NULL, magpie_orphan) != 0 ||
            fcntl(MAGPIE_FD, F_SETFD, FD_CLOEXEC) < 0)
                magpie_die("this program runs under magpie: descriptor 3 is its connection");
        response.worker = &worker;
        magpie_send(&worker, MAGPIE_READY, MAGPIE_FLAG_RING, us << 32);

        while ((length = magpie_next(&worker)) > 0) {
                magpie_parse_request(&worker, length, &request);
                worker.phase = MAGPIE_PHASE_HEAD;
                worker.begun = false;
                worker.status = 0;
                worker.started_us = magpie_now_us(CLOCK_MONOTONIC);
                handler(&request, &response);
                magpie_finish(&worker);
        }
        return 0;
}

#endif
