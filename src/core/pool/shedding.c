/* Who is refused a place in line; see pool_judge_wait() in pool.h, and patience.h. */
#include "core/pool/pool.h"

#define QUICK_TIMES 4 /* as many may wait for a quick function */

/* Does one bring more than the line has had? What takes the place of a dead one only goes on with it.
 * Where an instance serves one call, boots are what serves the line, not what will make it shorter;
 * but the first calls have nothing else to hope for. */
static bool pool_boots_may_help(const struct pool *pool)
{
        const struct pool_instance *instance;

        if (pool->boot_failed || (pool->single_use && pool->run_ns > 0))
                return false;
        LIST_FOR_EACH (instance, &pool->booting, link)
                if (instance->brings_to > pool->patience.instances)
                        return true;
        return false;
}

/* Even if all instances were done at once now, and went on at their usual pace, the last in line
 * would be too late. */
static bool pool_is_hopeless(const struct pool *pool, size_t max_instances, uint64_t wait_max_ns)
{
        size_t live = pool_live_count(pool);

        return pool->run_count == POOL_RUNS_KNOWN && pool->busy_count > 0 &&
               pool->booting_count == 0 && (live >= max_instances || pool->patience.shedding) &&
               (pool->waiting_count - 1) / (live * pool->capacity) * pool->run_ns > wait_max_ns;
}

/* Where it sheds. What makes a quick call wait is processor work, its own and its caller's. To refuse
 * it is about as much: that makes nobody's wait shorter, so the line may be longer. */
static size_t pool_most_in_line(const struct pool *pool, uint64_t now_ns)
{
        size_t most =
                patience_most(&pool->patience, pool_live_count(pool) * pool->capacity, now_ns);

        return pool->run_ns > 0 && pool->run_ns <= POOL_QUICK_RUN_NS ? most * QUICK_TIMES : most;
}

enum wait_verdict pool_judge_wait(struct pool *pool, size_t max_instances, uint64_t wait_max_ns,
                                  uint64_t now_ns)
{
        const struct pool_call *head =
                CONTAINER_OF(list_peek_front(&pool->waiters), struct pool_call, link);
        bool is_over =
                patience_is_over(&pool->patience, pool_elapsed(head->since_ns, now_ns), now_ns);

        if (pool->patience.target_ns == 0)
                return WAIT_ALLOWED;
        if (is_over && pool->waiting_count > pool_most_in_line(pool, now_ns) &&
            !pool_boots_may_help(pool))
                return WAIT_SHED;
        return pool_is_hopeless(pool, max_instances, wait_max_ns) ? WAIT_HOPELESS : WAIT_ALLOWED;
}

uint64_t pool_drain_ns(const struct pool *pool, uint64_t now_ns)
{
        uint64_t drain_ns = patience_drain_ns(&pool->patience, pool->waiting_count, now_ns);
        size_t places = pool_live_count(pool) * pool->capacity;

        if (drain_ns == 0 && places > 0)
                drain_ns = pool->waiting_count * pool->run_ns / places;
        return drain_ns;
}
