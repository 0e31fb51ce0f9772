/* An event loop over epoll: level-triggered sources, timers, and work for the end of a turn.
 *
 * One loop belongs to one thread; only mailbox_post() may be called from others. A callback may
 * remove or free any source, its own included. epoll(7).
 */
#pragma once

#include "base/list.h"
#include "base/wheel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Few: what is begun is soon done, while its memory is in the processor's caches. The rest waits in its
 * sockets. */
#define LOOP_BATCH 64
#define LOOP_FIRST_BATCH 32

struct loop_source {
        int fd;          /* borrowed; -1 while not added */
        uint32_t events; /* EPOLLIN, EPOLLOUT ... as asked for */
        bool is_urgent;  /* of what one turn brings, this comes before what is not */
        /* Every turn brings it, however many others have something to say: it is in a set of its own. Set
         * before loop_add(), changed by loop_put_first(). */
        bool comes_first;
        void (*on_event)(struct loop_source *source, uint32_t events);
};

/* Work that wants to be done once, at the end of the current turn, before the loop sleeps. */
struct loop_task {
        struct list link;
        void (*run)(struct loop_task *task);
};

struct loop {
        int epoll_fd;
        bool stopping;
        int batch_count;
        struct epoll_event batch[LOOP_BATCH];
        int first_fd; /* the set of those who come first; -1: nobody has */
        struct loop_source first;
        int first_count;
        struct epoll_event first_batch[LOOP_FIRST_BATCH];
        struct wheel wheel;
        struct list tasks;
        struct list turn_tasks; /* for the end of this turn or of the next; see loop_defer_turn() */
        /* Run at the end of each turn; NULL: none. What it defers is done before the next. */
        struct loop_task *at_end;
        /* Run when a turn is over, which it is no part of; NULL: none. */
        struct loop_task *afterwards;
        uint64_t now_ns;     /* CLOCK_MONOTONIC when this turn began */
        uint64_t max_lag_ns; /* the longest turn since somebody last set this to 0 */
};

int loop_init(struct loop *loop);
void loop_deinit(struct loop *loop);

void loop_source_init(struct loop_source *source,
                      void (*on_event)(struct loop_source *source, uint32_t events));
int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events);
/* No system call where `events` is what it was. What is no longer asked for is not delivered, even
 * where this turn has fetched it already; EPOLLERR and EPOLLHUP always are. */
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
/* Whether it comes first, from now on. 0, or a negative errno: it is as before. */
int loop_put_first(struct loop *loop, struct loop_source *source, bool comes_first);
/* Harmless on a source that was not added. Call it before closing the descriptor. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* `delay_ms` from the start of this turn. */
void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void loop_remove_timer(struct loop *loop, struct timer *timer);

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));
/* Harmless where it is queued already. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Once, after all else of a turn: of this one, or where that is at its end already (the task itself asks
 * for more), of the next, which then does not sleep. Harmless where it is queued already. */
void loop_defer_turn(struct loop *loop, struct loop_task *task);

/* Runs until loop_stop(). 0, or a negative errno from epoll_wait. */
int loop_run(struct loop *loop);
/* One turn; sleeps `most_ms` at most. For tests and for programs with a loop of their own. */
int loop_turn(struct loop *loop, int most_ms);
void loop_stop(struct loop *loop);
