/* Who takes which place where one instance runs several calls at once; see pool.h.
 *
 * All busy instances are on one list, those that have room in front: the first is the one that is
 * being filled. One that was full and has a place again comes to the front, so the fullest is filled
 * first, and each choice takes one look.
 */
#include "core/pool/pool_parts.h"

#include <assert.h>

static bool places_has_room(const struct pool *pool, const struct pool_instance *instance)
{
        return !instance->in_doubt && instance->assigned_count < pool->capacity;
}

/* Its room has come, or gone. */
static void places_sort(struct pool *pool, struct pool_instance *instance)
{
        list_remove(&instance->link);
        if (places_has_room(pool, instance))
                list_push_front(&pool->busy[instance->home], &instance->link);
        else
                list_push_back(&pool->busy[instance->home], &instance->link);
}

/* NULL where there is no place anywhere. */
static struct pool_instance *places_pick(const struct pool *pool)
{
        struct list *link = list_peek_front(&pool->busy[0]);

        if (link && places_has_room(pool, CONTAINER_OF(link, struct pool_instance, link)))
                return CONTAINER_OF(link, struct pool_instance, link);
        link = list_peek_front(&pool->idle[0]);
        if (!link)
                link = list_peek_front(&pool->frozen);
        return link ? CONTAINER_OF(link, struct pool_instance, link) : NULL;
}

static void places_run(struct pool *pool, struct pool_instance *instance, struct pool_call *call,
                       enum start_kind start, uint64_t now_ns)
{
        assert(places_has_room(pool, instance) && instance->home == 0);
        call->start = start;
        call->run_since_ns = now_ns;
        pool_assign(pool, instance, call, CALL_RUNNING);
        if (instance->state != INSTANCE_BUSY) {
                pool_move(pool, instance, INSTANCE_BUSY);
                pool_tell_demand(pool, now_ns);
        }
        places_sort(pool, instance);
}

bool pool_can_match(const struct pool *pool)
{
        return pool->capacity > 1 && pool->stealing && pool->waiting_count > 0 &&
               places_pick(pool) != NULL;
}

bool places_take(struct pool *pool, struct pool_call *call, uint64_t now_ns)
{
        struct pool_instance *instance;

        if (pool->waiting_count > 0 && pool->stealing)
                return false;
        instance = places_pick(pool);
        if (!instance)
                return false;
        pool->spare_ns = now_ns;
        instance->is_fresh = false;
        places_run(pool, instance, call,
                   instance->state == INSTANCE_FROZEN ? START_THAWED : START_WARM, now_ns);
        return true;
}

enum release_result places_ready(struct pool *pool, struct pool_instance *instance, uint64_t now_ns,
                                 struct pool_call **ret_next)
{
        struct pool_call *waiter = pool_serve_waiter(pool, now_ns);

        if (!waiter)
                return pool_shelve(pool, instance, now_ns);
        pool->spare_ns = now_ns;
        places_run(pool, instance, waiter, START_COLD, now_ns);
        *ret_next = waiter;
        return RELEASE_HANDED;
}

/* A place has come free: to the longest waiter, or to nobody. */
static enum release_result places_pass_on(struct pool *pool, struct pool_instance *instance,
                                          uint64_t now_ns, struct pool_call **ret_next)
{
        /* Without stealing a line waits for boots, unless none is under way. */
        bool may_steal = pool->stealing || pool->booting_count == 0;
        struct pool_call *waiter =
                may_steal && !instance->in_doubt ? pool_serve_waiter(pool, now_ns) : NULL;

        if (waiter) {
                places_run(pool, instance, waiter, START_STOLEN, now_ns);
                *ret_next = waiter;
                return RELEASE_HANDED;
        }
        if (instance->assigned_count > 0) {
                places_sort(pool, instance);
                return RELEASE_BUSY;
        }
        if (instance->in_doubt) {
                pool_move(pool, instance, INSTANCE_ENDING);
                return RELEASE_END;
        }
        return pool_shelve(pool, instance, now_ns);
}

enum release_result places_release(struct pool *pool, struct pool_call *call, uint64_t now_ns,
                                   struct pool_call **ret_next)
{
        struct pool_instance *instance = call->instance;

        if (!call->alone)
                pool_learn_run(pool, call->ran_ns > 0 ? call->ran_ns
                                                      : pool_elapsed(call->run_since_ns, now_ns));
        pool_unassign(pool, call);
        instance->is_fresh = false;
        instance->in_doubt = false;
        return places_pass_on(pool, instance, now_ns, ret_next);
}

enum release_result pool_drop(struct pool *pool, struct pool_call *call, bool overdue,
                              uint64_t now_ns, struct pool_call **ret_next)
{
        struct pool_instance *instance = call->instance;

        assert(pool->capacity > 1 && instance->state == INSTANCE_BUSY);
        pool_unassign(pool, call);
        if (overdue)
                instance->in_doubt = true;
        return places_pass_on(pool, instance, now_ns, ret_next);
}

struct pool_call *places_match(struct pool *pool, uint64_t now_ns)
{
        struct list *link = list_peek_front(&pool->waiters);
        struct pool_instance *instance = link && pool->stealing ? places_pick(pool) : NULL;
        enum start_kind start = START_STOLEN;
        struct pool_call *waiter;

        if (!instance)
                return NULL;
        if (instance->state == INSTANCE_FROZEN)
                start = START_THAWED;
        else if (instance->is_fresh)
                start = START_COLD; /* it came while this one waited */
        waiter = pool_serve_waiter(pool, now_ns);
        pool->spare_ns = now_ns;
        places_run(pool, instance, waiter, start, now_ns);
        return waiter;
}
