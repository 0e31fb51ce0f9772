/* One thread that makes load: clients, their connections, and an event loop of its own.
 *
 * Theory of operation. A client is somebody who asks: in a closed loop he asks again when he has his
 * answer (and has thought), in an open loop he is lent to whatever request is due. He has one
 * connection (link) to each origin and uses one at a time. The loop (engine.c) waits, lets links read
 * and write (link.c), starts what is due and ends what is late (client.c). What it counts goes into
 * the tally of the current moment (plan.h), which is handed to whoever runs the engines when the
 * moment is over. A request is two system calls (send, recv) and a share of an epoll_wait; nothing is
 * allocated for it, and no lock is taken but once a moment.
 */
#pragma once

#include "base/list.h"
#include "lab/load.h"
#include "lab/tally.h"

struct engine;

/* A moment's figures of one thread. */
struct engine_report {
        struct list link;
        struct plan_moment moment;
        uint64_t until_ns; /* what was counted came before this, by the run's clock */
        bool is_last;      /* this thread has ended */
        struct tally tally;
};

/* Thread `index` of load->thread_count; it begins at `start_ns` (CLOCK_MONOTONIC). 0 or a negative
 * errno. */
int engine_start(const struct load *load, unsigned index, uint64_t start_ns,
                 struct engine **ret_engine);
/* From any thread: ends it soon, and what is unanswered stays so. */
void engine_stop(struct engine *engine);
/* The oldest report that was not taken yet, or NULL. Give it back by engine_give(). */
struct engine_report *engine_take(struct engine *engine);
void engine_give(struct engine *engine, struct engine_report *report);
/* Waits for its end. NULL is fine. */
void engine_free(struct engine *engine);
