/* The gateway's part, on virtual time; see story.h. */
#include "story_inside.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TICK_NS NS_PER_MS /* how often time alone is looked at: freezing, expiry, slow calls */
#define GONE_NS NS_PER_MS /* from the kill of a sandbox to the end of its last process */
#define LOG_MAX (8u << 20)

void story_say(struct story *s, const char *format, ...)
{
        char text[128];
        uint64_t us = s->now_ns / US % 1000;
        va_list arguments;

        s->moved = true;
        if (s->quiet)
                return;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        ck_assert_int_eq(buffer_printf(&s->log, "[%3llu", (unsigned long long)(s->now_ns / MS)), 0);
        if (us > 0)
                ck_assert_int_eq(buffer_printf(&s->log, ".%03u", (unsigned)us), 0);
        ck_assert_int_eq(buffer_printf(&s->log, "] %s\n", text), 0);
}

const char *story_log(struct story *s)
{
        ck_assert_int_eq(buffer_reserve(&s->log, 1), 0);
        s->log.data[s->log.length] = '\0';
        return s->log.data;
}

uint64_t story_chance(struct story *s, uint64_t below)
{
        s->chance = s->chance * 6364136223846793005ull + 1442695040888963407ull;
        return (s->chance >> 33) % below;
}

uint64_t story_time(struct story *s)
{
        uint64_t lag_ns = s->lag_max_ns > 0 ? story_chance(s, s->lag_max_ns) : 0;
        return s->now_ns > lag_ns ? s->now_ns - lag_ns : 0;
}

/* ck_assert() writes to a file each time it holds; there are too many calls for that. */
void *story_allocate(size_t size)
{
        void *memory = calloc(1, size);

        if (!memory)
                ck_abort_msg("no memory");
        return memory;
}

struct story *story_new(unsigned home_count, size_t boots_max, uint64_t memory_budget_bytes)
{
        struct story *s = story_allocate(sizeof(*s));

        provisioner_init(&s->provisioner, memory_budget_bytes, boots_max);
        list_init(&s->instances);
        list_init(&s->calls);
        list_init(&s->ended);
        list_init(&s->due);
        buffer_init(&s->log, LOG_MAX);
        for (size_t i = 0; i < STORY_FUNCTIONS_MAX; i++)
                pool_init(&s->functions[i].pool, home_count);
        return s;
}

struct story_function *story_add_function(struct story *s)
{
        struct story_function *function = &s->functions[s->function_count++];

        ck_assert_uint_le(s->function_count, STORY_FUNCTIONS_MAX);
        function->memory_bytes = 128 * MIB;
        function->max_instances = 1000;
        function->boot_ns = 12 * MS;
        function->body_ns = STORY_BY_HAND;
        function->grace_ns = 100 * MS;
        function->keep_alive_ns = 600 * S;
        function->wait_max_ns = 30 * S;
        return function;
}

void story_learn(struct story_function *function, uint64_t bin_ns)
{
        keep_alive_init(&function->keep_alive, bin_ns);
        function->pool.learned = &function->keep_alive;
        function->keep_alive_ns = KEEP_ALIVE_FIXED_BINS * bin_ns;
}

struct story *story_of_one_function(void)
{
        struct story *s = story_new(1, 2, 1000 * 128 * MIB);
        (void)story_add_function(s);
        return s;
}

static void story_free_calls(struct list *calls)
{
        struct list *link;
        while ((link = list_pop_front(calls)))
                free(CONTAINER_OF(link, struct story_call, link));
}

void story_free(struct story **story)
{
        struct story *s = *story;
        struct list *link;

        if (!s)
                return;
        story_free_calls(&s->calls);
        story_free_calls(&s->ended);
        while ((link = list_pop_front(&s->instances)))
                free(CONTAINER_OF(link, struct story_instance, link));
        buffer_deinit(&s->log);
        free(s);
        *story = NULL;
}

void story_set_due(struct story *s, struct story_instance *instance, uint64_t due_ns)
{
        struct list *at;

        list_remove(&instance->due_link);
        instance->due_ns = due_ns;
        if (due_ns == STORY_BY_HAND)
                return;
        at = s->due.previous;
        while (at != &s->due && CONTAINER_OF(at, struct story_instance, due_link)->due_ns > due_ns)
                at = at->previous;
        list_push_front(at, &instance->due_link);
}

static void story_end_call(struct story *s, struct story_call *call, enum outcome outcome)
{
        if (outcome == OUTCOME_SUCCEEDED)
                story_say(s, "%s > done", call->name);
        else
                story_say(s, "%s > failed (%s)", call->name, outcome_answer(outcome)->reason);
        call->outcome = outcome;
        call->ended_ns = s->now_ns;
        list_remove(&call->link);
        list_push_back(&s->ended, &call->link);
        s->open_calls--;
}

/* It is looked at when the first of its running calls is over. */
static void story_wait_for_calls(struct story *s, struct story_instance *instance)
{
        const struct pool_call *call;
        uint64_t due_ns = STORY_BY_HAND;

        LIST_FOR_EACH (call, &instance->pool_instance.assigned, link)
                if (call->state == CALL_RUNNING && CALL_OF(call)->due_ns < due_ns)
                        due_ns = CALL_OF(call)->due_ns;
        story_set_due(s, instance, due_ns);
}

/* The body of the call that is now the running one. Processors are shared among those that run. */
static void story_run_body(struct story *s, struct story_call *call)
{
        struct story_instance *instance = INSTANCE_OF(call->pool_call.instance);
        uint64_t body_ns = call->body_ns, running = 0;

        call->began_ns = s->now_ns;
        instance->served++;
        if (body_ns != STORY_BY_HAND && s->processors > 0) {
                for (size_t i = 0; i < s->function_count; i++)
                        running += s->functions[i].pool.busy_count;
                if (running > s->processors)
                        body_ns = body_ns * running / s->processors;
        }
        call->due_ns = body_ns == STORY_BY_HAND ? body_ns : s->now_ns + body_ns;
        story_wait_for_calls(s, instance);
}

static void story_fill_ahead(struct story *s, struct story_instance *instance)
{
        struct pool_call *next;

        while ((next = pool_put_ahead(&instance->function->pool, &instance->pool_instance,
                                      s->now_ns))) {
                story_check_turn(s, CALL_OF(next));
                story_say(s, "%s > put ahead into #%u", CALL_OF(next)->name, instance->number);
        }
}

/* The pool has given the call an instance that was not busy before. */
static void story_begin(struct story *s, struct story_call *call)
{
        struct story_instance *instance = INSTANCE_OF(call->pool_call.instance);
        unsigned home = instance->pool_instance.home, before = instance->home_before;
        const char *start = start_kind_name(call->pool_call.start);

        if (instance->served > 0 && home != before)
                story_say(s, "%s > runs on #%u (%s, handed from home %u to %u)", call->name,
                          instance->number, start, before, home);
        else
                story_say(s, "%s > runs on #%u (%s)", call->name, instance->number, start);
        instance->home_before = home;
        story_run_body(s, call);
        story_fill_ahead(s, instance);
}

void story_kill_sandbox(struct story *s, struct story_instance *instance, const char *why)
{
        story_say(s, "#%u > ends (%s)", instance->number, why);
        story_set_due(s, instance, s->now_ns + GONE_NS);
}

/* What pool_ready() or pool_release() said. */
static void story_follow(struct story *s, struct story_instance *instance,
                         enum release_result result, struct pool_call *next)
{
        switch (result) {
        case RELEASE_NEXT:
                story_say(s, "%s > runs on #%u, sent ahead", CALL_OF(next)->name, instance->number);
                story_run_body(s, CALL_OF(next));
                story_fill_ahead(s, instance);
                break;
        case RELEASE_HANDED:
                story_check_turn(s, CALL_OF(next));
                story_begin(s, CALL_OF(next));
                break;
        case RELEASE_IDLE:
                story_say(s, "#%u > idle", instance->number);
                story_set_due(s, instance, STORY_BY_HAND);
                break;
        case RELEASE_END:
                story_kill_sandbox(s, instance,
                                   instance->pool_instance.in_doubt    ? "in doubt"
                                   : instance->function->pool.draining ? "draining"
                                                                       : "single use");
                break;
        case RELEASE_BUSY:
                story_wait_for_calls(s, instance);
                break;
        }
}

static void story_release(struct story *s, struct story_call *call)
{
        struct story_instance *instance = INSTANCE_OF(call->pool_call.instance);
        struct pool_call *next = NULL;
        enum release_result result;

        story_end_call(s, call, OUTCOME_SUCCEEDED);
        result = pool_release(&call->function->pool, &call->pool_call, story_time(s), &next);
        story_follow(s, instance, result, next);
}

static void story_drop(struct story *s, struct story_call *call, enum outcome outcome)
{
        struct story_instance *instance = INSTANCE_OF(call->pool_call.instance);
        struct pool_call *next = NULL;
        enum release_result result;

        ck_assert(call->pool_call.state == CALL_RUNNING);
        story_end_call(s, call, outcome);
        result = pool_drop(&call->function->pool, &call->pool_call,
                           outcome == OUTCOME_FUNCTION_TIMEOUT, story_time(s), &next);
        story_follow(s, instance, result, next);
}

static void story_match(struct story *s, struct story_function *function)
{
        struct pool_call *next;

        while ((next = pool_match(&function->pool, story_time(s)))) {
                story_check_turn(s, CALL_OF(next));
                story_begin(s, CALL_OF(next));
        }
}

/* A boot that fails fails the call that has waited longest. */
static void story_boot_failed(struct story *s, struct story_instance *instance)
{
        struct story_function *function = instance->function;
        struct list *front = list_peek_front(&function->pool.waiters);

        story_say(s, "#%u > boot failed", instance->number);
        provisioner_boot_failed(&s->provisioner, &function->record, s->now_ns);
        pool_end(&function->pool, &instance->pool_instance);
        story_set_due(s, instance, s->now_ns + GONE_NS);
        if (front) {
                struct pool_call *waiter = CONTAINER_OF(front, struct pool_call, link);
                ck_assert(pool_cancel(&function->pool, waiter));
                story_end_call(s, CALL_OF(waiter), OUTCOME_FUNCTION_INIT);
        }
}

static void story_boot_over(struct story *s, struct story_instance *instance)
{
        struct story_function *function = instance->function;
        struct pool_call *next = NULL;
        enum release_result result;

        if (function->failing_boots > 0) {
                function->failing_boots--;
                story_boot_failed(s, instance);
                return;
        }
        provisioner_boot_ready(&s->provisioner, &function->record);
        result = pool_ready(&function->pool, &instance->pool_instance, story_time(s), &next);
        story_follow(s, instance, result, next);
}

static void story_gone(struct story *s, struct story_instance *instance)
{
        pool_remove(&instance->function->pool, &instance->pool_instance);
        provisioner_gone(&s->provisioner, instance->function->memory_bytes);
        list_remove(&instance->due_link);
        list_remove(&instance->link);
        free(instance);
}

/* The running call that is over first. */
static struct story_call *story_next_over(const struct story_instance *instance)
{
        struct story_call *first = NULL;
        struct pool_call *call;

        LIST_FOR_EACH (call, &instance->pool_instance.assigned, link)
                if (call->state == CALL_RUNNING &&
                    (!first || CALL_OF(call)->due_ns < first->due_ns))
                        first = CALL_OF(call);
        return first;
}

static void story_act(struct story *s, struct story_instance *instance)
{
        list_remove(&instance->due_link);
        switch (instance->pool_instance.state) {
        case INSTANCE_BOOTING:
                story_boot_over(s, instance);
                break;
        case INSTANCE_BUSY:
                story_release(s, story_next_over(instance));
                break;
        case INSTANCE_ENDING:
                story_gone(s, instance);
                break;
        case INSTANCE_IDLE:
        case INSTANCE_FROZEN:
                ck_abort_msg("nothing is due for an instance in stock");
        }
}

void story_take_back_from(struct story *s, struct story_instance *instance)
{
        struct pool_call *call, *after;

        LIST_FOR_EACH_SAFE (call, after, &instance->pool_instance.assigned, link) {
                if (call->state == CALL_RUNNING)
                        continue;
                pool_take_back(&instance->function->pool, call);
                story_say(s, "%s > taken back from #%u", CALL_OF(call)->name, instance->number);
        }
}

static void story_died(struct story *s, struct story_instance *instance)
{
        struct pool_instance *pooled = &instance->pool_instance;
        struct pool *pool = &instance->function->pool;
        struct pool_call *call, *after;

        if (pooled->state == INSTANCE_ENDING)
                return;
        if (pooled->state == INSTANCE_BOOTING) {
                story_boot_failed(s, instance);
                return;
        }
        pool_end(pool, pooled);
        story_kill_sandbox(s, instance, "died");
        LIST_FOR_EACH_SAFE (call, after, &pooled->assigned, link) {
                if (call->state != CALL_RUNNING)
                        continue;
                pool_fail(pool, call);
                story_end_call(s, CALL_OF(call), OUTCOME_FUNCTION_EXITED);
        }
        story_take_back_from(s, instance);
}

/* After everything that happens: demand is looked at, rules are checked, ends are told. */
static void story_step_over(struct story *s)
{
        struct list *link;

        do {
                for (size_t i = 0; i < s->function_count; i++)
                        story_match(s, &s->functions[i]);
                story_plan(s);
                if (s->moved)
                        story_check(s);
                s->moved = false;
                while ((link = list_pop_front(&s->ended))) {
                        struct story_call *call = CONTAINER_OF(link, struct story_call, link);
                        if (s->on_end)
                                s->on_end(s, call);
                        free(call);
                }
        } while (!list_is_empty(&s->ended));
}

void story_pass(struct story *s, uint64_t duration_ns)
{
        uint64_t until_ns = s->now_ns + duration_ns;

        for (;;) {
                struct list *link = list_peek_front(&s->due);
                struct story_instance *first =
                        link ? CONTAINER_OF(link, struct story_instance, due_link) : NULL;
                bool ticks = !first || s->next_tick_ns < first->due_ns;

                if ((ticks ? s->next_tick_ns : first->due_ns) > until_ns)
                        break;
                s->now_ns = ticks ? s->next_tick_ns : first->due_ns;
                if (ticks) {
                        s->next_tick_ns += TICK_NS;
                        story_tick(s);
                } else {
                        story_act(s, first);
                }
                story_step_over(s);
        }
        s->now_ns = until_ns;
}

bool story_settle(struct story *s, uint64_t most_ns)
{
        uint64_t until_ns = s->now_ns + most_ns;

        while (s->open_calls > 0 && s->now_ns < until_ns)
                story_pass(s, TICK_NS);
        return s->open_calls == 0;
}

/* In line, or refused. */
static void story_wait(struct story *s, struct story_call *call)
{
        struct story_function *function = call->function;
        enum wait_verdict verdict =
                pool_judge_wait(&function->pool, function->max_instances, function->wait_max_ns,
                                call->pool_call.since_ns);

        if (verdict == WAIT_ALLOWED) {
                story_say(s, "%s > waits", call->name);
                return;
        }
        story_check_refusal(s, call, verdict);
        ck_assert(pool_cancel(&function->pool, &call->pool_call));
        story_end_call(s, call, OUTCOME_THROTTLED);
}

struct story_call *story_call_with(struct story *s, struct story_function *function, unsigned home,
                                   const char *name, uint64_t body_ns, bool alone)
{
        struct story_call *call = story_allocate(sizeof(*call));

        pool_call_init(&call->pool_call, home);
        call->pool_call.alone = alone;
        call->function = function;
        (void)snprintf(call->name, sizeof(call->name), "%s", name);
        call->body_ns = body_ns;
        call->arrived_ns = s->now_ns;
        list_push_back(&s->calls, &call->link);
        s->open_calls++;
        switch (pool_take(&function->pool, &call->pool_call, story_time(s))) {
        case TAKE_RUNNING:
                story_begin(s, call);
                break;
        case TAKE_AHEAD:
                story_say(s, "%s > put ahead into #%u", name,
                          INSTANCE_OF(call->pool_call.instance)->number);
                break;
        case TAKE_WAITING:
                story_wait(s, call);
                break;
        }
        story_step_over(s);
        return call;
}

struct story_call *story_call(struct story *s, const char *name)
{
        return story_call_with(s, &s->functions[0], 0, name, s->functions[0].body_ns, false);
}

struct story_call *story_find(const struct story *s, const char *name)
{
        struct story_call *call;

        LIST_FOR_EACH (call, &s->calls, link)
                if (strcmp(call->name, name) == 0)
                        return call;
        return NULL;
}

static struct story_call *story_get(const struct story *s, const char *name)
{
        struct story_call *call = story_find(s, name);
        ck_assert_msg(call != NULL, "no call '%s' is open", name);
        return call;
}

void story_finish(struct story *s, const char *name)
{
        struct story_call *call = story_get(s, name);

        ck_assert_int_eq(call->pool_call.state, CALL_RUNNING);
        story_release(s, call);
        story_step_over(s);
}

void story_time_out(struct story *s, const char *name)
{
        story_drop(s, story_get(s, name), OUTCOME_FUNCTION_TIMEOUT);
        story_step_over(s);
}

void story_break_off(struct story *s, const char *name)
{
        story_drop(s, story_get(s, name), OUTCOME_ABANDONED);
        story_step_over(s);
}

void story_starve_instance(struct story *s, struct story_instance *instance)
{
        struct pool_call *call, *after;

        story_set_due(s, instance, STORY_BY_HAND);
        LIST_FOR_EACH_SAFE (call, after, &instance->pool_instance.assigned, link) {
                pool_take_back(&instance->function->pool, call);
                story_say(s, "%s > taken back from #%u", CALL_OF(call)->name, instance->number);
        }
        story_step_over(s);
}

void story_kill(struct story *s, struct story_instance *instance)
{
        story_died(s, instance);
        story_step_over(s);
}

void story_die(struct story *s, const char *name)
{
        story_kill(s, INSTANCE_OF(story_get(s, name)->pool_call.instance));
}

void story_starve(struct story *s, const char *name)
{
        story_starve_instance(s, INSTANCE_OF(story_get(s, name)->pool_call.instance));
}

void story_give_up(struct story *s, const char *name)
{
        struct story_call *call = story_get(s, name);

        if (pool_cancel(&call->function->pool, &call->pool_call))
                story_end_call(s, call, OUTCOME_ABANDONED);
        story_step_over(s);
}

void story_drain(struct story *s, struct story_function *function)
{
        struct pool_instance *instance;

        function->pool.draining = true;
        while ((instance = pool_expire_one(&function->pool, UINT64_MAX)))
                story_kill_sandbox(s, INSTANCE_OF(instance), "draining");
        story_step_over(s);
}
