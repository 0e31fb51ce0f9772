/* Who takes which instance; see pool.h. */
#include "core/pool/pool.h"

#include "core/pool/pool_parts.h"
#include "core/provisioner/keep_alive.h"

#include <assert.h>

#define AVERAGE_SHIFT 3 /* a new value counts for an eighth */
#define AHEAD_TRIES 4
#define RUN_OUTLIER 4

const char *start_kind_name(enum start_kind start)
{
        static const char *const names[START_KIND_COUNT] = {
                [START_NONE] = "none",     [START_WARM] = "warm", [START_THAWED] = "thawed",
                [START_STOLEN] = "stolen", [START_COLD] = "cold",
        };
        return names[start];
}

void pool_init(struct pool *pool, unsigned home_count)
{
        assert(home_count >= 1 && home_count <= POOL_HOME_MAX);
        *pool = (struct pool){.home_count = home_count,
                              .capacity = 1,
                              .processors = home_count,
                              .stealing = true};
        for (unsigned home = 0; home < POOL_HOME_MAX; home++) {
                list_init(&pool->idle[home]);
                list_init(&pool->busy[home]);
        }
        list_init(&pool->frozen);
        list_init(&pool->booting);
        list_init(&pool->ending);
        list_init(&pool->waiters);
}

void pool_instance_init(struct pool_instance *instance)
{
        *instance = (struct pool_instance){.state = INSTANCE_BOOTING, .is_fresh = true};
        list_init(&instance->link);
        list_init(&instance->assigned);
}

void pool_call_init(struct pool_call *call, unsigned home)
{
        *call = (struct pool_call){.home = home};
        list_init(&call->link);
}

static size_t *pool_count_of(struct pool *pool, enum instance_state state)
{
        switch (state) {
        case INSTANCE_BOOTING:
                return &pool->booting_count;
        case INSTANCE_IDLE:
                return &pool->idle_count;
        case INSTANCE_FROZEN:
                return &pool->frozen_count;
        case INSTANCE_BUSY:
                return &pool->busy_count;
        case INSTANCE_ENDING:
                return &pool->ending_count;
        }
        __builtin_unreachable();
}

static struct list *pool_list_of(struct pool *pool, const struct pool_instance *instance)
{
        switch (instance->state) {
        case INSTANCE_BOOTING:
                return &pool->booting;
        case INSTANCE_IDLE:
                return &pool->idle[instance->home];
        case INSTANCE_FROZEN:
                return &pool->frozen;
        case INSTANCE_BUSY:
                return &pool->busy[instance->home];
        case INSTANCE_ENDING:
                return &pool->ending;
        }
        __builtin_unreachable();
}

void pool_move(struct pool *pool, struct pool_instance *instance, enum instance_state to)
{
        assert(instance_may_become(instance->state, to));
        (*pool_count_of(pool, instance->state))--;
        list_remove(&instance->link);
        instance->state = to;
        (*pool_count_of(pool, to))++;
        list_push_front(pool_list_of(pool, instance), &instance->link);
}

static void pool_average(uint64_t *average, uint64_t value)
{
        if (*average == 0)
                *average = value + 1;
        else
                *average += (value >> AVERAGE_SHIFT) - (*average >> AVERAGE_SHIFT);
}

/* One call out of the ordinary (the processor was taken away, a page had to be read) must not make
 * a quick function a slow one: it counts for a few ordinary ones at most. */
void pool_learn_run(struct pool *pool, uint64_t run_ns)
{
        uint64_t most_ns = RUN_OUTLIER * pool->run_ns;

        if (most_ns < POOL_QUICK_RUN_NS)
                most_ns = POOL_QUICK_RUN_NS;
        pool_average(&pool->run_ns, pool->run_ns > 0 && run_ns > most_ns ? most_ns : run_ns);
        pool->run_count += pool->run_count < POOL_RUNS_KNOWN;
}

void pool_assign(struct pool *pool, struct pool_instance *instance, struct pool_call *call,
                 enum call_state state)
{
        pool->ahead_count += state == CALL_AHEAD;
        call->state = state;
        call->instance = instance;
        list_push_back(&instance->assigned, &call->link);
        instance->assigned_count++;
}

void pool_unassign(struct pool *pool, struct pool_call *call)
{
        assert(call->state == CALL_AHEAD || call->state == CALL_RUNNING);
        pool->ahead_count -= call->state == CALL_AHEAD;
        list_remove(&call->link);
        call->instance->assigned_count--;
        call->instance = NULL;
        call->state = CALL_OUT;
}

/* The first call ahead becomes the running one. NULL where none is ahead. */
static struct pool_call *pool_run_next(struct pool *pool, struct pool_instance *instance)
{
        struct list *link = list_peek_front(&instance->assigned);
        struct pool_call *call;

        if (!link)
                return NULL;
        call = CONTAINER_OF(link, struct pool_call, link);
        call->state = CALL_RUNNING;
        pool->ahead_count--;
        return call;
}

void pool_tell_demand(struct pool *pool, uint64_t now_ns)
{
        if (pool->learned)
                keep_alive_observe(pool->learned, pool->busy_count, now_ns);
}

/* Makes `call` the running call of an instance that has none. */
static void pool_run(struct pool *pool, struct pool_instance *instance, struct pool_call *call,
                     enum start_kind start, uint64_t now_ns)
{
        assert(list_is_empty(&instance->assigned));
        call->start = start;
        instance->is_fresh = false;
        instance->home = call->home;
        instance->exclusive = call->alone;
        instance->head_since_ns = now_ns;
        pool_assign(pool, instance, call, CALL_RUNNING);
        if (instance->state == INSTANCE_BUSY) { /* another home's list, perhaps */
                list_remove(&instance->link);
                list_push_front(&pool->busy[instance->home], &instance->link);
        } else {
                pool->spare_ns = now_ns; /* it came from stock, or is new */
                pool_move(pool, instance, INSTANCE_BUSY);
                pool_tell_demand(pool, now_ns);
        }
}

/* The stock nearest to the asking thread: its own newest, another's newest, the newest frozen. */
static struct pool_instance *pool_pick_idle(struct pool *pool, unsigned home)
{
        struct list *link = list_peek_front(&pool->idle[home]);

        if (!link && pool->idle_count > 0)
                for (unsigned i = 0; i < pool->home_count && !link; i++)
                        link = list_peek_front(&pool->idle[i]);
        if (!link)
                link = list_peek_front(&pool->frozen);
        return link ? CONTAINER_OF(link, struct pool_instance, link) : NULL;
}

static bool pool_may_put_ahead(const struct pool *pool, const struct pool_instance *instance,
                               uint64_t budget_ns)
{
        if (instance->exclusive || pool->never_ahead || pool->run_ns == 0 ||
            pool->run_ns > POOL_QUICK_RUN_NS || instance->assigned_count > POOL_AHEAD_MAX)
                return false;
        return instance->assigned_count * pool->run_ns <= budget_ns;
}

bool pool_head_is_slow(const struct pool_instance *instance, uint64_t now_ns)
{
        return pool_elapsed(instance->head_since_ns, now_ns) > POOL_HEAD_PATIENCE_NS;
}

/* An instance is filled up to the budget before the next one gets anything: a few that do not sleep
 * do more than many that are woken for each call. One with a slow or streaming call is passed over;
 * where several are, waiting for the next that is quick is fine. */
static struct pool_instance *pool_pick_busy(struct pool *pool, const struct pool_call *call,
                                            uint64_t now_ns, uint64_t budget_ns)
{
        struct list *busy = &pool->busy[call->home];

        if (call->alone || pool->single_use || !pool->stealing || pool->yielding ||
            list_is_empty(busy))
                return NULL;
        for (int tries = 0; tries < AHEAD_TRIES; tries++) {
                struct pool_instance *instance =
                        CONTAINER_OF(list_peek_front(busy), struct pool_instance, link);
                if (pool_may_put_ahead(pool, instance, budget_ns) &&
                    !pool_head_is_slow(instance, now_ns))
                        return instance;
                list_remove(&instance->link);
                list_push_back(busy, &instance->link);
        }
        return NULL;
}

/* In front of `at`. */
static void pool_enter_line(struct pool *pool, struct pool_call *call, struct list *at)
{
        if (pool->waiting_count++ == 0)
                patience_begin(&pool->patience, pool_live_count(pool));
        call->state = CALL_WAITING;
        list_push_back(at, &call->link);
}

enum take_result pool_take(struct pool *pool, struct pool_call *call, uint64_t now_ns)
{
        struct pool_instance *busy, *instance;

        assert(call->state == CALL_OUT && call->home < pool->home_count);
        pace_call(&pool->pace, now_ns);
        call->since_ns = now_ns;
        call->ticket = pool->next_ticket++;
        if (pool->capacity > 1) {
                if (places_take(pool, call, now_ns))
                        return TAKE_RUNNING;
        } else if (pool->waiting_count == 0 || !pool->stealing) {
                busy = pool_pick_busy(pool, call, now_ns, POOL_RATHER_AHEAD_NS);
                instance = busy ? NULL : pool_pick_idle(pool, call->home);
                if (instance) {
                        enum start_kind start =
                                instance->state == INSTANCE_FROZEN ? START_THAWED : START_WARM;
                        pool_run(pool, instance, call, start, now_ns);
                        return TAKE_RUNNING;
                }
                if (!busy)
                        busy = pool_pick_busy(pool, call, now_ns, POOL_AHEAD_BUDGET_NS);
                if (busy) {
                        call->start = START_WARM;
                        pool_assign(pool, busy, call, CALL_AHEAD);
                        return TAKE_AHEAD;
                }
        }

        pool_enter_line(pool, call, &pool->waiters);
        return TAKE_WAITING;
}

void pool_add_booting(struct pool *pool, struct pool_instance *instance, uint64_t now_ns)
{
        assert(instance->state == INSTANCE_BOOTING && list_is_empty(&instance->link));
        instance->boot_since_ns = now_ns;
        list_push_front(&pool->booting, &instance->link);
        pool->booting_count++;
        instance->brings_to = pool_live_count(pool) + pool->booting_count;
}

/* Out of the line, for whatever reason. */
static void pool_leave_line(struct pool *pool, struct pool_call *call)
{
        list_remove(&call->link);
        pool->waiting_count--;
}

struct pool_call *pool_serve_waiter(struct pool *pool, uint64_t now_ns)
{
        struct list *link = list_peek_front(&pool->waiters);
        struct pool_call *call;

        if (!link)
                return NULL;
        call = CONTAINER_OF(link, struct pool_call, link);
        pool_leave_line(pool, call);
        if (pool->waiting_count > 0)
                patience_served(&pool->patience, pool_elapsed(call->since_ns, now_ns), now_ns);
        return call;
}

/* An instance without calls: to the longest waiter, to the stock, or to its end. */
static enum release_result pool_place(struct pool *pool, struct pool_instance *instance,
                                      uint64_t now_ns, struct pool_call **ret_next)
{
        bool fresh = instance->is_fresh;
        struct pool_call *waiter = NULL;

        if (pool->yielding && !fresh) {
                pool->yielding = false;
                pool_move(pool, instance, INSTANCE_ENDING);
                return RELEASE_END;
        }
        /* Without stealing a line waits for boots. Where none is under way (the maximum, memory), it
         * would wait for ever. */
        if (fresh || (!pool->single_use && (pool->stealing || pool->booting_count == 0)))
                waiter = pool_serve_waiter(pool, now_ns);
        if (waiter) {
                pool_run(pool, instance, waiter, fresh ? START_COLD : START_STOLEN, now_ns);
                *ret_next = waiter;
                return RELEASE_HANDED;
        }
        return pool_shelve(pool, instance, now_ns);
}

enum release_result pool_shelve(struct pool *pool, struct pool_instance *instance, uint64_t now_ns)
{
        bool fresh = instance->is_fresh;

        if (pool->draining || (pool->single_use && !fresh)) {
                pool_move(pool, instance, INSTANCE_ENDING);
                return RELEASE_END;
        }
        instance->idle_since_ns = now_ns;
        pool_move(pool, instance, INSTANCE_IDLE);
        if (pool->learned && fresh && !instance->is_ahead) /* somebody wanted it, for a while */
                keep_alive_observe(pool->learned, pool_live_count(pool), now_ns);
        pool_tell_demand(pool, now_ns);
        return RELEASE_IDLE;
}

enum release_result pool_ready(struct pool *pool, struct pool_instance *instance, uint64_t now_ns,
                               struct pool_call **ret_next)
{
        assert(instance->state == INSTANCE_BOOTING);
        pool->boot_failed = false;
        patience_grew(&pool->patience, instance->brings_to);
        pool_average(&pool->boot_ns, pool_elapsed(instance->boot_since_ns, now_ns));
        if (pool->capacity > 1)
                return places_ready(pool, instance, now_ns, ret_next);
        return pool_place(pool, instance, now_ns, ret_next);
}

enum release_result pool_release(struct pool *pool, struct pool_call *call, uint64_t now_ns,
                                 struct pool_call **ret_next)
{
        struct pool_instance *instance = call->instance;
        struct pool_call *next;

        assert(call->state == CALL_RUNNING && instance->state == INSTANCE_BUSY);
        if (pool->capacity > 1)
                return places_release(pool, call, now_ns, ret_next);
        if (!instance->exclusive) /* else the client's line was measured */
                pool_learn_run(pool, call->ran_ns > 0
                                             ? call->ran_ns
                                             : pool_elapsed(instance->head_since_ns, now_ns));
        pool_unassign(pool, call);
        instance->exclusive = false;

        next = pool_run_next(pool, instance);
        if (next) {
                *ret_next = next;
                instance->head_since_ns = now_ns;
                return RELEASE_NEXT;
        }
        return pool_place(pool, instance, now_ns, ret_next);
}

struct pool_call *pool_put_ahead(struct pool *pool, struct pool_instance *instance, uint64_t now_ns)
{
        struct pool_call *waiter;
        struct list *front = list_peek_front(&pool->waiters);

        if (!front || instance->state != INSTANCE_BUSY || pool->single_use || !pool->stealing ||
            pool->capacity > 1 || pool->yielding ||
            !pool_may_put_ahead(pool, instance, POOL_AHEAD_BUDGET_NS))
                return NULL;
        waiter = CONTAINER_OF(front, struct pool_call, link);
        if (waiter->alone || waiter->home != instance->home)
                return NULL;
        (void)pool_serve_waiter(pool, now_ns);
        waiter->start = START_STOLEN;
        pool_assign(pool, instance, waiter, CALL_AHEAD);
        return waiter;
}

/* The instance has not begun its running call: the next is, or none. */
static void pool_unrun(struct pool *pool, struct pool_instance *instance)
{
        if (pool_run_next(pool, instance))
                return;
        instance->exclusive = false;
        instance->idle_since_ns = instance->head_since_ns;
        pool_move(pool, instance, INSTANCE_IDLE);
}

/* In front of those who came later, behind those who were taken back before it. */
void pool_take_back(struct pool *pool, struct pool_call *call)
{
        struct pool_instance *instance = call->instance;
        bool was_running = call->state == CALL_RUNNING;
        struct list *at = pool->waiters.next;

        assert(pool->capacity == 1 || instance->state == INSTANCE_ENDING);
        pool_unassign(pool, call);
        if (was_running && instance->state == INSTANCE_BUSY)
                pool_unrun(pool, instance);
        while (at != &pool->waiters &&
               CONTAINER_OF(at, struct pool_call, link)->ticket < call->ticket)
                at = at->next;
        pool_enter_line(pool, call, at);
}

struct pool_call *pool_match(struct pool *pool, uint64_t now_ns)
{
        struct list *link = list_peek_front(&pool->waiters);
        struct pool_instance *instance;
        struct pool_call *waiter;

        if (pool->capacity > 1)
                return places_match(pool, now_ns);
        if (!link || !pool->stealing)
                return NULL;
        waiter = CONTAINER_OF(link, struct pool_call, link);
        instance = pool_pick_idle(pool, waiter->home);
        if (!instance)
                return NULL;
        (void)pool_serve_waiter(pool, now_ns);
        pool_run(pool, instance, waiter,
                 instance->state == INSTANCE_FROZEN ? START_THAWED : START_STOLEN, now_ns);
        return waiter;
}

struct pool_call *pool_pop(struct pool *pool)
{
        struct list *link = list_peek_front(&pool->waiters);
        struct pool_call *call = link ? CONTAINER_OF(link, struct pool_call, link) : NULL;

        if (call)
                (void)pool_cancel(pool, call);
        return call;
}

bool pool_cancel(struct pool *pool, struct pool_call *call)
{
        if (call->state != CALL_WAITING)
                return false;
        pool_leave_line(pool, call);
        call->state = CALL_OUT;
        return true;
}

void pool_end(struct pool *pool, struct pool_instance *instance)
{
        if (instance->state == INSTANCE_BOOTING)
                pool->boot_failed = true;
        if (instance->state != INSTANCE_ENDING)
                pool_move(pool, instance, INSTANCE_ENDING);
}

void pool_fail(struct pool *pool, struct pool_call *call)
{
        assert(call->instance && call->instance->state == INSTANCE_ENDING);
        pool_unassign(pool, call);
}

void pool_remove(struct pool *pool, struct pool_instance *instance)
{
        assert(instance->state == INSTANCE_ENDING && list_is_empty(&instance->assigned));
        list_remove(&instance->link);
        pool->ending_count--;
}

/* The one that has been idle longest, over all homes. */
static struct pool_instance *pool_oldest_idle(const struct pool *pool)
{
        struct pool_instance *oldest = NULL;

        for (unsigned home = 0; home < pool->home_count && pool->idle_count > 0; home++) {
                struct list *link = list_peek_back(&pool->idle[home]);
                if (!link)
                        continue;
                struct pool_instance *instance = CONTAINER_OF(link, struct pool_instance, link);
                if (!oldest || instance->idle_since_ns < oldest->idle_since_ns)
                        oldest = instance;
        }
        return oldest;
}

struct pool_instance *pool_freeze_one(struct pool *pool, uint64_t before_ns)
{
        struct pool_instance *instance = pool_oldest_idle(pool);

        if (!instance || instance->idle_since_ns > before_ns)
                return NULL;
        pool_move(pool, instance, INSTANCE_FROZEN);
        return instance;
}

struct pool_instance *pool_expire_one(struct pool *pool, uint64_t before_ns)
{
        struct list *link = list_peek_back(&pool->frozen);
        struct pool_instance *instance =
                link ? CONTAINER_OF(link, struct pool_instance, link) : pool_oldest_idle(pool);

        if (!instance || instance->idle_since_ns > before_ns)
                return NULL;
        pool_move(pool, instance, INSTANCE_ENDING);
        return instance;
}
