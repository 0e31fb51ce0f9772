/* The scheduler's tick: freezing, expiring, looking again, and letting go of what is retired. */
#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/scheduler_parts.h"

#define TICK_BUSY_MS 10
#define TICK_ACTIVE_MS                                                                             \
        25 /* a timer that is due before the kernel's own tick costs each sleep of the loop */
#define TICK_QUIET_MS 500
#define TICK_MORE_MS 1
#define FREEZE_MOST 16 /* in a tick: each takes some 50 us, in which nobody is served */

/* Freezes and expires what has been idle for too long: no more than `left` are frozen. True while there
 * is more to freeze. */
static bool scheduler_tend(struct scheduler *scheduler, struct live *live, uint64_t now_ns,
                           unsigned *left)
{
        uint64_t freeze_ns = scheduler->gateway->config.freeze_after_ms * NS_PER_MS;
        struct pool_bounds bounds = live_bounds(live);
        struct pool_instance *instance;
        bool active, wanting;

        pthread_mutex_lock(&live->lock);
        while (now_ns > freeze_ns && *left > 0 &&
               (instance = pool_freeze_one(&live->pool, now_ns - freeze_ns))) {
                instance_freeze(CONTAINER_OF(instance, struct instance, pool));
                --*left;
        }
        active = live->pool.idle_count + live->pool.busy_count > 0;
        while ((instance = pool_expire_excess(&live->pool, &bounds, now_ns)))
                scheduler_dismiss(scheduler, CONTAINER_OF(instance, struct instance, pool));
        wanting = pool_wanted_boots(&live->pool, now_ns, bounds.min_instances,
                                    bounds.max_instances) > 0 ||
                  pool_wanted_ahead(&live->pool, &bounds, now_ns) > 0;
        pthread_mutex_unlock(&live->lock);
        if (wanting)
                scheduler_demand(scheduler, live);
        return active;
}

static bool live_is_empty(struct live *live)
{
        bool empty;

        pthread_mutex_lock(&live->lock);
        empty = live->pool.waiting_count == 0 && live->pool.booting_count == 0 &&
                live->pool.ending_count == 0 && pool_live_count(&live->pool) == 0;
        pthread_mutex_unlock(&live->lock);
        return empty && live->instance_count == 0 && atomic_load(&live->holds) == 0;
}

/* No thread is in the middle of using it any more, and none can find it. */
static void live_bury(struct gateway_round *round)
{
        struct live *live = CONTAINER_OF(round, struct live, round);
        struct gateway *gateway = round->gateway;

        live->burying = false;
        if (!live_is_empty(live))
                return; /* the tick will look again */
        list_remove(&live->demand_link);
        scheduler_want_memory(live->scheduler, live, false);
        pthread_mutex_lock(&gateway->lives_lock);
        list_remove(&live->link);
        metrics_keep(&gateway->metrics, live);
        metrics_prune(gateway);
        pthread_mutex_unlock(&gateway->lives_lock);
        atomic_store(&live->function->live, NULL);
        live_free(live);
}

/* How long nothing need be looked at where nothing runs. */
static uint32_t scheduler_quiet_ms(const struct gateway_config *config)
{
        uint32_t quarter_ms = config->keep_alive_step_ms / 4;

        if (quarter_ms >= TICK_QUIET_MS)
                return TICK_QUIET_MS;
        return quarter_ms > TICK_BUSY_MS ? quarter_ms : TICK_BUSY_MS;
}

/* Where instances live and nobody waits: soon enough to freeze what has been idle for long enough. */
static uint32_t scheduler_active_ms(const struct gateway_config *config)
{
        uint32_t half_ms = config->freeze_after_ms / 2;

        if (half_ms >= TICK_ACTIVE_MS)
                return TICK_ACTIVE_MS;
        return half_ms > TICK_BUSY_MS ? half_ms : TICK_BUSY_MS;
}

void scheduler_on_tick(struct timer *timer)
{
        struct scheduler *scheduler = CONTAINER_OF(timer, struct scheduler, tick);
        struct gateway *gateway = scheduler->gateway;
        uint64_t now_ns = scheduler->thread->loop.now_ns;
        unsigned left = FREEZE_MOST;
        bool active = false, busy = false;
        struct live *live;

        /* Only this thread takes lives out of the list; others add at its end. */
        pthread_mutex_lock(&gateway->lives_lock);
        LIST_FOR_EACH (live, &gateway->lives, link) {
                active = scheduler_tend(scheduler, live, now_ns, &left) || active;
                if (live->retired && !live->burying && live_is_empty(live)) {
                        live->burying = true;
                        gateway_round(gateway, &live->round, live_bury);
                }
        }
        pthread_mutex_unlock(&gateway->lives_lock);
        scheduler_expire_trials(scheduler, now_ns);
        if (!list_is_empty(&scheduler->demand) || !list_is_empty(&scheduler->starved) ||
            !list_is_empty(&scheduler->trials)) {
                busy = true;
                scheduler->feeds_starved = true;
                loop_defer(&scheduler->thread->loop, &scheduler->plan);
        }
        loop_set_timer(&scheduler->thread->loop, timer,
                       left == 0 ? TICK_MORE_MS
                       : busy    ? TICK_BUSY_MS
                       : active  ? scheduler_active_ms(&gateway->config)
                                 : scheduler_quiet_ms(&gateway->config));
}

static void live_retire(struct live *live)
{
        live->retired = true;
        pthread_mutex_lock(&live->lock);
        live->pool.draining = true;
        pthread_mutex_unlock(&live->lock);
}

/* What is to be kept ready is so before its first call. */
static bool live_expect(struct function *function, void *gateway)
{
        if (function->min_instances > 0)
                (void)live_of(gateway, function);
        return true;
}

void scheduler_reconcile(struct scheduler *scheduler)
{
        struct gateway *gateway = scheduler->gateway;
        const struct catalog *catalog = gateway_catalog(gateway);
        struct live *live;

        if (!atomic_load(&gateway->draining))
                (void)catalog_each_function(catalog, live_expect, gateway);
        pthread_mutex_lock(&gateway->lives_lock);
        LIST_FOR_EACH (live, &gateway->lives, link) {
                struct function *current =
                        catalog_find_function(catalog, slice_of(live->function->id));
                if (live->retired || current == live->function)
                        continue;
                if (!atomic_load(&gateway->draining))
                        live_bequeath(gateway, live, current, scheduler->thread->loop.now_ns);
                live_retire(live);
        }
        pthread_mutex_unlock(&gateway->lives_lock);
        loop_set_timer(&scheduler->thread->loop, &scheduler->tick, 1);
}

void scheduler_drain(struct scheduler *scheduler, void (*on_empty)(struct scheduler *scheduler))
{
        struct live *live;

        pthread_mutex_lock(&scheduler->gateway->lives_lock);
        LIST_FOR_EACH (live, &scheduler->gateway->lives, link) {
                pthread_mutex_lock(&live->lock);
                live->pool.draining = true;
                pthread_mutex_unlock(&live->lock);
        }
        pthread_mutex_unlock(&scheduler->gateway->lives_lock);
        scheduler->on_empty = on_empty;
        if (scheduler->instances == 0)
                on_empty(scheduler);
        else
                loop_set_timer(&scheduler->thread->loop, &scheduler->tick, 1);
}
