/* Answers on a connection: problems, small documents, and bodies that stream.
 *
 * Every function may find the connection gone (fd < 0) and then does nothing. */
#pragma once

#include "gateway/connection.h"

#define TOO_LARGE_SIZE 96

/* What a problem says beyond its status (RFC 9457). */
struct problem {
        int status;
        const char *reason;        /* the stable word */
        const char *title;         /* NULL: the status' own phrase */
        const char *detail;        /* a sentence; NULL: the title */
        const char *invocation_id; /* NULL where there is none */
        const char *start,
                *timing; /* of a call that has begun: how, and its Server-Timing; else NULL */
        unsigned retry_after_s; /* 0: no such header, but for a 503's: 1 */
        const char *allow;      /* 405: the methods that there are; else NULL */
        const char *extra;      /* more members, as JSON text `"name":value,`; NULL: none */
};

/* Answers the request under way, and ends its exchange. */
void response_problem(struct connection *connection, const struct problem *problem);
/* A problem that ends the connection: the rest of its bytes cannot be trusted or are not wanted. */
void response_refuse(struct connection *connection, int status, const char *reason,
                     const char *detail);
/* The detail of a 413: how much is allowed. Returns ret_text. */
const char *response_too_large(uint64_t max_bytes, char ret_text[TOO_LARGE_SIZE]);
/* The same of code, whether it is the body or stands in it. */
const char *response_code_too_large(uint64_t max_bytes, char ret_text[TOO_LARGE_SIZE]);
/* A whole document. `extra_name` (may be NULL) is one more header. */
void response_document(struct connection *connection, int status, struct slice content_type,
                       struct slice body);

/* A head of one's own: response_begin(), http_response_header()..., response_send(). */
void response_begin(struct connection *connection, struct http_response *response, int status);
/* Sends the head and the first bytes of the body. `complete`: these are all. 0 or -EPIPE. */
int response_send(struct connection *connection, struct http_response *response, struct slice body,
                  bool complete);
/* More of a body whose head was sent as incomplete. `complete` with its last bytes. */
int response_more(struct connection *connection, struct slice body, bool complete);
/* A body that breaks off. The client can tell: by the last chunk that is missing, or the bytes, or by
 * the reset where only the connection's end would end the body. */
void response_break(struct connection *connection);
