/* One lane of the http contract: an invocation at a time becomes a request over a connection of the
 * lane's own, kept alive; its answer becomes RESULT and DATA frames.
 *
 * Both bodies stream at once, each as far as the other side takes it. The only thing that is held
 * back is a short answer of known length (ANSWER_HELD_MAX), until it is whole: one frame instead of
 * two or three, and a clean error where it breaks off.
 */
#pragma once

#include "init/lanes.h"
#include "init/service.h"
#include "init/upstream_request.h"

#include "wire/http_answer.h"
#include "wire/http_chunked.h"

#define ANSWER_HELD_MAX 16384
#define ANSWER_MAX (WORKER_FRAME_MAX - WORKER_HEADER_SIZE)

/* What all lanes of a sandbox share. */
struct http_server {
        struct service service;
        struct lanes lanes;
        uint16_t port;
        bool ipv6;                 /* it listens on ::1 alone */
        bool first_is_spare;       /* lane 0's connection has served no call */
        struct http_answer parsed; /* while a head is looked at */
};

enum answer_state {
        ANSWER_HEAD,
        ANSWER_BODY,
        ANSWER_ENDED,  /* its last frame was posted, or no invocation runs */
        ANSWER_BROKEN, /* the connection is gone: an ERROR follows when the timer fires */
        ANSWER_FAILED, /* an ERROR follows as soon as there is room */
};

#define UNSENT_MAX 4

struct http_lane {
        struct lane lane; /* the first member */
        struct http_server *server;
        struct loop_source source; /* the connection; fd -1: there is none */
        bool readable;             /* there may be something to read */
        bool hung_up;              /* the server sends nothing more than that */
        bool reused;               /* it has been idle: the server may just be closing it */
        uint64_t rests_since_ns;   /* where no invocation runs */

        /* the request */
        struct upstream_request request;
        struct slice payload;            /* of the INVOKE frame, which is in `frame` */
        struct slice unsent[UNSENT_MAX]; /* into `head`, `frame` and `chunk` */
        bool replayable;                 /* may be sent once more, and is all there */
        bool request_broken;             /* the server takes no more of it */
        uint64_t body_left;              /* where its length is known */
        char chunk[HTTP_CHUNK_HEAD_MAX];

        /* the answer: in `answer` lie the meta, and the payload from `begin` to `end` */
        enum answer_state answer_state;
        enum http_answer_body answer_body;
        uint64_t answer_left;
        bool keep;      /* the connection, afterwards */
        bool heard;     /* something has come */
        bool announced; /* RESULT was posted */
        int status;
        const char *fault; /* why it has failed: a sentence */
        size_t scanned, meta_length, begin, end;
        struct http_chunked chunked;
        uint64_t begun_ns;
        struct timer timer;

        char head[UPSTREAM_HEAD_MAX];
        char frame[WORKER_FRAME_MAX];
        char answer[ANSWER_MAX];
};

extern const struct lane_contract http_lane_contract;

/* The server has ended: hands on what it has said of the answer that was under way. */
void http_lane_hear_out(struct http_lane *self);

/* Gives a lane the connection that the server was found with. */
void http_lane_connected(struct http_lane *self, int fd);
