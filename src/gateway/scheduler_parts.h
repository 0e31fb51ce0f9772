/* What the files of the scheduler (scheduler*.c, trial.c) share and nobody else needs. On the first
 * thread. */
#pragma once

#include "gateway/scheduler.h"

#include "gateway/gateway.h"

static inline bool scheduler_is_here(const struct scheduler *scheduler)
{
        return pthread_equal(scheduler->thread->thread, pthread_self());
}

/* An instance's leave_timer: its program has had its time. */
void scheduler_on_grace_over(struct timer *timer);

/* One more instance is ordered; false when that cannot be. `ahead`: of calls that are expected. With
 * `trial` it only shows whether the function loads. */
bool scheduler_boot(struct scheduler *scheduler, struct live *live, bool ahead,
                    struct trial *trial);
/* scheduler_memory.c: somebody's stock makes room for an instance of `taker`, unless some is coming. */
void scheduler_evict(struct scheduler *scheduler, const struct function *taker);
/* The same for one more of the instances that `taker` wants. False: nothing of the stock is ending for
 * it, but somebody may have been asked to end what he uses. */
bool scheduler_make_room(struct scheduler *scheduler, const struct function *taker, size_t wanted);
/* Who has less memory comes before who has more, else as they came. */
void scheduler_sort_demand(struct list *todo);
/* Does another function of the same owner, which has less, wait for what comes free? */
bool scheduler_sister_comes_first(struct scheduler *scheduler, struct live *live);
/* Does this function want memory that is not there, or that others come first for? */
void scheduler_want_memory(struct scheduler *scheduler, struct live *live, bool wants);
/* This function may want boots: look at it at the end of the turn. */
void scheduler_demand(struct scheduler *scheduler, struct live *live);

void scheduler_on_tick(struct timer *timer);

/* Begins the trials that wait: owners take turns, and each one's are in the order in which they came. */
void scheduler_run_trials(struct scheduler *scheduler);
/* Those who have waited for too long are told. */
void scheduler_expire_trials(struct scheduler *scheduler, uint64_t now_ns);
/* The answer is given at once; the instance and the trial's own `live` go when the sandbox has. */
void trial_succeed(struct instance *instance);
/* What the function printed says more than `detail`, unless it was not the function that failed. */
void trial_fail(struct instance *instance, enum outcome outcome, const char *detail);
/* Its sandbox went with its agent, or was killed by who knows whom: the trial begins anew. False: it
 * has been so often enough, or the function ended otherwise. */
bool trial_again(struct instance *instance);
