/* The rules that hold after every step of every story, whatever happens in it. */
#include "story.h"

#include <stdio.h>

static char sentence[200];

/* The first broken rule is kept: what follows is its consequence. */
#define RULE(s, holds, ...)                                                                        \
        do {                                                                                       \
                if (!(holds) && !(s)->fault) {                                                     \
                        (void)snprintf(sentence, sizeof(sentence), __VA_ARGS__);                   \
                        (s)->fault = sentence;                                                     \
                }                                                                                  \
        } while (0)

static unsigned number_of(const struct pool_instance *instance)
{
        return CONTAINER_OF(instance, struct story_instance, pool_instance)->number;
}

static const char *name_of(const struct pool_call *call)
{
        return CONTAINER_OF(call, struct story_call, pool_call)->name;
}

/* Its calls: one runs and the rest is ahead, or all run, as many as it may. Only an instance that
 * works has any. */
static size_t check_assigned(struct story *s, const struct pool *pool,
                             struct pool_instance *instance)
{
        const struct pool_call *call;
        size_t count = 0, most = pool->capacity > 1 ? pool->capacity : POOL_AHEAD_MAX + 1;

        LIST_FOR_EACH (call, &instance->assigned, link) {
                bool runs = count == 0 || pool->capacity > 1;
                RULE(s, call->state == (runs ? CALL_RUNNING : CALL_AHEAD),
                     "call %s is number %zu of #%u and in state %d", name_of(call), count,
                     number_of(instance), (int)call->state);
                RULE(s, call->instance == instance, "call %s does not know its instance",
                     name_of(call));
                RULE(s, runs || !call->alone, "%s streams and was put ahead", name_of(call));
                count++;
        }
        RULE(s, count == instance->assigned_count, "#%u has %zu calls and counts %u",
             number_of(instance), count, instance->assigned_count);
        RULE(s, (count > 0) == (instance->state == INSTANCE_BUSY), "#%u is %s with %zu calls",
             number_of(instance), instance_state_name(instance->state), count);
        RULE(s, count <= most, "#%u has %zu calls, it may have %zu", number_of(instance), count,
             most);
        RULE(s, count <= 1 || !instance->exclusive, "#%u streams with calls ahead",
             number_of(instance));
        return count;
}

/* Every instance on `list` is of this state; returns the calls they hold. */
static size_t check_list(struct story *s, const struct pool *pool, const struct list *list,
                         enum instance_state state, const unsigned *home, size_t *count)
{
        struct pool_instance *instance;
        size_t calls = 0;

        LIST_FOR_EACH (instance, list, link) {
                RULE(s, instance->state == state, "#%u is %s and on the list of %s",
                     number_of(instance), instance_state_name(instance->state),
                     instance_state_name(state));
                RULE(s, !home || instance->home == *home, "#%u is of home %u and on home %u's list",
                     number_of(instance), instance->home, *home);
                calls += check_assigned(s, pool, instance);
                (*count)++;
        }
        return calls;
}

static void check_count(struct story *s, enum instance_state state, size_t listed, size_t counted)
{
        RULE(s, listed == counted, "%zu instances are %s and %zu are counted", listed,
             instance_state_name(state), counted);
}

static size_t check_instances(struct story *s, struct pool *pool)
{
        size_t found[INSTANCE_STATE_COUNT] = {0}, calls = 0, running;

        for (unsigned home = 0; home < pool->home_count; home++) {
                calls += check_list(s, pool, &pool->idle[home], INSTANCE_IDLE, &home,
                                    &found[INSTANCE_IDLE]);
                calls += check_list(s, pool, &pool->busy[home], INSTANCE_BUSY, &home,
                                    &found[INSTANCE_BUSY]);
        }
        calls += check_list(s, pool, &pool->frozen, INSTANCE_FROZEN, NULL, &found[INSTANCE_FROZEN]);
        calls += check_list(s, pool, &pool->booting, INSTANCE_BOOTING, NULL,
                            &found[INSTANCE_BOOTING]);
        calls += check_list(s, pool, &pool->ending, INSTANCE_ENDING, NULL, &found[INSTANCE_ENDING]);
        check_count(s, INSTANCE_IDLE, found[INSTANCE_IDLE], pool->idle_count);
        check_count(s, INSTANCE_BUSY, found[INSTANCE_BUSY], pool->busy_count);
        check_count(s, INSTANCE_FROZEN, found[INSTANCE_FROZEN], pool->frozen_count);
        check_count(s, INSTANCE_BOOTING, found[INSTANCE_BOOTING], pool->booting_count);
        check_count(s, INSTANCE_ENDING, found[INSTANCE_ENDING], pool->ending_count);
        /* One each, or all of them, as check_assigned() has seen. */
        running = pool->capacity > 1 ? calls : found[INSTANCE_BUSY];
        RULE(s, calls == running + pool->ahead_count, "%zu calls are ahead and %zu are counted",
             calls - running, pool->ahead_count);
        return calls;
}

/* Where instances run several calls: those with room come first, and nobody waits while there is
 * room. */
static void check_room(struct story *s, const struct pool *pool)
{
        const struct pool_instance *instance;
        bool was_full = false;
        size_t room = 0;

        LIST_FOR_EACH (instance, &pool->busy[0], link) {
                bool has_room = !instance->in_doubt && instance->assigned_count < pool->capacity;
                RULE(s, !was_full || !has_room, "#%u has room and is behind one that has none",
                     number_of(instance));
                was_full = was_full || !has_room;
                room += has_room ? pool->capacity - instance->assigned_count : 0;
        }
        RULE(s, !pool->stealing || room == 0 || pool->waiting_count == 0,
             "%zu places are free while %zu calls wait", room, pool->waiting_count);
}

/* In the order of their arrival. */
static size_t check_waiters(struct story *s, const struct pool *pool)
{
        const struct pool_call *call, *before = NULL;
        size_t count = 0;

        LIST_FOR_EACH (call, &pool->waiters, link) {
                RULE(s, call->state == CALL_WAITING && !call->instance, "%s waits in state %d",
                     name_of(call), (int)call->state);
                RULE(s, !before || before->ticket < call->ticket, "%s waits in front of %s",
                     name_of(before), name_of(call));
                before = call;
                count++;
        }
        RULE(s, count == pool->waiting_count, "%zu wait and %zu are counted", count,
             pool->waiting_count);
        return count;
}

static void check_function(struct story *s, struct story_function *function, size_t *calls)
{
        struct pool *pool = &function->pool;
        size_t stock = pool->idle_count + pool->frozen_count;

        *calls += check_instances(s, pool) + check_waiters(s, pool);
        if (pool->capacity > 1)
                check_room(s, pool);
        RULE(s, pool_live_count(pool) + pool->booting_count <= function->max_instances,
             "%zu instances, the maximum is %zu", pool_live_count(pool) + pool->booting_count,
             function->max_instances);
        RULE(s, !pool->stealing || stock == 0 || pool->waiting_count == 0,
             "%zu instances in stock while %zu calls wait", stock, pool->waiting_count);
        RULE(s, !pool->draining || stock == 0, "a draining pool keeps %zu in stock", stock);
}

void story_check(struct story *s)
{
        const struct story_instance *instance;
        size_t calls = 0, instances = 0, listed = 0, booting = 0;
        uint64_t memory_bytes = 0;

        if (s->unchecked)
                return;
        for (size_t i = 0; i < s->function_count; i++) {
                const struct pool *pool = &s->functions[i].pool;
                check_function(s, &s->functions[i], &calls);
                listed += pool_live_count(pool) + pool->booting_count + pool->ending_count;
                booting += pool->booting_count;
        }
        LIST_FOR_EACH (instance, &s->instances, link) {
                instances++;
                memory_bytes += instance->function->memory_bytes;
                RULE(s, !instance->function->pool.single_use || instance->served <= 1,
                     "#%u is for one call and had %zu", instance->number, instance->served);
        }
        /* Equal numbers and one link each: no instance or call is on two lists, or on none. */
        RULE(s, listed == instances, "%zu instances are alive and %zu are on lists", instances,
             listed);
        RULE(s, calls == s->open_calls, "%zu calls are open and %zu are on lists", s->open_calls,
             calls);
        RULE(s, memory_bytes == s->provisioner.memory_used_bytes, "%llu bytes are used, not %llu",
             (unsigned long long)memory_bytes,
             (unsigned long long)s->provisioner.memory_used_bytes);
        RULE(s, memory_bytes <= s->provisioner.memory_budget_bytes, "memory beyond the budget");
        RULE(s, booting == s->provisioner.boots && booting <= s->provisioner.boots_max,
             "%zu boots are under way, %zu are counted", booting, s->provisioner.boots);
}

void story_check_refusal(struct story *s, const struct story_call *refused,
                         enum wait_verdict verdict)
{
        const struct pool *pool = &refused->function->pool;
        const struct pool_instance *instance;
        size_t in_line = pool->waiting_count - 1;

        RULE(s, pool->patience.target_ns > 0, "%s was refused though all may wait", refused->name);
        RULE(s, in_line >= PATIENCE_SHORT || verdict == WAIT_HOPELESS,
             "%s was refused with %zu in line", refused->name, in_line);
        if (pool->boot_failed || pool->single_use)
                return;
        LIST_FOR_EACH (instance, &pool->booting, link)
                RULE(s, instance->brings_to <= pool->patience.instances,
                     "%s was refused while one more than ever boots", refused->name);
}

void story_check_turn(struct story *s, const struct story_call *served)
{
        const struct pool_call *call;

        if (s->unchecked)
                return;
        LIST_FOR_EACH (call, &served->function->pool.waiters, link)
                RULE(s, call->ticket > served->pool_call.ticket, "%s was served before %s",
                     served->name, name_of(call));
}
