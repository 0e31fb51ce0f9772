/* How many instances are to be there without a call in line; see pool_expire_excess() in pool.h.
 *
 * With a fixed keep-alive it is a matter of each instance: how long has it been idle? With one that
 * is learned it is a matter of the number: so many places are worth an instance now. Which of the
 * idle ones ends does not matter then; the one that was idle longest is as good as any.
 */
#include "core/pool/pool.h"
#include "core/provisioner/keep_alive.h"

/* How many are to be there at least. */
static size_t pool_least(struct pool *pool, const struct pool_bounds *bounds, uint64_t now_ns)
{
        size_t least = 0;

        if (pool->learned) {
                keep_alive_observe(pool->learned, pool->busy_count, now_ns);
                least = pool->busy_count + keep_alive_spare(pool->learned, now_ns);
        }
        if (least > bounds->max_instances)
                least = bounds->max_instances;
        return least > bounds->min_instances ? least : bounds->min_instances;
}

struct pool_instance *pool_expire_excess(struct pool *pool, const struct pool_bounds *bounds,
                                         uint64_t now_ns)
{
        if (pool->draining)
                return pool_expire_one(pool, UINT64_MAX);
        if (pool->learned && pool->waiting_count > 0)
                return NULL; /* who waits may take it at any moment */
        if (pool_live_count(pool) <= pool_least(pool, bounds, now_ns))
                return NULL;
        if (pool->learned && pool_live_count(pool) <= KEEP_ALIVE_PLACES)
                return pool_expire_one(pool, UINT64_MAX);
        if (now_ns < bounds->keep_alive_ns)
                return NULL;
        return pool_expire_one(pool, now_ns - bounds->keep_alive_ns);
}

size_t pool_wanted_ahead(struct pool *pool, const struct pool_bounds *bounds, uint64_t now_ns)
{
        size_t present = pool_live_count(pool) + pool->booting_count, least;

        if (!pool->learned || pool->draining || pool->waiting_count > 0)
                return 0; /* where somebody waits, demand.c has the word */
        least = pool_least(pool, bounds, now_ns);
        return least > present ? least - present : 0;
}
