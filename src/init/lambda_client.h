/* A connection of the function's program to the Runtime API; see lambda.h. What its requests ask
 * for is lambda_routes.c's to know. */
#pragma once

#include "init/lambda.h"

enum client_state {
        CLIENT_HEAD,    /* a request's head is expected */
        CLIENT_WAITING, /* for an invocation */
        CLIENT_BODY,    /* of a request */
        CLIENT_REPLY,   /* is being sent */
};

/* What becomes of a request's body. */
enum client_sink {
        SINK_DROP,
        SINK_COLLECT,
        SINK_PRELUDE, /* of a streamed HTTP answer, up to eight NULs */
        SINK_STREAM,
};

/* What the body is, when it is complete. */
enum client_purpose {
        PURPOSE_NONE, /* the reply is made already */
        PURPOSE_ANSWER,
        PURPOSE_ERROR,
        PURPOSE_INIT_ERROR,
};

struct lambda_client {
        struct lambda *lambda;
        struct list link;
        struct list waiting;
        struct loop_source source;
        struct loop_task task;
        bool readable, hung_up;
        enum client_state state;

        /* the request: bytes from `begin` to `end` of `in` are not yet looked at */
        size_t begin, end, scanned;
        bool keep_alive;
        enum http_body framing;
        uint64_t body_left;
        bool body_ended;
        struct http_chunked chunked;
        char *trailers;     /* of a streamed answer; else NULL */
        struct slice piece; /* of the body, decoded, for the sink */
        enum client_sink sink;
        enum client_purpose purpose;
        struct lambda_lane *lane;   /* whose event it gets, or whose answer it brings */
        struct buffer body;         /* what the sink collects */
        bool announced;             /* the lane has the answer's head */
        char type[LAMBDA_TYPE_MAX]; /* of an error, or of a streamed answer's content */

        /* the reply */
        struct slice unsent[2];
        struct buffer event; /* the lane's, while it is being sent: */
        bool has_event;
        char reply[1536];
        char in[WORKER_FRAME_MAX - WORKER_HEADER_SIZE];
};

/* Begins what the head that was parsed asks for. */
void lambda_route(struct lambda_client *client, const struct http_request *request);
/* Gives client->piece to the sink, or some of it. Where that streams, its lane has room. */
void lambda_take_piece(struct lambda_client *client);
/* The body is complete: does a step of what it was for, and makes the reply. As above. */
void lambda_body_done(struct lambda_client *client);

/* The client waits for an invocation. */
void lambda_client_wait(struct lambda_client *client);
/* Makes the reply: a JSON text. It goes out when the body has come. */
void lambda_client_reply(struct lambda_client *client, int status, struct slice json);
/* The same, in the API's shape of an error. Constants. */
void lambda_client_refuse(struct lambda_client *client, int status, const char *type,
                          const char *text);
