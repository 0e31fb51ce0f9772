/* The scheduler's part of a story: boots, eviction, freezing, expiry and calls behind slow ones. */
#include "story_inside.h"

static void story_boot(struct story *s, struct story_function *function, bool ahead)
{
        struct story_instance *instance = story_allocate(sizeof(*instance));

        pool_instance_init(&instance->pool_instance);
        instance->pool_instance.is_ahead = ahead;
        instance->function = function;
        instance->number = ++s->instance_count;
        list_init(&instance->due_link);
        list_push_back(&s->instances, &instance->link);
        function->boots++;
        provisioner_boot_began(&s->provisioner, function->memory_bytes);
        pool_add_booting(&function->pool, &instance->pool_instance, story_time(s));
        story_say(s, ahead ? "#%u > boots ahead" : "#%u > boots", instance->number);
        story_set_due(s, instance, s->now_ns + function->boot_ns);
}

/* Ends stock, the longest idle of all functions first, until what is on its way back is enough. */
static void story_evict_for(struct story *s, uint64_t memory_bytes)
{
        uint64_t coming = s->provisioner.memory_budget_bytes - s->provisioner.memory_used_bytes;

        for (size_t i = 0; i < s->function_count; i++)
                coming += s->functions[i].pool.ending_count * s->functions[i].memory_bytes;
        while (coming < memory_bytes) {
                struct pool_instance *victim = NULL;
                uint64_t oldest_ns = UINT64_MAX;
                struct story_function *owner = NULL;
                struct story_instance *instance;

                LIST_FOR_EACH (instance, &s->instances, link) {
                        enum instance_state state = instance->pool_instance.state;
                        if ((state == INSTANCE_IDLE || state == INSTANCE_FROZEN) &&
                            pool_live_count(&instance->function->pool) >
                                    instance->function->min_instances &&
                            instance->pool_instance.idle_since_ns < oldest_ns) {
                                oldest_ns = instance->pool_instance.idle_since_ns;
                                owner = instance->function;
                        }
                }
                victim = owner ? pool_expire_one(&owner->pool, UINT64_MAX) : NULL;
                if (!victim)
                        return;
                story_kill_sandbox(s, INSTANCE_OF(victim), "evicted");
                coming += owner->memory_bytes;
        }
}

static struct pool_bounds story_bounds(const struct story_function *function)
{
        return (struct pool_bounds){function->min_instances, function->max_instances,
                                    function->keep_alive_ns};
}

static bool story_try_boot_ahead(struct story *s, struct story_function *function)
{
        struct pool_bounds bounds = story_bounds(function);

        if (pool_wanted_ahead(&function->pool, &bounds, s->now_ns) == 0 ||
            !provisioner_may_boot_ahead(&s->provisioner, &function->record, 0,
                                        function->memory_bytes, s->now_ns))
                return false;
        story_boot(s, function, true);
        return true;
}

/* True when a boot has begun. Nobody owns the functions of a story. */
static bool story_try_boot(struct story *s, struct story_function *function)
{
        if (pool_wanted_boots(&function->pool, s->now_ns, function->min_instances,
                              function->max_instances) == 0)
                return story_try_boot_ahead(s, function);
        switch (provisioner_ask(&s->provisioner, &function->record, 0, function->memory_bytes,
                                s->now_ns)) {
        case BOOT_NOW:
                story_boot(s, function, false);
                return true;
        case BOOT_NO_MEMORY:
                story_evict_for(s, function->memory_bytes);
                return false;
        case BOOT_TOO_LARGE:
        case BOOT_LATER:
        case BOOT_BACKING_OFF:
                return false;
        }
        __builtin_unreachable();
}

/* Each function in turn, so that none keeps the boots to itself. */
void story_plan(struct story *s)
{
        size_t refused = 0;

        while (refused < s->function_count) {
                struct story_function *function = &s->functions[s->next_function];
                s->next_function = (s->next_function + 1) % s->function_count;
                refused = story_try_boot(s, function) ? 0 : refused + 1;
        }
}

static void story_tick_function(struct story *s, struct story_function *function)
{
        struct pool_bounds bounds = story_bounds(function);
        struct pool *pool = &function->pool;
        struct pool_instance *instance;

        while (s->now_ns >= function->grace_ns &&
               (instance = pool_freeze_one(pool, s->now_ns - function->grace_ns)))
                story_say(s, "#%u > frozen", INSTANCE_OF(instance)->number);
        while ((instance = pool_expire_excess(pool, &bounds, s->now_ns)))
                story_kill_sandbox(s, INSTANCE_OF(instance), "expired");
}

void story_tick(struct story *s)
{
        struct story_instance *instance;

        LIST_FOR_EACH (instance, &s->instances, link)
                if (instance->pool_instance.state == INSTANCE_BUSY &&
                    instance->pool_instance.assigned_count > 1 &&
                    pool_head_is_slow(&instance->pool_instance, s->now_ns))
                        story_take_back_from(s, instance);
        for (size_t i = 0; i < s->function_count; i++)
                story_tick_function(s, &s->functions[i]);
}
