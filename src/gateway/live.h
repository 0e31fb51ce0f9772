/* A version of a function that is in use: its pool of instances, its lock, its figures.
 *
 * Made by the first request for the version, or by the scheduler where instances are to be kept
 * ready; reached through function->live without a lock. When the registry replaces the version it is
 * retired: it serves those who wait, keeps no stock, and is freed by the scheduler when it is empty.
 */
#pragma once

#include "core/invoker/outcome.h"
#include "core/pool/pool.h"
#include "core/provisioner/keep_alive.h"
#include "core/provisioner/provisioner.h"
#include "core/registry/function.h"

#include "gateway/cold_start.h"
#include "gateway/round.h"

#include <pthread.h>
#include <stdatomic.h>

struct gateway;

/* Bucket bounds of the duration histograms, microseconds; the last bucket is +Inf. */
#define DURATION_BUCKETS 20
extern const uint32_t duration_bounds_us[DURATION_BUCKETS - 1];

/* One thread's figures for one function: written by that thread alone, read by any (relaxed). */
struct live_figures {
        atomic_ullong count[START_KIND_COUNT][OUTCOME_COUNT];
        atomic_ullong bucket[DURATION_BUCKETS];
        atomic_ullong duration_sum_us;
        atomic_ullong shed; /* of the refused: those who were not let wait */
};

struct live {
        struct list link;          /* gateway->lives */
        struct function *function; /* a reference */
        pthread_mutex_t lock;      /* guards `pool`, and what says so */
        struct pool pool;
        uint16_t turns_place, owner_place; /* its own and its owner's, in each thread's turns */
        bool takes_lanes;                  /* an instance has said so; guarded by `lock` */
        struct keep_alive *learned;        /* what `pool` learns; NULL where keep-alive is fixed */
        struct boot_record boots;          /* the scheduler's */
        char last_failure[256];            /* why the last boot failed; guarded by `lock` */
        struct cold_start_history cold_starts; /* guarded by `lock` */
        atomic_bool has_raw_output;            /* it writes past its shim: calls must not overlap */
        struct scheduler *scheduler;
        struct list demand_link;    /* scheduler->demand or ->starved */
        struct letter wake_letter;  /* to the scheduler: there are waiters */
        size_t instance_count;      /* struct instance in memory; the scheduler's */
        atomic_uint holds;          /* invocations that use it and are not in the pool */
        struct gateway_round round; /* before it is freed */
        bool burying, is_trial;     /* the scheduler's */
        size_t held_count; /* that hold memory, and are not on their way out for others; likewise */
        bool wants_memory; /* the same: counted in its accounts */
        bool retired;      /* the scheduler's */
        atomic_bool wake_posted;   /* the scheduler has been told and has not looked yet */
        struct function_log *log;  /* where its output is kept */
        atomic_ullong ahead_count; /* boots ahead of calls; written by the scheduler alone */
        unsigned thread_count;
        struct live_figures figures[]; /* one a thread */
};

/* The live of a version, made now if nobody has used it yet. NULL without memory. */
struct live *live_of(struct gateway *gateway, struct function *function);
/* One that nobody else finds, for a trial boot. */
struct live *live_new_for_trial(struct gateway *gateway, struct function *function);
void live_free(struct live *live);
/* What bounds its stock. On the scheduler's thread. */
struct pool_bounds live_bounds(const struct live *live);
/* On the scheduler's thread, with gateway->lives_lock held: the function's next version (NULL is
 * fine) goes on with what was learned. */
void live_bequeath(struct gateway *gateway, struct live *live, struct function *next,
                   uint64_t now_ns);
/* Its output must be told apart call by call: nothing is put ahead from now on. */
void live_tell_apart(struct live *live);

void live_count_shed(struct live *live, unsigned thread);
void live_count(struct live *live, unsigned thread, enum start_kind start, enum outcome outcome,
                uint64_t duration_ns);
