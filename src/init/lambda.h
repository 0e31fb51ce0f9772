/* The lambda contract: the AWS Lambda Runtime API
 * (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), served on the sandbox's loopback.
 *
 * Two kinds of things move independently in one loop. A *lane* (lambda_lane.c) takes an invocation
 * from the gateway and has it answered; a *client* (lambda_client.c) is a connection of the
 * function's program. Where a client asks for the next invocation, any lane's will do: a lane
 * receives one only when a client waits for it. The two touch each other through the functions
 * below, which change state and leave the progress to the other's own step in the same turn.
 */
#pragma once

#include "init/lambda_identity.h"
#include "init/lanes.h"
#include "init/ready.h"
#include "init/service.h"

#include "base/buffer.h"
#include "wire/http_chunked.h"
#include "wire/http_request.h"

#define LAMBDA_PORT 9001
#define LAMBDA_CLIENTS_MAX 1100           /* as many as lanes, and some */
#define LAMBDA_BODY_MAX (6u << 20)        /* of a request: Lambda's own limit */
#define LAMBDA_EVENT_MAX ((9u << 20) - 1) /* the same in base64, and the rest of an event */
#define LAMBDA_ANSWER_MAX ((9u << 20) - 1)
#define LAMBDA_REPORT_MAX (1u << 20) /* of an error report; the rest of one is dropped */
#define LAMBDA_PRELUDE_MAX (64u << 10)
#define LAMBDA_TRAILERS_MAX (32u << 10)
#define LAMBDA_TYPE_MAX 256
/* What a buffer keeps from one invocation to the next: musl's allocator gives memory back to the kernel as
 * soon as it can, and to ask for it again took three quarters of the time. */
#define LAMBDA_KEPT_MAX 8192

struct lambda {
        struct service service;
        struct lanes lanes;
        struct loop_source listener;
        struct list clients;
        size_t client_count;
        struct list waiting; /* clients that have asked for an invocation, the longest first */
        size_t waiting_count;
        size_t claimed; /* invocations that were received for them, and not yet given */
        struct ready ready;
        bool is_ready;
        bool refused; /* init/error has said why */
        struct timer refusal_timer;
        char arn[256];
        struct buffer event;        /* while one is written */
        struct http_request parsed; /* while a head is looked at */
};

enum lambda_lane_state {
        LAMBDA_LANE_IDLE,
        LAMBDA_LANE_COLLECTS, /* the request's body comes */
        LAMBDA_LANE_PENDING,  /* the event is complete, and no client has it */
        LAMBDA_LANE_GIVEN,    /* the program has it, or is being sent it */
        LAMBDA_LANE_ANSWERED, /* its answer is in `answer`, and goes out */
        LAMBDA_LANE_STREAMS,  /* its answer goes out as `client` brings it */
        LAMBDA_LANE_BROKEN,   /* `client` broke off: an ERROR follows when the timer fires */
        LAMBDA_LANE_FAILED,   /* an ERROR follows when there is room */
        LAMBDA_LANE_ENDED,    /* the last frame was posted */
};

struct lambda_client;

struct lambda_lane {
        struct lane lane; /* the first member */
        struct lambda *lambda;
        enum lambda_lane_state state;
        bool is_http;
        bool announced; /* RESULT was posted */
        uint64_t deadline_ms, given_ns;
        char request_id[LAMBDA_ID_MAX]; /* empty: no answer is expected */
        char trace_id[LAMBDA_TRACE_MAX];
        struct buffer meta;   /* of the INVOKE */
        struct buffer body;   /* of the request; then the event */
        struct buffer answer; /* the program's, or its error */
        struct slice rest;    /* of the answer's body */
        uint32_t status;
        size_t meta_length;             /* of the answer's, in `answer_meta` */
        const char *fault_type, *fault; /* why it has failed */
        struct lambda_client *client;   /* who gets the event, or brings the answer */
        struct timer timer;
        char frame[WORKER_FRAME_MAX];
        char answer_meta[WORKER_META_MAX];
};

extern const struct lane_contract lambda_lane_contract;

/* The lane whose invocation the program knows by that id; NULL where there is none. */
struct lambda_lane *lambda_lane_find(struct lambda *lambda, struct slice request_id);
/* A client waits: whoever can give it something does. */
void lambda_lanes_offer(struct lambda *lambda);

/* The program's answer, whole: takes the bytes over. */
void lambda_lane_answer(struct lambda_lane *self, struct buffer *bytes);
/* The program's error: takes the report over. `type` is text, or empty. */
void lambda_lane_report(struct lambda_lane *self, struct buffer *report, struct slice type);
/* The invocation fails with our words; constants. Where RESULT was sent, the response breaks off. */
void lambda_lane_fail(struct lambda_lane *self, const char *type, const char *fault);
/* Its client's connection has ended before it had the event: takes that back. */
void lambda_lane_give_back(struct lambda_lane *self, struct buffer *event);
/* Its client's connection has ended before the answer was complete. */
void lambda_lane_abandon(struct lambda_lane *self);

/* A client brings an answer, which streams or will be whole. */
void lambda_lane_begin_answer(struct lambda_lane *self, struct lambda_client *client, bool streams);
/* A streamed answer: only where lane.outbox_full is false. `meta` and `payload` stay as they are
 * until it is again. */
void lambda_lane_announce(struct lambda_lane *self, uint32_t status, struct slice meta);
void lambda_lane_stream(struct lambda_lane *self, struct slice payload, bool end);

/* Begins to serve the API. 0 or a negative errno. */
int lambda_listen(struct lambda *lambda);
/* The client that has waited longest; NULL where none does. */
struct lambda_client *lambda_client_waiting(struct lambda *lambda);
/* Sends it the lane's event. */
void lambda_client_give(struct lambda_client *client, struct lambda_lane *lane);
/* Its lane has room, or has gone. */
void lambda_client_run_soon(struct lambda_client *client);
void lambda_client_lose_lane(struct lambda_client *client);

/* The program cannot be initialised, it says. */
void lambda_refuse(struct lambda *lambda, struct buffer *report, struct slice type);
