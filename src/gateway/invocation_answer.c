/* The function's answer, or what is said instead, and who is next; see invocation.h. */
#include "base/clock.h"
#include "gateway/error_document.h"
#include "gateway/function_log.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/invocation_parts.h"
#include "gateway/lane.h"
#include "gateway/response.h"
#include "gateway/ring.h"

#include <stdio.h>
#include <stdlib.h>

#define CLIENT_BACKLOG_MAX 262144 /* then nothing more is read from the function; 0 in need */

/* Milliseconds with three decimals: printf's floats would cost more than the rest of the head. */
static char *write_ms(char *at, const char *label, uint64_t ns)
{
        uint64_t us = ns / 1000, ms = us / 1000;
        char digits[20];
        size_t count = 0, length = strlen(label);

        memcpy(at, label, length);
        at += length;
        do {
                digits[count++] = (char)('0' + ms % 10);
                ms /= 10;
        } while (ms > 0);
        while (count > 0)
                *at++ = digits[--count];
        *at++ = '.';
        *at++ = (char)('0' + us / 100 % 10);
        *at++ = (char)('0' + us / 10 % 10);
        *at++ = (char)('0' + us % 10);
        return at;
}

/* Where the time of `init` went, and what came of it. */
static char *write_cold_start(char *at, const struct cold_start *cold_start)
{
        static const enum cold_start_phase shown[] = {
                COLD_START_CGROUP, COLD_START_NAMESPACES,  COLD_START_MOUNTS, COLD_START_CONFINE,
                COLD_START_EXEC,   COLD_START_INTERPRETER, COLD_START_IMPORT, COLD_START_FIRST_BYTE,
        };

        at = write_ms(at, ", stock;dur=", cold_start->phase_us[COLD_START_STOCK] * 1000ull);
        at = stpcpy(stpcpy(at, ";desc="), sandbox_origin_name(cold_start->origin));
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
                if (cold_start->phase_us[shown[i]] == 0)
                        continue;
                at = stpcpy(stpcpy(at, ", "), cold_start_phase_name(shown[i]));
                at = write_ms(at, ";dur=", cold_start->phase_us[shown[i]] * 1000ull);
        }
        return at;
}

/* Server-Timing's value, with a NUL behind it; the thread's, until it makes the next one. */
static struct slice invocation_timing(const struct invocation *invocation)
{
        char *timing = invocation->thread->timing, *at = timing;

        at = write_ms(at, "wait;dur=", invocation->running_ns - invocation->arrived_ns);
        at = write_ms(at, ", init;dur=", invocation->init_ns);
        at = write_ms(at, ", run;dur=", invocation->thread->loop.now_ns - invocation->running_ns);
        if (invocation->call.start == START_COLD && invocation->instance) {
                struct cold_start cold_start; /* others who share it may be adding to it */
                pthread_mutex_lock(&invocation->live->lock);
                cold_start = invocation->instance->cold_start;
                pthread_mutex_unlock(&invocation->live->lock);
                at = write_cold_start(at, &cold_start);
        }
        *at = '\0';
        return slice_make(timing, (size_t)(at - timing));
}

static void invocation_headers(const struct invocation *invocation, struct http_response *response)
{
        (void)http_response_header(response, SLICE("Magpie-Invocation-Id"),
                                   slice_make(invocation->id, ID_LENGTH));
        (void)http_response_header(response, SLICE("Magpie-Start"),
                                   slice_of(start_kind_name(invocation->call.start)));
        (void)http_response_header(response, SLICE("Server-Timing"), invocation_timing(invocation));
}

void turnover_fill(struct turnover *turnover, struct instance *instance,
                   const struct gateway_thread *here)
{
        struct pool *pool = &instance->live->pool;

        turnover->ahead_count = 0;
        turnover->rematch = pool_can_match(pool) ? instance->live : NULL;
        if (turnover->result == RELEASE_HANDED)
                instance_bind(turnover->next, here);
        if (turnover->result != RELEASE_HANDED && turnover->result != RELEASE_NEXT)
                return;
        /* The line moves up behind the call that runs now. */
        while (!instance->moving_to && turnover->ahead_count < POOL_AHEAD_MAX) {
                struct pool_call *call = pool_put_ahead(pool, &instance->pool, here->loop.now_ns);
                if (!call)
                        return;
                instance_bind(call, here);
                turnover->ahead[turnover->ahead_count++] = call;
        }
}

void turnover_carry_out(struct turnover *turnover, struct instance *instance,
                        struct gateway_thread *here)
{
        switch (turnover->result) {
        case RELEASE_NEXT:
                invocation_runs(CONTAINER_OF(turnover->next, struct invocation, call));
                break;
        case RELEASE_HANDED:
                instance_give(instance, CONTAINER_OF(turnover->next, struct invocation, call),
                              here);
                break;
        case RELEASE_IDLE:
        case RELEASE_BUSY:
                break;
        case RELEASE_END:
                scheduler_dismiss(&here->gateway->scheduler, instance);
                break;
        }
        for (size_t i = 0; i < turnover->ahead_count; i++) {
                struct invocation *ahead =
                        CONTAINER_OF(turnover->ahead[i], struct invocation, call);
                if (ahead->instance == instance) /* else it failed while others were sent */
                        invocation_send(ahead, instance);
        }
        if (turnover->rematch)
                live_rematch(here, turnover->rematch);
}

/* Its last words come: whatever becomes of the connection while they are written, gone() would be
 * too late. */
static void invocation_leave_connection(struct invocation *invocation)
{
        struct connection *connection = invocation->exchange.connection;

        if (!connection)
                return;
        invocation->exchange.connection = NULL;
        connection->exchange = NULL;
}

/* The function has said all: the instance goes on, the invocation is history. */
static void invocation_finish(struct invocation *invocation, enum outcome outcome)
{
        struct gateway_thread *thread = invocation->thread;
        struct instance *instance = invocation->instance;
        struct live *live = invocation->live;
        struct turnover turnover = {.result = RELEASE_END};
        bool spent;

        if (invocation->lane) {
                lane_finish(invocation, outcome);
                return;
        }
        spent = instance->ended || (invocation->streaming && !invocation->body_sent);

        if (instance->ring)
                ring_pass_over(instance->ring, invocation->wire_id);
        instance_drain_log(instance);
        live_count(live, thread->index, invocation->call.start, outcome,
                   thread->loop.now_ns - invocation->arrived_ns);
        pthread_mutex_lock(&live->lock);
        if (spent) { /* dead, or with half a body in its socket */
                pool_end(&live->pool, &instance->pool);
                pool_fail(&live->pool, &invocation->call);
        } else {
                turnover.result = pool_release(&live->pool, &invocation->call, thread->loop.now_ns,
                                               &turnover.next);
                turnover_fill(&turnover, instance, thread);
        }
        pthread_mutex_unlock(&live->lock);
        invocation->instance = NULL;
        if (instance->paused)
                instance_pause(instance, false);
        invocation_free(invocation);
        if (!instance->ended)
                turnover_carry_out(&turnover, instance, thread);
}

/* The client is slower than the function: no more is read until it has taken what there is. */
static void invocation_hold(struct invocation *invocation)
{
        struct connection *connection = invocation->exchange.connection;
        size_t most = blocks_are_scarce(&invocation->thread->blocks) ? 0 : CLIENT_BACKLOG_MAX;

        if (connection && connection_backlog(connection) > most)
                invocation_pause(invocation, true);
}

/* Headers by which the platform speaks; a function must not. */
static bool is_ours(struct slice name)
{
        static const struct slice prefix = {"magpie-", 7};

        return name.length >= prefix.length &&
               slice_equal_fold(slice_make(name.data, prefix.length), prefix);
}

/* The call for which the instance was made has its answer. */
static void invocation_note_first_byte(const struct invocation *invocation)
{
        struct instance *instance = invocation->instance;
        struct live *live = invocation->live;

        uint32_t *first_byte_us = &instance->cold_start.phase_us[COLD_START_FIRST_BYTE],
                 noted_us = 0;

        pthread_mutex_lock(&live->lock);
        if (*first_byte_us == 0) { /* else another that shares it was quicker */
                cold_start_answered(&instance->cold_start, instance->ready_ns, clock_now_ns());
                cold_start_keep_again(&live->cold_starts, &instance->cold_start);
                noted_us = *first_byte_us;
        }
        pthread_mutex_unlock(&live->lock);
        if (noted_us > 0)
                metrics_cold_start_phase(&invocation->thread->gateway->metrics,
                                         live->function->runtime, COLD_START_FIRST_BYTE, noted_us);
}

static void invocation_result(struct invocation *invocation, const struct worker_frame *frame)
{
        struct connection *connection = invocation->exchange.connection;
        bool end = frame->flags & WORKER_FLAG_END;
        uint32_t given = worker_result_status(frame->value);
        int status = given ? (int)given : invocation->default_status;
        struct slice meta = frame->meta, name, value;
        struct http_response response;
        int error = 0;

        /* Of an answer that goes on, the rest may be the client's time. */
        if (end)
                invocation->call.ran_ns = worker_result_ran_ns(frame->value);
        if (given > 599 || (given != 0 && given < 200)) {
                invocation_ruin(invocation, OUTCOME_FUNCTION_PROTOCOL,
                                "The function answered with a status that is none (200 to 599).");
                return;
        }
        invocation->answer_bytes = frame->payload.length;
        if (invocation->answer_bytes > invocation->thread->gateway->config.response_max_bytes) {
                invocation_break_off(invocation, OUTCOME_RESPONSE_TOO_LARGE, NULL);
                return;
        }
        invocation->answering = true;
        if (invocation->call.start == START_COLD)
                invocation_note_first_byte(invocation);
        if (connection) {
                response_begin(connection, &response, status);
                invocation_headers(invocation, &response);
                while (worker_meta_next_header(&meta, &name, &value, &error))
                        if (!is_ours(name))
                                (void)http_response_forward(&response, name, value);
                if (error < 0) {
                        invocation->answering = false;
                        invocation_ruin(invocation, OUTCOME_FUNCTION_PROTOCOL,
                                        "The function's answer has headers that are none.");
                        return;
                }
                if (end)
                        invocation_leave_connection(invocation);
                (void)response_send(connection, &response, frame->payload, end);
        }
        if (end)
                invocation_finish(invocation, OUTCOME_SUCCEEDED);
        else
                invocation_hold(invocation);
}

static void invocation_data(struct invocation *invocation, const struct worker_frame *frame)
{
        struct connection *connection = invocation->exchange.connection;
        bool end = frame->flags & WORKER_FLAG_END;

        if (invocation->lane && !connection && !end) { /* nobody hears it, and it may have no end */
                invocation_break_off(invocation, OUTCOME_ABANDONED, NULL);
                return;
        }
        invocation->answer_bytes += frame->payload.length;
        if (invocation->answer_bytes > invocation->thread->gateway->config.response_max_bytes) {
                invocation_break_off(invocation, OUTCOME_RESPONSE_TOO_LARGE, NULL);
                return;
        }
        if (end)
                invocation_leave_connection(invocation);
        if (connection)
                (void)response_more(connection, frame->payload, end);
        if (end)
                invocation_finish(invocation, OUTCOME_SUCCEEDED);
        else
                invocation_hold(invocation);
}

/* Failure ----------------------------------------------------------------------------------------- */

static void invocation_log_failure(const struct invocation *invocation, enum outcome outcome,
                                   const char *detail)
{
        char line[512];

        if (outcome == OUTCOME_ABANDONED || outcome == OUTCOME_OVERLOADED ||
            outcome == OUTCOME_THROTTLED ||
            (outcome == OUTCOME_DRAINING && invocation->running_ns == 0))
                return; /* not the function's doing: /metrics counts them */
        (void)snprintf(line, sizeof(line), "%s: %s\n", outcome_answer(outcome)->reason,
                       detail ? detail : outcome_answer(outcome)->title);
        function_log_append(invocation->live->log, invocation->id, LOG_STREAM_PLATFORM,
                            slice_of(line), clock_unix_ms());
}

/* What went wrong inside is its owner's business alone. */
static bool invocation_may_tell_why(const struct invocation *invocation, enum outcome outcome)
{
        bool is_functions_word = outcome == OUTCOME_FUNCTION_ERROR ||
                                 outcome == OUTCOME_FUNCTION_INIT ||
                                 outcome == OUTCOME_FUNCTION_BACKING_OFF;

        return invocation->by_owner || !is_functions_word;
}

static void invocation_tell(struct invocation *invocation, enum outcome outcome, const char *detail,
                            const char *extra)
{
        const struct outcome_answer *answer = outcome_answer(outcome);
        struct connection *connection = invocation->exchange.connection;
        bool tells_why = invocation_may_tell_why(invocation, outcome);
        struct problem problem = {.status = answer->status,
                                  .reason = answer->reason,
                                  .title = answer->title,
                                  .detail = tells_why ? detail : NULL,
                                  .invocation_id = invocation->id,
                                  .retry_after_s = invocation->retry_after_s > 0
                                                           ? invocation->retry_after_s
                                                           : answer->retry_after_s,
                                  .extra = tells_why ? extra : NULL};

        if (!connection)
                return;
        if (invocation->running_ns > 0) {
                problem.start = start_kind_name(invocation->call.start);
                problem.timing = invocation_timing(invocation).data;
        }
        invocation_leave_connection(invocation);
        if (invocation->answering)
                response_break(connection);
        else
                response_problem(connection, &problem);
}

void invocation_fail(struct invocation *invocation, enum outcome outcome, const char *detail)
{
        struct gateway_thread *thread = invocation->thread;
        enum start_kind start = invocation->running_ns > 0 ? invocation->call.start : START_NONE;

        invocation_log_failure(invocation, outcome, detail);
        live_count(invocation->live, thread->index, start, outcome,
                   thread->loop.now_ns - invocation->arrived_ns);
        invocation_tell(invocation, outcome, detail, NULL);
        invocation_free(invocation);
}

static void invocation_fail_by_letter(struct letter *letter)
{
        struct invocation *invocation = CONTAINER_OF(letter, struct invocation, letter);
        char *detail = invocation->failure_detail;

        invocation_fail(invocation, invocation->failure, detail);
        free(detail);
}

void invocation_post_failure(struct invocation *invocation, enum outcome outcome,
                             const char *detail)
{
        invocation_hold_live(invocation);
        invocation->failure = outcome;
        invocation->failure_detail = detail ? strdup(detail) : NULL;
        invocation->letter.deliver = invocation_fail_by_letter;
        mailbox_post(&invocation->thread->mailbox, &invocation->letter);
}

static void invocation_error(struct invocation *invocation, const struct worker_frame *frame)
{
        char detail[1024] = "", *extra = NULL;

        error_document_read(frame->payload, detail, sizeof(detail), &extra);
        invocation_log_failure(invocation, OUTCOME_FUNCTION_ERROR, detail);
        invocation_tell(invocation, OUTCOME_FUNCTION_ERROR, detail, extra);
        free(extra);
        invocation_finish(invocation, OUTCOME_FUNCTION_ERROR);
}

bool invocation_take(struct invocation *invocation, const struct worker_frame *frame)
{
        if (frame->type == WORKER_RESULT && !invocation->answering)
                invocation_result(invocation, frame);
        else if (frame->type == WORKER_DATA && invocation->answering)
                invocation_data(invocation, frame);
        else if (frame->type == WORKER_ERROR)
                invocation_error(invocation, frame);
        else
                return false;
        return true;
}
