/* Reads one answer from pieces of any size, and keeps none of its body. Pure but for the memory
 * that a head takes which did not arrive whole: that comes from a pool.
 *
 *     reading_begin(&reading, is_head_request);
 *     reading_feed(&reading, &pool, bytes)    READING_MORE: feed on, or reading_end() at the end
 */
#pragma once

#include "wire/http_answer.h"
#include "wire/http_chunked.h"

#define READING_HEAD_MAX 32768

enum reading_result {
        READING_MORE,
        READING_DONE,
        READING_BROKEN, /* no HTTP, or more bytes than there should be: close */
        READING_SHORT,  /* it ended too early */
        READING_EMPTY,  /* it ended before it began */
};

/* A head that waits for its rest. */
struct spill {
        struct spill *next;
        char bytes[READING_HEAD_MAX];
};

/* A thread's own. */
struct spill_pool {
        struct spill *free;
        struct http_answer answer; /* the head that is being looked at; too large for the stack */
};

void spill_pool_deinit(struct spill_pool *pool);

enum reading_state {
        READING_HEAD,
        READING_BODY_LENGTH,
        READING_BODY_CHUNKED,
        READING_BODY_CLOSE,
        READING_COMPLETE,
};

struct reading {
        enum reading_state state;
        bool to_head, begun;
        bool keep_alive; /* may the connection be used again? Valid when it is done */
        int status;      /* valid once the head was read */
        uint64_t body_left;
        struct http_chunked chunked;
        struct spill *spill; /* from the pool; NULL where nothing is kept */
        size_t kept, scanned;
};

void reading_begin(struct reading *reading, bool to_head);
/* Never READING_SHORT or READING_EMPTY. -ENOMEM counts as READING_BROKEN. */
enum reading_result reading_feed(struct reading *reading, struct spill_pool *pool,
                                 struct slice bytes);
/* The connection has ended. Never READING_MORE. */
enum reading_result reading_end(struct reading *reading);
/* Gives back what it holds; it may be begun again. */
void reading_drop(struct reading *reading, struct spill_pool *pool);
