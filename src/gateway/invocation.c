/* One invocation; see invocation.h. */
#include "gateway/invocation.h"

#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/invocation_parts.h"
#include "gateway/lane.h"
#include "gateway/response.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_AFTER_MAX_S 60

static void invocation_on_timer(struct timer *timer);
static const struct exchange_ops invocation_exchange_ops;

/* Making and freeing ----------------------------------------------------------------------------- */

static struct invocation *invocation_new(struct gateway_thread *thread, struct live *live)
{
        struct list *spare = list_pop_front(&thread->spare_invocations);
        struct invocation *invocation = spare ? CONTAINER_OF(spare, struct invocation, call.link)
                                              : malloc(sizeof(*invocation));

        if (!invocation)
                return NULL;
        *invocation = (struct invocation){.thread = thread,
                                          .live = live,
                                          .exchange = {.ops = &invocation_exchange_ops},
                                          .arrived_ns = thread->loop.now_ns};
        timer_init(&invocation->timer, invocation_on_timer);
        pool_call_init(&invocation->call, thread->index);
        tenants_begin_call(thread, live);
        gateway_make_id(thread, invocation->id);
        return invocation;
}

void invocation_hold_live(struct invocation *invocation)
{
        if (invocation->held)
                return;
        invocation->held = true;
        atomic_fetch_add(&invocation->live->holds, 1);
}

void invocation_free(struct invocation *invocation)
{
        struct gateway_thread *thread = invocation->thread;

        assert(invocation->call.state == CALL_OUT);
        tenants_end_call(thread, invocation->live);
        loop_remove_timer(&thread->loop, &invocation->timer);
        block_give(&thread->blocks, invocation->frame);
        if (invocation->exchange.connection)
                connection_answered(invocation->exchange.connection);
        if (invocation->held)
                atomic_fetch_sub(&invocation->live->holds, 1);
        list_push_front(&thread->spare_invocations, &invocation->call.link);
}

/* The number on this instance, and the deadline, into a frame that is about to be sent. */
static void invocation_address(struct invocation *invocation, struct instance *instance,
                               char *bytes)
{
        uint64_t deadline_ms = clock_unix_ms() + invocation->live->function->timeout_ms;
        uint32_t id;

        do
                id = instance->lanes ? atomic_fetch_add_explicit(&instance->lanes->last_wire_id, 1,
                                                                 memory_order_relaxed)
                                     : ++instance->last_wire_id;
        while (id == 0);
        invocation->wire_id = id;
        worker_header_address(bytes, id, deadline_ms);
}

/* Asking the pool --------------------------------------------------------------------------------- */

static void invocation_begin_run(struct invocation *invocation)
{
        const struct instance *instance = invocation->instance;

        invocation->running_ns = invocation->thread->loop.now_ns;
        invocation->init_ns = invocation->call.start == START_COLD
                                      ? instance->ready_ns - instance->ordered_ns
                                      : 0;
        loop_set_timer(&invocation->thread->loop, &invocation->timer,
                       invocation->live->function->timeout_ms);
}

void invocation_runs(struct invocation *invocation)
{
        invocation_begin_run(invocation);
        if (invocation->call.instance->assigned_count > 1)
                instance_watch_head(invocation->instance);
}

/* False where it was not sent: then it has failed, or waits again and may be another thread's to bind,
 * so it must not be looked at. */
static bool invocation_send_parts(struct invocation *invocation, struct instance *instance,
                                  char *head, size_t head_length, struct slice payload)
{
        struct slice parts[2] = {slice_make(head, head_length), payload};

        if (invocation->call.start == START_THAWED)
                instance_thaw(instance);
        if (invocation->instance != instance)
                return false; /* it could not be thawed and has ended */
        if (instance->lanes && !lane_prepare(invocation, parts, 2))
                return false;
        invocation_address(invocation, instance, head);
        invocation->streaming = invocation->collecting;
        invocation->body_sent = !invocation->collecting;
        invocation->collecting = false;
        if (invocation->call.state == CALL_RUNNING)
                invocation_begin_run(invocation);
        else
                instance_watch_head(instance);
        if (invocation->lane)
                lane_send(invocation->lane, parts, payload.length > 0 ? 2 : 1);
        else
                instance_send(instance, parts, payload.length > 0 ? 2 : 1);
        return true;
}

void invocation_send(struct invocation *invocation, struct instance *instance)
{
        struct block *frame = invocation->frame;
        struct connection *connection = invocation->exchange.connection;
        struct gateway_thread *thread = invocation->thread;
        bool sent;

        invocation->frame = NULL;
        sent = invocation_send_parts(invocation, instance, frame->data, frame->end,
                                     slice_make("", 0));
        block_give(&thread->blocks, frame);
        if (!sent || invocation->instance != instance || !invocation->streaming)
                return;
        if (connection) /* more of the body may come now */
                connection_resume(connection);
        else /* its client went away meanwhile: more will never come */
                invocation_break_off(invocation, OUTCOME_ABANDONED, NULL);
}

bool invocation_is_promised(const struct invocation *invocation)
{
        const struct instance *instance = invocation->instance;

        return instance->lanes ? !invocation->lane : instance->moving_to != NULL;
}

void invocation_break_off(struct invocation *invocation, enum outcome outcome, const char *detail)
{
        if (invocation->lane)
                lane_drop(invocation, outcome, detail);
        else
                instance_fail(invocation->instance, outcome, detail);
}

void invocation_ruin(struct invocation *invocation, enum outcome outcome, const char *detail)
{
        if (invocation->lane)
                lane_ruin(invocation->lane, outcome, detail);
        else
                instance_fail(invocation->instance, outcome, detail);
}

void invocation_pause(struct invocation *invocation, bool paused)
{
        if (invocation->lane)
                lane_pause(invocation->lane, paused);
        else
                instance_pause(invocation->instance, paused);
}

/* Whose limit is it that no instance is to be had: the function's own, or the machine's? With the
 * pool's lock held. */
static enum outcome invocation_whose_limit(const struct live *live)
{
        const struct pool *pool = &live->pool;
        size_t all = pool_live_count(pool) + pool->booting_count + pool->ending_count;

        return all >= live->function->max_instances ? OUTCOME_THROTTLED : OUTCOME_OVERLOADED;
}

/* `what` is half a sentence. */
static void invocation_turn_away(struct invocation *invocation, enum outcome limit,
                                 const char *what)
{
        char detail[160];

        if (limit == OUTCOME_THROTTLED)
                (void)snprintf(detail, sizeof(detail),
                               "%s, and the function has all the instances it may have (max: %u).",
                               what, invocation->live->function->max_instances);
        else
                (void)snprintf(detail, sizeof(detail), "%s.", what);
        invocation_fail(invocation, limit, detail);
}

/* Why a call is not let wait. */
struct refusal {
        enum wait_verdict verdict; /* ALLOWED: there are waiters_max already */
        enum outcome limit;
        size_t in_line;
        uint64_t drain_ns; /* how long their line lasts; 0: unknown */
};

/* It has been put in line. False where it may not stay: then it is out again, and `refusal` says
 * why. With the pool's lock held. */
static bool invocation_may_wait(struct invocation *invocation, struct refusal *refusal)
{
        struct gateway_thread *thread = invocation->thread;
        const struct gateway_config *config = &thread->gateway->config;
        struct live *live = invocation->live;
        uint64_t now_ns = thread->loop.now_ns;

        refusal->in_line = live->pool.waiting_count - 1;
        refusal->verdict = pool_judge_wait(&live->pool, live->function->max_instances,
                                           config->wait_max_ms * NS_PER_MS, now_ns);
        if (refusal->verdict == WAIT_ALLOWED && refusal->in_line < config->waiters_max)
                return true;
        refusal->limit = invocation_whose_limit(live);
        refusal->drain_ns = pool_drain_ns(&live->pool, now_ns);
        (void)pool_cancel(&live->pool, &invocation->call);
        return false;
}

static void invocation_refuse(struct invocation *invocation, const struct refusal *refusal)
{
        uint64_t retry_after_s = (refusal->drain_ns + NS_PER_S - 1) / NS_PER_S;
        const char *why = NULL;
        char what[96];

        switch (refusal->verdict) {
        case WAIT_ALLOWED:
                why = "Too many requests wait for this function";
                break;
        case WAIT_SHED:
                why = "Shed: more requests come than can be answered";
                break;
        case WAIT_HOPELESS:
                why = "Shed: no instance would become free in time";
                break;
        }
        if (refusal->verdict != WAIT_ALLOWED)
                live_count_shed(invocation->live, invocation->thread->index);
        (void)snprintf(what, sizeof(what), "%s (%zu wait)", why, refusal->in_line);
        invocation->retry_after_s =
                retry_after_s < RETRY_AFTER_MAX_S ? (unsigned)retry_after_s : RETRY_AFTER_MAX_S;
        invocation_turn_away(invocation, refusal->limit, what);
}

/* Takes a place in the pool. The frame lies at `head` and `payload`, or in invocation->frame where
 * `head` is NULL. */
static void invocation_submit(struct invocation *invocation, char *head, size_t head_length,
                              struct slice payload)
{
        struct gateway_thread *thread = invocation->thread;
        const struct gateway_config *config = &thread->gateway->config;
        struct live *live = invocation->live;
        struct block *kept = head ? block_take(&thread->blocks, head_length + payload.length)
                                  : invocation->frame;
        enum take_result result;
        struct refusal refusal;
        bool refused = false;

        if (!kept) {
                invocation_fail(invocation, OUTCOME_OVERLOADED, "No memory for more requests.");
                return;
        }
        invocation->submitted = true;
        invocation->call.alone = !head || head_length + payload.length > AHEAD_FRAME_MAX;
        pthread_mutex_lock(&live->lock);
        result = pool_take(&live->pool, &invocation->call, thread->loop.now_ns);
        if (result == TAKE_WAITING)
                refused = !invocation_may_wait(invocation, &refusal);
        else
                instance_bind(&invocation->call, thread);
        pthread_mutex_unlock(&live->lock);

        if (refused) {
                if (head)
                        block_give(&thread->blocks, kept);
                invocation_refuse(invocation, &refusal);
                return;
        }
        if (head && result != TAKE_WAITING && !invocation->instance->moving_to) {
                block_give(&thread->blocks, kept);
                (void)invocation_send_parts(invocation, invocation->instance, head, head_length,
                                            payload);
                return;
        }
        if (head) {
                memcpy(kept->data, head, head_length);
                memcpy(kept->data + head_length, payload.data, payload.length);
                kept->end = (uint32_t)(head_length + payload.length);
                invocation->frame = kept;
        }
        loop_set_timer(&thread->loop, &invocation->timer, config->wait_max_ms);
        if (result != TAKE_WAITING) {
                instance_give(invocation->instance, invocation, thread);
                return;
        }
        scheduler_wake(&thread->gateway->scheduler, live);
}

static void invocation_on_timer(struct timer *timer)
{
        struct invocation *invocation = CONTAINER_OF(timer, struct invocation, timer);
        struct live *live = invocation->live;
        enum outcome limit;
        bool waited, late;
        char detail[128];

        pthread_mutex_lock(&live->lock);
        limit = invocation_whose_limit(live);
        waited = pool_cancel(&live->pool, &invocation->call);
        /* An instance of another thread's may be on its way here: then the call has not begun. */
        late = invocation->call.state == CALL_RUNNING && !invocation_is_promised(invocation);
        pthread_mutex_unlock(&live->lock);
        if (waited)
                invocation_turn_away(invocation, limit, "No instance became free in time");
        else if (!late) /* should that one die on its way, the call waits again */
                loop_set_timer(&invocation->thread->loop, timer,
                               invocation->thread->gateway->config.wait_max_ms);
        if (late && instance_hear_call(invocation)) {
                (void)snprintf(detail, sizeof(detail),
                               "The function did not answer within its %u ms.",
                               live->function->timeout_ms);
                invocation_break_off(invocation, OUTCOME_FUNCTION_TIMEOUT, detail);
        }
}

/* The request's body ------------------------------------------------------------------------------ */

void invocation_begin(struct connection *connection, const struct http_request *request,
                      const struct invocation_request *wanted, struct slice body, bool complete)
{
        struct gateway_thread *thread = connection->thread;
        struct live *live = live_of(thread->gateway, wanted->function);
        struct invocation *invocation = live ? invocation_new(thread, live) : NULL;
        struct problem problem = {.status = 503, .reason = "overloaded", .retry_after_s = 1};
        size_t length;

        if (!invocation) {
                response_problem(connection, &problem);
                return;
        }
        tenants_see(connection, live);
        length = invocation_write_head(invocation, request, wanted, connection->peer, complete,
                                       thread->call_head, HEAD_SIZE);
        if (length == 0) {
                problem = (struct problem){.status = 431,
                                           .reason = "request.too_large",
                                           .detail = "The headers are too long for the function."};
                invocation_free(invocation);
                response_problem(connection, &problem);
                return;
        }
        invocation->default_status = wanted->default_status;
        invocation->url = wanted->url;
        invocation->by_owner =
                wanted->user && strcmp(wanted->user->id, wanted->function->owner_id) == 0;
        invocation->exchange.connection = connection;
        connection->exchange = &invocation->exchange;
        connection->state = complete ? CONNECTION_ANSWER : CONNECTION_BODY;
        if (complete) {
                assert(length + body.length <= WORKER_FRAME_MAX);
                invocation_submit(invocation, thread->call_head, length, body);
                return;
        }

        invocation->collecting = true;
        invocation_hold_live(invocation);
        invocation->frame = block_take(&thread->blocks, WORKER_FRAME_MAX);
        if (!invocation->frame) {
                invocation_fail(invocation, OUTCOME_OVERLOADED, "No memory for more requests.");
                return;
        }
        memcpy(invocation->frame->data, thread->call_head, length);
        invocation->frame->end = (uint32_t)length;
}

static int invocation_send_data(struct invocation *invocation, struct slice bytes, bool end)
{
        if (invocation->lane)
                return lane_send_data(invocation->lane, invocation->wire_id, bytes, end);
        return instance_send_data(invocation->instance, invocation->wire_id, bytes, end);
}

/* There is more to send when it has room again. */
static void invocation_watch_room(struct invocation *invocation)
{
        if (invocation->lane)
                lane_watch_room(invocation->lane, true);
        else
                instance_watch_room(invocation->instance, true);
}

/* Sends what a full socket left over. True when nothing is left. */
static bool invocation_send_rest(struct invocation *invocation)
{
        struct block *rest = invocation->frame;
        int r;

        if (!rest)
                return true;
        r = invocation_send_data(invocation, slice_make(rest->data, rest->end),
                                 invocation->rest_is_end);
        if (r < 0) {
                if (r == -EAGAIN)
                        invocation_watch_room(invocation);
                else
                        invocation_ruin(invocation, OUTCOME_FUNCTION_PROTOCOL,
                                        "its process does not take requests any more");
                return false;
        }
        invocation->body_sent = invocation->rest_is_end;
        invocation->frame = NULL;
        block_give(&invocation->thread->blocks, rest);
        return true;
}

static size_t invocation_room(struct exchange *exchange)
{
        struct invocation *invocation = CONTAINER_OF(exchange, struct invocation, exchange);

        if (!invocation->submitted)
                return WORKER_FRAME_MAX - invocation->frame->end;
        if (!invocation->streaming || !invocation_send_rest(invocation))
                return 0;
        return WORKER_FRAME_MAX - WORKER_HEADER_SIZE;
}

static void invocation_body(struct exchange *exchange, struct slice bytes, bool end)
{
        struct invocation *invocation = CONTAINER_OF(exchange, struct invocation, exchange);
        struct block *frame = invocation->frame;

        if (!invocation->submitted) {
                if (bytes.length > 0) /* a last chunk has none, and no data either */
                        memcpy(frame->data + frame->end, bytes.data, bytes.length);
                frame->end += (uint32_t)bytes.length;
                if (end) {
                        worker_header_end(frame->data);
                        invocation->collecting = false;
                }
                if (end || frame->end == WORKER_FRAME_MAX)
                        invocation_submit(invocation, NULL, 0, slice_make("", 0));
                return;
        }
        if (bytes.length == 0 && !end)
                return;
        if (invocation_send_data(invocation, bytes, end) == 0) {
                invocation->body_sent = end;
                return;
        }
        invocation->frame = block_take_anyway(&invocation->thread->blocks, bytes.length);
        if (!invocation->frame) {
                invocation_break_off(invocation, OUTCOME_OVERLOADED, NULL);
                return;
        }
        if (bytes.length > 0) /* the end alone of a chunked body has none */
                memcpy(invocation->frame->data, bytes.data, bytes.length);
        invocation->frame->end = (uint32_t)bytes.length;
        invocation->rest_is_end = end;
        invocation_watch_room(invocation);
}

static void invocation_drained(struct exchange *exchange)
{
        struct invocation *invocation = CONTAINER_OF(exchange, struct invocation, exchange);

        if (invocation->instance)
                invocation_pause(invocation, false);
}

/* Fails it where nobody has begun it. *ret_here: else it is with an instance, and on this thread. */
static bool invocation_withdraw(struct invocation *invocation, enum outcome outcome,
                                const char *detail, bool *ret_here)
{
        struct live *live = invocation->live;
        bool waited = !invocation->submitted;

        *ret_here = false;
        if (!waited) {
                pthread_mutex_lock(&live->lock);
                waited = pool_cancel(&live->pool, &invocation->call);
                *ret_here = invocation->instance && !invocation_is_promised(invocation);
                pthread_mutex_unlock(&live->lock);
        }
        if (waited)
                invocation_fail(invocation, outcome, detail);
        return waited;
}

static void invocation_cut(struct exchange *exchange)
{
        static const char detail[] = "The server has waited for it for as long as it may.";
        struct invocation *invocation = CONTAINER_OF(exchange, struct invocation, exchange);
        bool here;

        if (!invocation_withdraw(invocation, OUTCOME_DRAINING, detail, &here) && here)
                invocation_break_off(invocation, OUTCOME_DRAINING, detail);
}

static void invocation_gone(struct exchange *exchange)
{
        struct invocation *invocation = CONTAINER_OF(exchange, struct invocation, exchange);
        bool here;

        if (invocation_withdraw(invocation, OUTCOME_ABANDONED, NULL, &here))
                return;
        if (invocation->streaming && !invocation->body_sent)
                invocation_break_off(invocation, OUTCOME_ABANDONED, NULL); /* half a body */
        else if (here)
                invocation_pause(invocation, false); /* its answer is dropped */
}

static const struct exchange_ops invocation_exchange_ops = {
        .room = invocation_room,
        .body = invocation_body,
        .drained = invocation_drained,
        .cut = invocation_cut,
        .gone = invocation_gone,
};
