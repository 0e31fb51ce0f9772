/* How many instances the line is worth; see pool_wanted_boots() in pool.h.
 *
 * Each call in line is worth a boot, unless it would be served sooner without. Two things tell:
 *
 * The plan. Instances that are busy come free every run_ns. While one more boots, they serve the
 * front of the line; those who would still wait then get an instance each, or share one where they
 * are quicker than a boot. An instance whose running call streams or is overdue does not count.
 *
 * The check. If for a boot's time no instance was to spare (none in stock, none new), the plan does
 * not hold: as many calls come as go, or they are slower than they were. Then each is worth a boot.
 * Waiting as long as the remedy takes before paying for it costs at most twice the best choice, as
 * when one rents skis before buying them (Karlin et al., "Competitive snoopy caching", 1988).
 *
 * A quick function is different: its line is processor work, and more instances than processors
 * would only take turns, each doing less at a time. Up to there calls ahead count like those in
 * line, for they wait, too. What is not processor work, a call that hangs, is overdue soon.
 *
 * Where an instance runs several calls at once, it is their places that come free, and a boot brings
 * as many.
 */
#include "core/pool/pool.h"

#define BOOT_GUESS_NS 5000000ull /* until the first boot was seen */

/* Will it come free about when its like do? Nobody knows of one whose call streams or is overdue. */
static bool pool_is_moving(const struct pool_call *call, uint64_t since_ns, uint64_t patience_ns,
                           uint64_t now_ns)
{
        return !call->alone && pool_elapsed(since_ns, now_ns) <= patience_ns;
}

/* How many of its places will come free. */
static size_t pool_count_moving_in(const struct pool *pool, const struct pool_instance *instance,
                                   uint64_t patience_ns, uint64_t now_ns)
{
        const struct pool_call *call;
        size_t moving = 0;

        if (pool->capacity == 1)
                return pool_is_moving(CONTAINER_OF(instance->assigned.next, struct pool_call, link),
                                      instance->head_since_ns, patience_ns, now_ns);
        LIST_FOR_EACH (call, &instance->assigned, link)
                moving += pool_is_moving(call, call->run_since_ns, patience_ns, now_ns);
        return instance->in_doubt ? 0 : moving;
}

/* That have so many places. */
static size_t pool_instances_for(const struct pool *pool, size_t places)
{
        return (places + pool->capacity - 1) / pool->capacity;
}

struct moving {
        size_t places, instances; /* that have such places */
};

static struct moving pool_count_moving(const struct pool *pool, uint64_t patience_ns,
                                       uint64_t now_ns)
{
        const struct pool_instance *instance;
        struct moving moving = {0};

        for (unsigned home = 0; home < pool->home_count; home++)
                LIST_FOR_EACH (instance, &pool->busy[home], link) {
                        size_t places = pool_count_moving_in(pool, instance, patience_ns, now_ns);
                        moving.places += places;
                        moving.instances += places > 0;
                }
        return moving;
}

/* In instances. */
static size_t pool_worth_of_line(const struct pool *pool, uint64_t now_ns)
{
        uint64_t boot_ns = pool->boot_ns > 0 ? pool->boot_ns : BOOT_GUESS_NS;
        uint64_t run_ns = pool->run_ns, served;
        size_t line = pool->waiting_count, most = SIZE_MAX;
        struct moving moving;

        if (!pool->stealing || pool->single_use || run_ns == 0 || pool->busy_count == 0)
                return pool_instances_for(pool, line); /* no instance is known to come free */
        if (line + pool->ahead_count == 0 || pool->idle_count + pool->frozen_count > 0)
                return 0; /* calls are ahead beside stock where that is sooner than waking it */

        moving = pool_count_moving(
                pool, run_ns + (boot_ns > POOL_HEAD_PATIENCE_NS ? boot_ns : POOL_HEAD_PATIENCE_NS),
                now_ns);
        if (run_ns <= POOL_QUICK_RUN_NS) {
                most = moving.instances < pool->processors ? pool->processors - moving.instances
                                                           : 0;
                line += pool->ahead_count;
        }
        if (pool_elapsed(pool->spare_ns, now_ns) <= boot_ns) {
                served = moving.places * boot_ns / run_ns;
                line = line > served ? line - (size_t)served : 0;
                if (run_ns < boot_ns)
                        line = (size_t)((line * run_ns + boot_ns - 1) / boot_ns);
        }
        line = pool_instances_for(pool, line);
        return line < most ? line : most;
}

size_t pool_wanted_boots(const struct pool *pool, uint64_t now_ns, size_t min_instances,
                         size_t max_instances)
{
        size_t present = pool_live_count(pool) + pool->booting_count;
        size_t wanted = pool_worth_of_line(pool, now_ns);

        wanted = wanted > pool->booting_count ? wanted - pool->booting_count : 0;
        if (!pool->draining && present + wanted < min_instances)
                wanted = min_instances - present;
        if (present + wanted > max_instances)
                wanted = max_instances > present ? max_instances - present : 0;
        return wanted;
}
