/* A client's connection: bytes to requests, answers to bytes.
 *
 * One request at a time: while an exchange is under way, what the client pipelines behind it stays
 * unread (or in one block). The connection knows nothing of functions: it hands a head to
 * gateway_route(), which sets an exchange; the exchange is fed the body, and writes the answer by
 * response.h.
 *
 * Time-outs: a head must be complete within head_timeout_ms of its first byte, or of the last answer
 * where that came later; a body or an answer must move within stall_timeout_ms; an idle connection is
 * closed after idle_timeout_ms. One timer a connection, looked at when it fires and only then moved, so a
 * request costs no timer at all.
 */
#pragma once

#include "base/loop.h"
#include "core/fairness/turns.h"
#include "gateway/blocks.h"
#include "wire/http_chunked.h"
#include "wire/http_request.h"
#include "wire/http_response.h"

#include <netinet/in.h>

struct connection;
struct gateway_thread;
struct exchange;

/* What answers a request. Embedded by the invocation and by the API's calls. */
struct exchange_ops {
        /* How many bytes of the body it can take now. 0 means "not now": connection_resume() when
         * that changes. */
        size_t (*room)(struct exchange *exchange);
        /* More of the body, at most what there is room for; `end` with its last bytes (perhaps
         * none). */
        void (*body)(struct exchange *exchange, struct slice bytes, bool end);
        /* The client has taken everything that was written so far. May be NULL. */
        void (*drained)(struct exchange *exchange);
        /* The client sends no more, perhaps since before this exchange was set; it may still read.
         * For answers without an end, which nobody waits for any more. May be NULL. */
        void (*half_closed)(struct exchange *exchange);
        /* The node ends and waits no longer: it is to answer so as soon as it can, and is asked again
         * until it has. NULL: the connection is closed. */
        void (*cut)(struct exchange *exchange);
        /* The client is gone, or the request turned out to be malformed. The exchange must forget
         * its connection. */
        void (*gone)(struct exchange *exchange);
};

struct exchange {
        const struct exchange_ops *ops;
        struct connection *connection; /* NULL once the client is gone or the answer is complete */
};

enum connection_state {
        CONNECTION_HEAD,      /* between requests, or in a head */
        CONNECTION_SUSPENDED, /* the head is being judged elsewhere (a password check) */
        CONNECTION_BODY,      /* an exchange takes the body */
        CONNECTION_ANSWER,    /* the body is complete, the answer is not */
        CONNECTION_FLUSH,     /* to be closed when the output is sent */
        CONNECTION_LINGER,    /* our side is shut; what still comes is dropped, else it would reset
                                 the answer away (RFC 9112, section 9.6) */
};

struct connection {
        struct list link;    /* thread->idle, thread->heads or thread->connections */
        struct list leaving; /* thread->leaving, once it has hung up */
        struct gateway_thread *thread;
        struct loop_source source;
        struct loop_task resume_task;
        struct timer timer;
        uint64_t deadline_ms;   /* loop time; 0: none */
        uint64_t since_ms;      /* loop time: when it came to rest, or began its head */
        struct turns_item turn; /* parked until its tenant's turn comes; see tenants.h */
        int fd;
        enum connection_state state;
        bool is_over;             /* of one that has hung up: both ways */
        bool makes_room;          /* its answer ends it, for somebody who waits at the door */
        bool is_followed;         /* more came with the end of its request */
        bool peer_closed;         /* it sends no more; what it sent is still answered */
        bool continued;           /* "100 Continue" was sent for the head under way */
        bool body_ended;          /* the request's body has been taken in full */
        bool resume_parked;       /* and then goes on with `input` */
        bool refused_credentials; /* the suspended head's password was wrong */
        struct block *input;      /* bytes that are not processed yet */
        size_t scanned;           /* of an incomplete head */
        size_t needed;            /* the head and small body that are waited for; 0: unknown */
        size_t lingered;
        char *output; /* what the socket did not take; its capacity is charged to the blocks */
        size_t output_start, output_end, output_capacity;

        /* The request under way. */
        struct exchange *exchange;
        enum http_method method;
        int minor_version;
        int status; /* of the answer */
        bool keep_alive, head_sent;
        enum http_body body;
        uint64_t body_left; /* HTTP_BODY_LENGTH */
        struct http_chunked chunked;
        struct http_framing framing;
        char peer[INET6_ADDRSTRLEN];
};

/* Takes the accepted descriptor over. 0 or a negative errno (the descriptor is closed). */
int connection_open(struct gateway_thread *thread, int fd, const char *peer);
/* Closes the one of the thread's connections that has been idle longest, and for a second: between
 * requests, with nothing of the next one here and nothing of the last answer left. Where none is, the one
 * whose head has been incomplete longest, and for a second, too. False where none is, either. */
bool connection_make_room(struct gateway_thread *thread);
/* Has the client sent nothing behind the request under way? */
bool connection_is_alone(const struct connection *connection);
/* Looks at some who have hung up; the thread's let_go, at the end of each turn. */
void connection_let_go(struct loop_task *task);
/* Looks at the first of them. True where it is closed now. */
bool connection_let_one_go(struct gateway_thread *thread);
/* Ends it now; its exchange is told. */
void connection_close(struct connection *connection);
/* While draining: finish it if nothing of a request is here; one that is is answered before. */
void connection_drain(struct connection *connection);
/* When that has lasted long enough: true where a request was under way. */
bool connection_cut(struct connection *connection);

/* Looks again at what is there to be read or to be processed, at the end of this turn. */
void connection_resume(struct connection *connection);

/* Writes as much as the socket takes and keeps the rest. 0, or -EPIPE when the connection is (now)
 * closed, perhaps because there is no memory to keep the rest: the exchange has then been told by
 * gone(). */
int connection_write(struct connection *connection, const struct slice *parts, size_t count);
/* Bytes that wait for the client. */
size_t connection_backlog(const struct connection *connection);
/* The answer is complete: on to the next request, or close. The exchange is forgotten. */
void connection_answered(struct connection *connection);
/* For a body that ends where the connection does: until connection_finish() has sent all of it,
 * whatever ends the connection (this process's death too) resets it. socket(7), SO_LINGER. */
void connection_guard_end(struct connection *connection, bool guarded);
/* Sends what is left, then closes in a way that lets the client read it. */
void connection_finish(struct connection *connection);
/* Moves the time-out: the request makes progress. */
void connection_touch(struct connection *connection, uint32_t timeout_ms);
