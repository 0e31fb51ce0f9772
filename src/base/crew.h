/* A few threads for work that would block a loop: password hashing, archives, log files.
 *
 * Law 3 of the house: nothing blocks a gateway thread. A job's work() runs on a crew thread, its
 * done() on the loop of the mailbox it names. The queue is bounded; a full crew says so at once.
 */
#pragma once

#include "base/list.h"
#include "base/mailbox.h"

#include <pthread.h>

struct job {
        struct letter letter; /* carries the job home; first, so that a letter is a job */
        struct list link;
        struct mailbox *home;
        void (*work)(struct job *job); /* on a crew thread */
        void (*done)(struct job *job); /* on the home loop; NULL: nothing, work() frees the job */
};

struct crew {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct list waiting;
        size_t waiting_count, waiting_max;
        bool stopping;
        size_t thread_count;
        pthread_t threads[8];
};

/* 1 <= thread_count <= 8. */
int crew_init(struct crew *crew, size_t thread_count, size_t waiting_max);
/* Finishes what is queued, then joins. */
void crew_deinit(struct crew *crew);
/* 0, or -EBUSY when the queue is full (the job was not taken). */
int crew_submit(struct crew *crew, struct job *job);
