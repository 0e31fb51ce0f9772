/* Who gets memory when all of it is given away: whose stock ends, and who has to wait for whom. The rules
 * are core/provisioner/accounts.h's. */
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/scheduler_parts.h"

static struct holding live_holding(const struct live *live)
{
        return (struct holding){.instances = live->held_count,
                                .instance_bytes = live->function->memory_bytes};
}

/* Could it end one of its instances, now or when a call is over? */
static bool live_can_give(struct live *live)
{
        bool can;

        pthread_mutex_lock(&live->lock);
        can = (live->pool.capacity == 1 || live->pool.idle_count + live->pool.frozen_count > 0) &&
              pool_live_count(&live->pool) > live->function->min_instances;
        pthread_mutex_unlock(&live->lock);
        return can;
}

bool scheduler_sister_comes_first(struct scheduler *scheduler, struct live *live)
{
        const struct holding holding = live_holding(live);

        return accounts_another_comes_first(&scheduler->accounts, live->function->owner_id,
                                            &holding, live_can_give(live),
                                            provisioner_free_bytes(&scheduler->provisioner));
}

void scheduler_want_memory(struct scheduler *scheduler, struct live *live, bool wants)
{
        struct accounts *accounts = &scheduler->accounts;
        const char *owner = live->function->owner_id;
        const struct holding holding = live_holding(live);

        if (wants && !live->wants_memory)
                accounts_wait(accounts, owner);
        if (!wants && live->wants_memory)
                accounts_wait_no_more(accounts, owner);
        if (wants)
                accounts_wait_with(accounts, owner, &holding);
        live->wants_memory = wants;
}

static bool live_has_stock(struct live *live)
{
        bool has_stock;

        pthread_mutex_lock(&live->lock);
        has_stock = live->pool.idle_count + live->pool.frozen_count > 0 &&
                    pool_live_count(&live->pool) > live->function->min_instances;
        pthread_mutex_unlock(&live->lock);
        return has_stock;
}

/* One that has been idle since `before_ns`, now ENDING. */
static struct pool_instance *live_give_stock(struct live *live, uint64_t before_ns)
{
        struct pool_instance *victim = NULL;

        pthread_mutex_lock(&live->lock);
        if (pool_live_count(&live->pool) > live->function->min_instances)
                victim = pool_expire_one(&live->pool, before_ns);
        pthread_mutex_unlock(&live->lock);
        return victim;
}

/* Of the taker's owner, and not the taker itself. */
static bool live_is_sister(const struct live *live, const struct function *taker)
{
        return live->function != taker && strcmp(live->function->owner_id, taker->owner_id) == 0;
}

static struct holding function_holding(const struct function *function)
{
        const struct live *live = atomic_load(&function->live);

        return live ? live_holding(live)
                    : (struct holding){.instance_bytes = function->memory_bytes};
}

/* Is it one that may give the taker, a sister, what she needs? */
static bool live_may_give(const struct scheduler *scheduler, const struct live *live,
                          const struct function *taker)
{
        const struct holding giver = live_holding(live), other = function_holding(taker);

        return live_is_sister(live, taker) &&
               accounts_may_give(&giver, &other, provisioner_free_bytes(&scheduler->provisioner));
}

/* One that has none may have any sister's stock. */
static bool live_is_spared_for_sister(const struct scheduler *scheduler, const struct live *live,
                                      const struct function *taker)
{
        return live_is_sister(live, taker) && function_holding(taker).instances > 0 &&
               !live_may_give(scheduler, live, taker);
}

/* Since when must stock have been idle to be taken for this taker? */
static uint64_t scheduler_oldest_use(const struct scheduler *scheduler, const struct live *live,
                                     const struct function *taker)
{
        uint64_t now_ns = scheduler->thread->loop.now_ns;

        if (!live_is_spared_for_sister(scheduler, live, taker) &&
            !accounts_is_spared(&scheduler->accounts, live->function->owner_id, taker->owner_id,
                                taker->memory_bytes))
                return UINT64_MAX;
        return now_ns > ACCOUNTS_GRACE_NS ? now_ns - ACCOUNTS_GRACE_NS : 0;
}

/* Of those who need not be spared for this taker, the one whose owner holds most, and of one owner's the one
 * that holds most itself. */
static struct live *scheduler_pick_giver(struct scheduler *scheduler, const struct function *taker)
{
        struct live *live, *giver = NULL;
        uint64_t most_used = 0, most_held = 0;

        LIST_FOR_EACH (live, &scheduler->gateway->lives, link) {
                const struct holding holding = live_holding(live);
                uint64_t used = accounts_used(&scheduler->accounts, live->function->owner_id);
                uint64_t held = holding_bytes(&holding);
                if ((giver && (used < most_used || (used == most_used && held <= most_held))) ||
                    !live_has_stock(live) ||
                    scheduler_oldest_use(scheduler, live, taker) != UINT64_MAX)
                        continue;
                giver = live;
                most_used = used;
                most_held = held;
        }
        return giver;
}

/* What was ended for others and for so many of the taker's is about to be gone. */
static bool scheduler_room_comes(struct scheduler *scheduler, const struct function *taker,
                                 size_t wanted)
{
        scheduler->missing_bytes += wanted * taker->memory_bytes;
        return provisioner_free_bytes(&scheduler->provisioner) + scheduler->evicted_bytes >=
               scheduler->missing_bytes;
}

static bool scheduler_end_stock(struct scheduler *scheduler, const struct function *taker)
{
        struct gateway *gateway = scheduler->gateway;
        struct pool_instance *victim = NULL;
        struct live *live;

        pthread_mutex_lock(&gateway->lives_lock);
        live = scheduler_pick_giver(scheduler, taker);
        if (live)
                victim = live_give_stock(live, UINT64_MAX);
        if (!victim)
                LIST_FOR_EACH (live, &gateway->lives, link) {
                        victim =
                                live_give_stock(live, scheduler_oldest_use(scheduler, live, taker));
                        if (victim)
                                break;
                }
        /* Whoever gave goes to the end, so that it is not always the same. */
        if (victim) {
                list_remove(&live->link);
                list_push_back(&gateway->lives, &live->link);
        }
        pthread_mutex_unlock(&gateway->lives_lock);
        if (victim) {
                struct instance *instance = CONTAINER_OF(victim, struct instance, pool);
                instance->is_evicted = true;
                instance->live->held_count--;
                scheduler->evicted_bytes += instance->live->function->memory_bytes;
                scheduler_kill(scheduler, instance);
        }
        return victim != NULL;
}

/* There is no stock: who holds more than his share is to end what he uses, if the taker's owner has less, and
 * which of his own functions has more. That goes when its call is over. One at a
 * time: the next plan asks again. */
static void scheduler_ask_to_yield(struct scheduler *scheduler, const struct function *taker)
{
        struct gateway *gateway = scheduler->gateway;
        struct live *live, *giver = NULL;
        uint64_t most = 0;
        bool asked = false;

        pthread_mutex_lock(&gateway->lives_lock);
        LIST_FOR_EACH (live, &gateway->lives, link) {
                size_t count;
                bool may_yield;
                if (!live_may_give(scheduler, live, taker) &&
                    !accounts_must_yield(&scheduler->accounts, live->function->owner_id,
                                         taker->owner_id, taker->memory_bytes))
                        continue;
                pthread_mutex_lock(&live->lock);
                asked = asked || live->pool.yielding || live->pool.ending_count > 0;
                may_yield = live->pool.capacity == 1;
                count = pool_live_count(&live->pool);
                pthread_mutex_unlock(&live->lock);
                if (!may_yield || count * live->function->memory_bytes <= most ||
                    count <= live->function->min_instances)
                        continue;
                giver = live;
                most = count * live->function->memory_bytes;
        }
        if (giver && !asked) {
                pthread_mutex_lock(&giver->lock);
                giver->pool.yielding = true;
                pthread_mutex_unlock(&giver->lock);
        }
        pthread_mutex_unlock(&gateway->lives_lock);
}

void scheduler_evict(struct scheduler *scheduler, const struct function *taker)
{
        if (!scheduler_room_comes(scheduler, taker, 1))
                (void)scheduler_end_stock(scheduler, taker);
}

bool scheduler_make_room(struct scheduler *scheduler, const struct function *taker, size_t wanted)
{
        struct accounts *accounts = &scheduler->accounts;

        if (scheduler_room_comes(scheduler, taker, wanted))
                return true;
        if (accounts_would_be_in_vain(accounts, taker->owner_id, taker->memory_bytes))
                return false;
        if (scheduler_end_stock(scheduler, taker))
                return true;
        accounts_sought_in_vain(accounts, taker->owner_id, taker->memory_bytes);
        scheduler_ask_to_yield(scheduler, taker);
        return false;
}

static bool live_has_less(const struct list *one, const struct list *other)
{
        const struct holding first = live_holding(CONTAINER_OF(one, struct live, demand_link)),
                             second = live_holding(CONTAINER_OF(other, struct live, demand_link));

        return holding_bytes(&first) < holding_bytes(&second);
}

void scheduler_sort_demand(struct list *todo)
{
        list_sort(todo, live_has_less);
}
