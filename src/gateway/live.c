/* A version of a function in use; see live.h. */
#include "gateway/live.h"

#include "base/clock.h"
#include "base/hash.h"
#include "gateway/function_log.h"
#include "gateway/gateway.h"

#include <stdlib.h>

const uint32_t duration_bounds_us[DURATION_BUCKETS - 1] = {
        50,    100,    200,    400,    800,     1500,    3000,     6000,     12000,    25000,
        50000, 100000, 250000, 500000, 1000000, 2500000, 10000000, 60000000, 300000000};

struct live *live_new_for_trial(struct gateway *gateway, struct function *function)
{
        unsigned threads = gateway->config.thread_count;
        struct live *live = calloc(1, sizeof(*live) + threads * sizeof(live->figures[0]));

        if (!live)
                return NULL;
        list_init(&live->link);
        list_init(&live->demand_link);
        live->is_trial = true;
        live->scheduler = &gateway->scheduler;
        live->function = function_ref(function);
        live->thread_count = threads;
        live->turns_place = turns_place(hash_bytes(function->id, ID_LENGTH, gateway->turns_seed));
        live->owner_place =
                turns_place(hash_bytes(function->owner_id, ID_LENGTH, gateway->turns_seed));
        pthread_mutex_init(&live->lock, NULL);
        pool_init(&live->pool, threads);
        /* What gateway threads need is not the functions'. */
        live->pool.processors =
                gateway->config.core_count > threads ? gateway->config.core_count - threads : 1;
        live->pool.stealing = gateway->config.stealing;
        live->pool.single_use = function->keep_alive_ms == 0;
        live->pool.patience.target_ns = gateway->config.queue_delay_ms * NS_PER_MS;
        return live;
}

static struct live *live_new(struct gateway *gateway, struct function *function)
{
        struct live *live = live_new_for_trial(gateway, function);

        if (!live)
                return NULL;
        live->is_trial = false;
        live->pool.capacity = function_capacity(function);
        live->log = function_log_open(&gateway->logs, function->id);
        if (function->keep_alive_ms == KEEP_ALIVE_AUTO) {
                live->learned = malloc(sizeof(*live->learned));
                live->pool.learned = live->learned;
        }
        if (live->learned)
                keep_alive_init(live->learned, gateway->config.keep_alive_step_ms * NS_PER_MS);
        if (!live->log || (function->keep_alive_ms == KEEP_ALIVE_AUTO && !live->learned)) {
                live_free(live);
                return NULL;
        }
        return live;
}

void live_free(struct live *live)
{
        function_log_unref(live->log);
        free(live->learned);
        function_unref(live->function);
        pthread_mutex_destroy(&live->lock);
        free(live);
}

void live_tell_apart(struct live *live)
{
        if (atomic_exchange_explicit(&live->has_raw_output, true, memory_order_relaxed))
                return;
        pthread_mutex_lock(&live->lock);
        live->pool.never_ahead = true;
        pthread_mutex_unlock(&live->lock);
}

/* With lives_lock held. */
static struct live *live_of_locked(struct gateway *gateway, struct function *function)
{
        struct live *live = atomic_load_explicit(&function->live, memory_order_acquire);

        if (live)
                return live;
        live = live_new(gateway, function);
        if (live) {
                list_push_back(&gateway->lives, &live->link);
                atomic_store_explicit(&function->live, live, memory_order_release);
        }
        return live;
}

struct live *live_of(struct gateway *gateway, struct function *function)
{
        struct live *live = atomic_load_explicit(&function->live, memory_order_acquire);

        if (live)
                return live;
        pthread_mutex_lock(&gateway->lives_lock);
        live = live_of_locked(gateway, function);
        pthread_mutex_unlock(&gateway->lives_lock);
        return live;
}

struct pool_bounds live_bounds(const struct live *live)
{
        const struct function *function = live->function;
        uint64_t keep_alive_ns = function->keep_alive_ms * NS_PER_MS;

        if (live->learned)
                keep_alive_ns = KEEP_ALIVE_FIXED_BINS * live->learned->bin_ns;
        return (struct pool_bounds){function->min_instances, function->max_instances,
                                    keep_alive_ns};
}

/* Replaces what it learns with by `learned`; returns what it was. */
static struct keep_alive *live_learn_with(struct live *live, struct keep_alive *learned)
{
        struct keep_alive *before;

        pthread_mutex_lock(&live->lock);
        before = live->learned;
        live->learned = live->pool.learned = learned;
        pthread_mutex_unlock(&live->lock);
        return before;
}

void live_bequeath(struct gateway *gateway, struct live *live, struct function *next,
                   uint64_t now_ns)
{
        struct live *heir = NULL;
        struct keep_alive *learned;

        if (live->learned && next && next->keep_alive_ms == KEEP_ALIVE_AUTO)
                heir = live_of_locked(gateway, next);
        if (!heir)
                return;
        learned = live_learn_with(live, NULL);
        keep_alive_observe(learned, 0, now_ns); /* nothing of the heir's runs so far */
        free(live_learn_with(heir, learned));
}

/* One writer: a load and a store are enough, and cheaper than an atomic addition. */
static void figure_add(atomic_ullong *figure, unsigned long long value)
{
        atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + value,
                              memory_order_relaxed);
}

void live_count_shed(struct live *live, unsigned thread)
{
        figure_add(&live->figures[thread].shed, 1);
}

void live_count(struct live *live, unsigned thread, enum start_kind start, enum outcome outcome,
                uint64_t duration_ns)
{
        struct live_figures *figures = &live->figures[thread];
        uint64_t duration_us = duration_ns / 1000;
        size_t bucket = 0;

        while (bucket < DURATION_BUCKETS - 1 && duration_us > duration_bounds_us[bucket])
                bucket++;
        figure_add(&figures->count[start][outcome], 1);
        figure_add(&figures->bucket[bucket], 1);
        figure_add(&figures->duration_sum_us, duration_us);
}
