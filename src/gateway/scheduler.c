/* Makes, freezes and ends instances; see scheduler.h. */
#include "gateway/scheduler.h"

#include "base/clock.h"
#include "gateway/function_log.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/invocation.h"
#include "gateway/lane.h"
#include "gateway/metrics.h"
#include "gateway/scheduler_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_TICK_MS 500

/* The table of instances ------------------------------------------------------------------------- */

/* An id is a place in the table and, above it, a number that is never used again. */
static struct instance *scheduler_find(struct scheduler *scheduler, uint64_t id)
{
        struct instance *instance = scheduler->table[id % INSTANCE_TABLE_SIZE];

        return instance && instance->id == id ? instance : NULL;
}

static struct instance *scheduler_add(struct scheduler *scheduler, struct live *live)
{
        struct instance *instance;
        uint32_t place;

        if (scheduler->next_free == 0)
                return NULL;
        place = scheduler->free_places[scheduler->next_free - 1];
        instance = instance_new(live, ++scheduler->generation * INSTANCE_TABLE_SIZE + place,
                                scheduler->thread);
        if (!instance)
                return NULL;
        timer_init(&instance->leave_timer, scheduler_on_grace_over);
        scheduler->next_free--;
        scheduler->table[place] = instance;
        scheduler->instances++;
        live->instance_count++;
        return instance;
}

/* Its sandbox is gone: the place and the memory may be used again. */
static void scheduler_remove(struct scheduler *scheduler, struct instance *instance)
{
        uint32_t place = (uint32_t)(instance->id % INSTANCE_TABLE_SIZE);

        scheduler->table[place] = NULL;
        scheduler->free_places[scheduler->next_free++] = place;
        if (instance->is_evicted)
                scheduler->evicted_bytes -= instance->live->function->memory_bytes;
        else
                instance->live->held_count--;
        provisioner_gone(&scheduler->provisioner, instance->live->function->memory_bytes);
        accounts_give(&scheduler->accounts, instance->live->function->owner_id,
                      instance->live->function->memory_bytes);
        scheduler->feeds_starved = true;
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

/* Its sandbox is gone, or never was. */
static void scheduler_end_instance(struct scheduler *scheduler, struct instance *instance,
                                   enum sandbox_end end, int code, uint64_t peak)
{
        instance->end = end;
        instance->end_code = code;
        instance->peak_memory_bytes = peak;
        instance->gone = true;
        scheduler_remove(scheduler, instance);
        instance_post_end(instance);
}

/* Booting ------------------------------------------------------------------------------------------ */

/* One more instance; false when it cannot even be ordered. */
bool scheduler_boot(struct scheduler *scheduler, struct live *live, bool ahead, struct trial *trial)
{
        struct function *function = live->function;
        struct instance *instance = scheduler_add(scheduler, live);
        struct sandbox_order order = {.function = function,
                                      .code = trial ? trial->staging : function->code_digest,
                                      .verify = trial != NULL};
        uint64_t now_ns = clock_now_ns();
        int r;

        if (!instance)
                return false;
        instance->trial = trial;
        instance->pool.is_ahead = ahead;
        instance->ordered_ns = now_ns;
        order.instance_id = instance->id;
        provisioner_boot_began(&scheduler->provisioner, function->memory_bytes);
        accounts_take(&scheduler->accounts, function->owner_id, function->memory_bytes);
        live->held_count++;
        accounts_boot_began(&scheduler->accounts, function->owner_id);
        pthread_mutex_lock(&live->lock);
        pool_add_booting(&live->pool, &instance->pool, now_ns);
        pthread_mutex_unlock(&live->lock);
        loop_set_timer(&scheduler->thread->loop, &instance->timer,
                       scheduler->gateway->config.boot_timeout_ms);
        r = scheduler->host->ops->make(scheduler->host, &order);
        if (r < 0 && r != -ENOTCONN) {
                atomic_store(&instance->kill_asked, true); /* there is nothing to kill */
                scheduler_boot_failed(instance, OUTCOME_PLATFORM,
                                      "The sandbox could not be ordered.");
        }
        if (r < 0)
                scheduler_end_instance(scheduler, instance, SANDBOX_LOST, 0, 0);
        return true;
}

/* Those who wait for a function that cannot be had are told. */
static void scheduler_refuse_waiters(struct live *live, enum outcome outcome, const char *detail)
{
        for (;;) {
                struct pool_call *call;
                pthread_mutex_lock(&live->lock);
                call = pool_pop(&live->pool);
                pthread_mutex_unlock(&live->lock);
                if (!call)
                        return;
                invocation_post_failure(CONTAINER_OF(call, struct invocation, call), outcome,
                                        detail);
        }
}

enum planned { PLANNED_ENOUGH, PLANNED_ONE_OF_MORE, PLANNED_FULL, PLANNED_NO_MEMORY };

/* Boots what calls are expected for, where there is room to spare. Where there is none the tick asks
 * again. */
static void scheduler_plan_ahead(struct scheduler *scheduler, struct live *live)
{
        uint64_t now_ns = scheduler->thread->loop.now_ns;
        struct pool_bounds bounds = live_bounds(live);
        size_t wanted;

        if (scheduler->accounts.waiting_users > 0)
                return;
        pthread_mutex_lock(&live->lock);
        wanted = pool_wanted_ahead(&live->pool, &bounds, now_ns);
        pthread_mutex_unlock(&live->lock);
        for (; wanted > 0; wanted--) {
                if (!provisioner_may_boot_ahead(
                            &scheduler->provisioner, &live->boots,
                            accounts_boots(&scheduler->accounts, live->function->owner_id),
                            live->function->memory_bytes, now_ns) ||
                    !scheduler_boot(scheduler, live, true, NULL))
                        return;
                atomic_fetch_add_explicit(&live->ahead_count, 1, memory_order_relaxed);
        }
}

/* Boots one that this function wants, if it may. */
static enum planned scheduler_plan_one(struct scheduler *scheduler, struct live *live)
{
        const struct function *function = live->function;
        uint64_t now_ns = scheduler->thread->loop.now_ns;
        size_t wanted;
        bool deserted;

        pthread_mutex_lock(&live->lock);
        wanted = pool_wanted_boots(&live->pool, now_ns, function->min_instances,
                                   function->max_instances);
        deserted = pool_live_count(&live->pool) == 0 && live->pool.booting_count == 0;
        pthread_mutex_unlock(&live->lock);

        if (wanted == 0) {
                scheduler_want_memory(scheduler, live, false);
                scheduler_plan_ahead(scheduler, live);
        }
        if (wanted > 0) {
                if (scheduler_sister_comes_first(scheduler, live) ||
                    !accounts_may_take(&scheduler->accounts, function->owner_id,
                                       function->memory_bytes)) {
                        scheduler_want_memory(scheduler, live, true);
                        return PLANNED_NO_MEMORY;
                }
                switch (provisioner_ask(&scheduler->provisioner, &live->boots,
                                        accounts_boots(&scheduler->accounts, function->owner_id),
                                        function->memory_bytes, now_ns)) {
                case BOOT_NOW:
                        if (!scheduler_boot(scheduler, live, false, NULL))
                                return PLANNED_FULL;
                        if (wanted > 1)
                                return PLANNED_ONE_OF_MORE;
                        break;
                case BOOT_LATER:
                        return PLANNED_FULL;
                case BOOT_NO_MEMORY:
                        scheduler_want_memory(scheduler, live, true);
                        return scheduler_make_room(scheduler, function, wanted) ? PLANNED_FULL
                                                                                : PLANNED_NO_MEMORY;
                case BOOT_TOO_LARGE:
                        scheduler_want_memory(scheduler, live, false);
                        scheduler_refuse_waiters(live, OUTCOME_OVERLOADED,
                                                 "The function needs more memory than this server "
                                                 "has for functions.");
                        return PLANNED_ENOUGH;
                case BOOT_BACKING_OFF:
                        scheduler_want_memory(scheduler, live, false);
                        if (deserted)
                                scheduler_refuse_waiters(live, OUTCOME_FUNCTION_BACKING_OFF,
                                                         live->last_failure);
                        return PLANNED_ENOUGH;
                }
        }
        scheduler_want_memory(scheduler, live, false);
        return PLANNED_ENOUGH;
}

void scheduler_demand(struct scheduler *scheduler, struct live *live)
{
        if (list_is_empty(&live->demand_link))
                list_push_back(&scheduler->demand, &live->demand_link);
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

static void list_move_all(struct list *from, struct list *to)
{
        while (!list_is_empty(from))
                list_push_back(to, list_pop_front(from));
}

/* One boot each for those of `todo` whose owners have no more than `most` under way. Others, and those
 * that want another one, stay in it; where there is no room for any, nobody does. */
static void scheduler_plan_round(struct scheduler *scheduler, struct list *todo, size_t most)
{
        struct list round, passed_over;

        list_init(&round);
        list_init(&passed_over);
        list_move_all(todo, &round);
        while (!list_is_empty(&round)) {
                struct live *live = CONTAINER_OF(list_pop_front(&round), struct live, demand_link);
                enum planned planned;
                bool waiting;

                if (!provisioner_is_full(&scheduler->provisioner) &&
                    accounts_boots(&scheduler->accounts, live->function->owner_id) > most) {
                        list_push_back(&passed_over, &live->demand_link);
                        continue;
                }
                planned = scheduler_plan_one(scheduler, live);
                if (planned == PLANNED_ONE_OF_MORE) {
                        list_push_back(todo, &live->demand_link);
                        continue;
                }
                if (planned == PLANNED_NO_MEMORY) {
                        list_push_back(&scheduler->starved, &live->demand_link);
                        continue;
                }
                pthread_mutex_lock(&live->lock);
                waiting = live->pool.waiting_count > 0;
                pthread_mutex_unlock(&live->lock);
                /* While somebody waits the tick looks again: the line may stand still. */
                if (planned == PLANNED_FULL || waiting)
                        list_push_back(&scheduler->demand, &live->demand_link);
        }
        /* An owner's next boot is of another function of his. */
        list_move_all(todo, &passed_over);
        list_move_all(&passed_over, todo);
}

/* Who has the fewest boots under way has the next one: a crowd of one user's does not stand before the
 * only one of another's. Those for whom there was no memory are looked at again when some has come back,
 * and at each tick, not for each newcomer. */
static void scheduler_run_plan(struct loop_task *task)
{
        struct scheduler *scheduler = CONTAINER_OF(task, struct scheduler, plan);
        struct list todo;

        if (!scheduler->host_ready)
                return;
        scheduler->missing_bytes = 0;
        accounts_begin_search(&scheduler->accounts);
        scheduler_run_trials(scheduler);
        list_init(&todo);
        if (scheduler->feeds_starved) {
                accounts_begin_look(&scheduler->accounts);
                list_move_all(&scheduler->starved, &todo);
        }
        scheduler->feeds_starved = false;
        list_move_all(&scheduler->demand, &todo);
        scheduler_sort_demand(&todo);
        for (size_t most = 0; !list_is_empty(&todo); most++)
                scheduler_plan_round(scheduler, &todo, most);
}

static void scheduler_wake_by_letter(struct letter *letter)
{
        struct live *live = CONTAINER_OF(letter, struct live, wake_letter);

        atomic_store_explicit(&live->wake_posted, false, memory_order_release);
        scheduler_demand(live->scheduler, live);
}

void scheduler_wake(struct scheduler *scheduler, struct live *live)
{
        if (scheduler_is_here(scheduler)) {
                scheduler_demand(scheduler, live);
                return;
        }
        if (atomic_exchange_explicit(&live->wake_posted, true, memory_order_acq_rel))
                return;
        live->wake_letter.deliver = scheduler_wake_by_letter;
        mailbox_post(&scheduler->thread->mailbox, &live->wake_letter);
}

/* What becomes of a boot --------------------------------------------------------------------------- */

/* A native program takes lanes only where it says so: one that does not runs one call at a time, whatever
 * its function's concurrency. False where it says otherwise than another instance of it. */
static bool scheduler_settle_lanes(struct instance *instance, const struct worker_frame *ready)
{
        struct live *live = instance->live;
        bool takes_lanes = live->function->runtime != RUNTIME_NATIVE ||
                           (ready->flags & WORKER_FLAG_LANES) != 0;
        bool is_settled = true;

        if (!instance->lanes)
                return true;
        pthread_mutex_lock(&live->lock);
        if (takes_lanes)
                live->takes_lanes = true;
        else if (live->takes_lanes)
                is_settled = false;
        else
                live->pool.capacity = 1;
        if (live->pool.capacity == 1) {
                free(instance->lanes);
                instance->lanes = NULL;
        } else {
                instance->lanes->takes_trunks = (ready->flags & WORKER_FLAG_TRUNKS) != 0;
        }
        pthread_mutex_unlock(&live->lock);
        return is_settled;
}

/* `value` is READY's. */
static void scheduler_boot_ready(struct scheduler *scheduler, struct instance *instance,
                                 uint64_t value)
{
        struct live *live = instance->live;
        struct turnover turnover = {0};

        instance->ready_ns = clock_now_ns();
        cold_start_ready(&instance->cold_start, instance->ordered_ns, instance->made_ns,
                         instance->ready_ns, value);
        instance->cold_start.ready_unix_ms = clock_unix_ms();
        loop_remove_timer(&scheduler->thread->loop, &instance->timer);
        provisioner_boot_ready(&scheduler->provisioner, &live->boots);
        accounts_boot_ended(&scheduler->accounts, live->function->owner_id);
        metrics_cold_start(&scheduler->gateway->metrics, live->function->runtime,
                           &instance->cold_start);

        pthread_mutex_lock(&live->lock);
        cold_start_keep(&live->cold_starts, &instance->cold_start);
        turnover.result =
                pool_ready(&live->pool, &instance->pool, instance->ready_ns, &turnover.next);
        turnover_fill(&turnover, instance, scheduler->thread);
        pthread_mutex_unlock(&live->lock);
        turnover_carry_out(&turnover, instance, scheduler->thread);
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

/* A refusal is lines; as a reason it is part of one. */
static struct slice without_end_of_line(struct slice text)
{
        while (text.length > 0 && text.data[text.length - 1] == '\n')
                text.length--;
        return text;
}

bool scheduler_boot_answer(struct instance *instance, const struct worker_frame *frame)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;
        struct slice reason = without_end_of_line(frame->payload);
        char detail[ERR_TEXT_MAX];

        if (frame->type == WORKER_READY && instance->trial) {
                trial_succeed(instance);
        } else if (frame->type == WORKER_READY) {
                if (!scheduler_settle_lanes(instance, frame))
                        return false;
                instance->takes_ring = !instance->lanes && (frame->flags & WORKER_FLAG_RING) != 0;
                scheduler_boot_ready(scheduler, instance, frame->value);
        } else {
                if (instance->trial)
                        trial_say_why(instance->trial, frame->payload);
                (void)snprintf(detail, sizeof(detail), "%.*s", (int)reason.length, reason.data);
                scheduler_boot_failed(instance, OUTCOME_FUNCTION_INIT, detail);
        }
        return true;
}

/* What has not happened, as the rest of a sentence. */
static const char *awaited(const struct function *function)
{
        if (function->runtime != RUNTIME_IMAGE)
                return "";
        if (function->contract == CONTRACT_HTTP)
                return ": nothing listens on the port that the variable PORT names";
        return function->contract == CONTRACT_LAMBDA
                       ? ": its program has not asked for an invocation"
                       : "";
}

void scheduler_boot_late(struct instance *instance)
{
        bool is_made = instance->made_ns > 0; /* else nothing of the function's has run */
        char detail[160];

        (void)snprintf(detail, sizeof(detail), "The %s within %u ms%s.",
                       is_made ? "function was not loaded" : "sandbox was not made",
                       instance_gateway(instance)->config.boot_timeout_ms,
                       is_made ? awaited(instance->live->function) : "");
        if (instance->trial)
                trial_say_why(instance->trial, slice_of(detail));
        scheduler_boot_failed(instance, is_made ? OUTCOME_FUNCTION_INIT : OUTCOME_PLATFORM, detail);
}

void scheduler_boot_failed(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;
        struct live *live = instance->live;
        bool is_fault = instance->end != SANDBOX_LOST || !instance->ended;
        struct pool_call *unlucky = NULL;

        loop_remove_timer(&scheduler->thread->loop, &instance->timer);
        if (is_fault)
                provisioner_boot_failed(&scheduler->provisioner, &live->boots,
                                        scheduler->thread->loop.now_ns);
        else
                provisioner_boot_ready(&scheduler->provisioner, &live->boots);
        accounts_boot_ended(&scheduler->accounts, live->function->owner_id);
        pthread_mutex_lock(&live->lock);
        pool_end(&live->pool, &instance->pool);
        if (is_fault) {
                (void)snprintf(live->last_failure, sizeof(live->last_failure), "%s",
                               detail ? detail : outcome_answer(outcome)->title);
                unlucky = pool_pop(&live->pool);
        }
        pthread_mutex_unlock(&live->lock);

        if (instance->trial && !trial_again(instance)) {
                trial_fail(instance, outcome, detail ? detail : outcome_answer(outcome)->title);
        } else if (is_fault && live->log) {
                function_log_append(live->log, "", LOG_STREAM_PLATFORM,
                                    slice_of(live->last_failure), clock_unix_ms());
        }
        if (!instance->ended)
                scheduler_kill(scheduler, instance);
        if (unlucky)
                invocation_post_failure(
                        CONTAINER_OF(unlucky, struct invocation, call),
                        outcome == OUTCOME_PLATFORM ? outcome : OUTCOME_FUNCTION_INIT, detail);
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

/* What the host tells --------------------------------------------------------------------------------- */

static struct scheduler *scheduler_of(struct sandbox_listener *listener)
{
        return CONTAINER_OF(listener, struct scheduler, listener);
}

static void on_host_ready(struct sandbox_listener *listener)
{
        struct scheduler *scheduler = scheduler_of(listener);

        scheduler->host_ready = true;
        atomic_store(&scheduler->is_ready, true);
        loop_defer(&scheduler->thread->loop, &scheduler->plan);
}

static void on_made(struct sandbox_listener *listener, uint64_t id,
                    const struct sandbox_descriptors *descriptors,
                    const struct sandbox_making *making)
{
        struct scheduler *scheduler = scheduler_of(listener);
        struct instance *instance = scheduler_find(scheduler, id);

        if (!instance) { /* cannot be: every order is in the table until it has ended */
                struct instance orphan = {.fds = *descriptors};
                instance_close(&orphan);
                return;
        }
        instance->fds = *descriptors;
        instance->made_ns = clock_now_ns();
        cold_start_made(&instance->cold_start, making);
        if (instance->pool.state != INSTANCE_BOOTING)
                return; /* given up meanwhile; its kill is on the way */
        if (instance_attach(instance, scheduler->thread) < 0)
                scheduler_boot_failed(instance, OUTCOME_PLATFORM,
                                      "The server has no descriptors left.");
}

static void on_refused(struct sandbox_listener *listener, uint64_t id, const char *why)
{
        struct scheduler *scheduler = scheduler_of(listener);
        struct instance *instance = scheduler_find(scheduler, id);

        if (!instance)
                return;
        if (instance->pool.state == INSTANCE_BOOTING) {
                atomic_store(&instance->kill_asked, true); /* there is nothing to kill */
                scheduler_boot_failed(instance, OUTCOME_PLATFORM, why);
        }
        scheduler_end_instance(scheduler, instance, SANDBOX_LOST, 0, 0);
}

static void on_ended(struct sandbox_listener *listener, uint64_t id, enum sandbox_end end, int code,
                     uint64_t peak_memory_bytes)
{
        struct scheduler *scheduler = scheduler_of(listener);
        struct instance *instance = scheduler_find(scheduler, id);

        if (instance)
                scheduler_end_instance(scheduler, instance, end, code, peak_memory_bytes);
}

static void on_lost(struct sandbox_listener *listener)
{
        struct scheduler *scheduler = scheduler_of(listener);

        scheduler->host_ready = false;
        atomic_store(&scheduler->is_ready, false);
        metrics_stock(&scheduler->gateway->metrics, &(struct sandbox_stock){0});
        for (size_t place = 0; place < INSTANCE_TABLE_SIZE; place++)
                if (scheduler->table[place])
                        scheduler_end_instance(scheduler, scheduler->table[place], SANDBOX_LOST, 0,
                                               0);
}

static void on_stocked(struct sandbox_listener *listener, const struct sandbox_stock *stock)
{
        metrics_stock(&scheduler_of(listener)->gateway->metrics, stock);
}

static const struct sandbox_listener_ops scheduler_listener_ops = {
        .ready = on_host_ready,
        .made = on_made,
        .refused = on_refused,
        .ended = on_ended,
        .lost = on_lost,
        .stocked = on_stocked,
};

int scheduler_init(struct scheduler *scheduler, struct gateway *gateway)
{
        *scheduler = (struct scheduler){
                .gateway = gateway,
                .thread = &gateway->threads[0],
                .listener = {.ops = &scheduler_listener_ops},
                .table = calloc(INSTANCE_TABLE_SIZE, sizeof(scheduler->table[0])),
                .free_places = calloc(INSTANCE_TABLE_SIZE, sizeof(scheduler->free_places[0])),
        };
        if (!scheduler->table || !scheduler->free_places)
                return -ENOMEM;
        /* Low places first, so that a small server touches little of the table. */
        while (scheduler->next_free < INSTANCE_TABLE_SIZE) {
                scheduler->free_places[scheduler->next_free] =
                        INSTANCE_TABLE_SIZE - 1 - scheduler->next_free;
                scheduler->next_free++;
        }
        provisioner_init(&scheduler->provisioner, gateway->config.memory_budget_bytes,
                         gateway->config.boots_max);
        accounts_init(&scheduler->accounts, gateway->config.memory_budget_bytes);
        list_init(&scheduler->demand);
        list_init(&scheduler->starved);
        list_init(&scheduler->trials);
        timer_init(&scheduler->tick, scheduler_on_tick);
        loop_task_init(&scheduler->plan, scheduler_run_plan);
        loop_set_timer(&scheduler->thread->loop, &scheduler->tick, FIRST_TICK_MS);
        return 0;
}

void scheduler_deinit(struct scheduler *scheduler)
{
        free(scheduler->table);
        free(scheduler->free_places);
        accounts_deinit(&scheduler->accounts);
}
