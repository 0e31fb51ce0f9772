/* One invocation: from a request to the function's answer.
 *
 *      made --> (collects a body that did not come in one piece) --> asks the pool
 *        running:  its frame is on the way to an idle instance
 *        ahead:    its frame is on the way to a busy one
 *        waiting:  its frame is kept, until it is handed an instance or wait_max_ms is over
 *      --> RESULT (and DATA) --> answered; the instance goes to whoever is next
 *
 * It lives on the thread of its connection. When the client goes away while the function runs, the
 * function finishes all the same, and its answer is dropped.
 */
#pragma once

#include "base/mailbox.h"
#include "core/invoker/outcome.h"
#include "core/pool/pool.h"
#include "core/registry/function.h"
#include "gateway/connection.h"
#include "wire/worker_protocol.h"

struct gateway_thread;
struct instance;
struct lane;
struct live;

struct invocation {
        struct exchange exchange;
        struct pool_call call;
        struct letter letter;      /* brings it an instance from another thread */
        struct instance *instance; /* while it has one */
        struct lane *lane; /* and what it has of it, where that runs several calls at once */
        struct gateway_thread *thread;
        struct live *live;
        struct timer timer;  /* the wait's limit, then the function's time-out */
        struct block *frame; /* its INVOKE frame, or later a piece of body, while kept */
        uint64_t arrived_ns, running_ns; /* when; running_ns is 0 until it runs */
        uint64_t init_ns;                /* how long the instance took that was made for it */
        uint64_t answer_bytes, log_bytes;
        uint32_t wire_id;       /* its number on that instance */
        unsigned retry_after_s; /* where it is refused; 0: as its outcome says */
        int default_status;     /* where the function names none */
        enum outcome failure;   /* with `failure_detail`, while a letter carries it home */
        char *failure_detail;
        bool held;        /* counted in live->holds */
        bool url;         /* by function URL: the head goes along */
        bool by_owner;    /* the caller may see the function's tracebacks */
        bool collecting;  /* the body is not complete and not sent yet */
        bool submitted;   /* the pool knows of it */
        bool rest_is_end; /* `frame` is a last piece of body that found no room */
        bool streaming;   /* the INVOKE frame was sent without END */
        bool body_sent;   /* END was sent */
        bool answering;   /* RESULT has come */
        bool opens_lane;  /* may open one, and is counted; guarded by live->lock */
        char id[ID_LENGTH + 1];
};

/* How a request asks for a function. */
struct invocation_request {
        struct function *function;
        const struct user *user; /* NULL: nobody, a public function URL */
        struct slice path;       /* for a function URL: what follows the name, at least "/" */
        int default_status;
        bool url;
        bool has_own_credentials; /* in Authorization: for the function to look at, not for us */
};

/* Begins it as the exchange of this connection. `body` is the complete body where `complete`, else
 * nothing: the connection feeds it. Refuses by itself what cannot be begun. */
void invocation_begin(struct connection *connection, const struct http_request *request,
                      const struct invocation_request *wanted, struct slice body, bool complete);

/* It has an instance that is idle no more, on this thread: sends it. */
void invocation_send(struct invocation *invocation, struct instance *instance);
/* It was ahead and runs now. */
void invocation_runs(struct invocation *invocation);

/* RESULT, DATA or ERROR of its number. False where it is not due. */
bool invocation_take(struct invocation *invocation, const struct worker_frame *frame);

/* It ends badly: answers the client (or breaks the answer off), counts, frees. The pool has let go
 * of it. `detail` may be NULL. */
void invocation_fail(struct invocation *invocation, enum outcome outcome, const char *detail);

/* From the scheduler's thread: it has been taken out of the line, and there is no instance for it. */
void invocation_post_failure(struct invocation *invocation, enum outcome outcome,
                             const char *detail);

/* What follows when an instance is ready or has answered. Filled under the pool's lock right after
 * pool_ready() or pool_release(), carried out without it, both on thread `here`: the instance's home,
 * or the lane's. */
struct turnover {
        enum release_result result;
        struct pool_call *next;
        struct pool_call *ahead[POOL_AHEAD_MAX];
        size_t ahead_count;
        struct live *rematch; /* set: there are places for others who wait */
};

void turnover_fill(struct turnover *turnover, struct instance *instance,
                   const struct gateway_thread *here);
void turnover_carry_out(struct turnover *turnover, struct instance *instance,
                        struct gateway_thread *here);
