/* Invocations of the lambda contract; see lambda.h. */
#include "init/lambda.h"

#include "base/clock.h"
#include "wire/lambda_answer.h"
#include "wire/lambda_event.h"

#include <errno.h>
#include <stdlib.h>

#define PAYLOAD_MAX (WORKER_FRAME_MAX - WORKER_HEADER_SIZE)

static struct lambda_lane *self_of(struct lane *lane)
{
        return CONTAINER_OF(lane, struct lambda_lane, lane);
}

static void on_grace_over(struct timer *timer)
{
        struct lambda_lane *self = CONTAINER_OF(timer, struct lambda_lane, timer);

        lambda_lane_fail(self, "Runtime.BrokenResponse",
                         "The response broke off: its connection was closed.");
}

static struct lane *lambda_open(struct lanes *lanes)
{
        struct lambda_lane *self = calloc(1, sizeof(*self));

        if (!self)
                return NULL;
        self->lambda = CONTAINER_OF(lanes, struct lambda, lanes);
        buffer_init(&self->meta, WORKER_META_MAX);
        buffer_init(&self->body, LAMBDA_BODY_MAX);
        buffer_init(&self->answer, LAMBDA_ANSWER_MAX);
        timer_init(&self->timer, on_grace_over);
        return &self->lane;
}

static bool is_claimed(const struct lambda_lane *self)
{
        return self->state == LAMBDA_LANE_COLLECTS || self->state == LAMBDA_LANE_PENDING;
}

/* The one place where the state changes: `claimed` follows it. */
static void become(struct lambda_lane *self, enum lambda_lane_state state)
{
        self->lambda->claimed -= is_claimed(self);
        self->state = state;
        self->lambda->claimed += is_claimed(self);
}

static void drop_client(struct lambda_lane *self)
{
        if (self->client)
                lambda_client_lose_lane(self->client);
        self->client = NULL;
}

static void reset(struct lambda_lane *self)
{
        drop_client(self);
        loop_remove_timer(&self->lambda->service.loop, &self->timer);
        buffer_clear_down_to(&self->meta, LAMBDA_KEPT_MAX);
        buffer_clear_down_to(&self->body, LAMBDA_KEPT_MAX);
        buffer_clear_down_to(&self->answer, LAMBDA_KEPT_MAX);
        self->request_id[0] = '\0';
        self->lane.id = 0;
        become(self, LAMBDA_LANE_IDLE);
}

static void lambda_close(struct lane *lane)
{
        struct lambda_lane *self = self_of(lane);

        reset(self);
        buffer_deinit(&self->meta);
        buffer_deinit(&self->body);
        buffer_deinit(&self->answer);
        free(self);
}

struct lambda_lane *lambda_lane_find(struct lambda *lambda, struct slice request_id)
{
        struct lane *lane;

        LIST_FOR_EACH (lane, &lambda->lanes.all, link) {
                struct lambda_lane *self = self_of(lane);
                if (self->request_id[0] != '\0' &&
                    slice_equal(request_id, slice_of(self->request_id)))
                        return self;
        }
        return NULL;
}

void lambda_lanes_offer(struct lambda *lambda)
{
        struct lane *lane;

        LIST_FOR_EACH (lane, &lambda->lanes.all, link) {
                enum lambda_lane_state state = self_of(lane)->state;
                if (state == LAMBDA_LANE_PENDING || (state == LAMBDA_LANE_IDLE && lane->readable))
                        lane_run_soon(lane);
        }
}

/* --- the request ----------------------------------------------------------------------------- */

/* False where it is no meta. */
static bool name_invocation(struct lambda_lane *self, struct slice meta)
{
        struct slice rest = meta, line, name, value;
        int error, lines = self->is_http ? 6 : 1;

        if (!worker_meta_next_line(&rest, &line))
                return false;
        lambda_request_id(line, self->request_id);
        lambda_trace_id(self->request_id, clock_unix_ms(), self->trace_id);
        for (int i = 0; i < lines; i++)
                if (!worker_meta_next_line(&rest, &line))
                        return false;
        if (!self->is_http)
                return true;
        while (worker_meta_next_header(&rest, &name, &value, &error))
                if (slice_equal(name, SLICE("x-amzn-trace-id")) && value.length > 0 &&
                    value.length < LAMBDA_TRACE_MAX) {
                        memcpy(self->trace_id, value.data, value.length);
                        self->trace_id[value.length] = '\0';
                }
        return error == 0;
}

/* Makes the event of what was collected: `body` is it, then. */
static void make_event(struct lambda_lane *self)
{
        struct buffer *event = &self->lambda->event;
        const char *name = getenv("AWS_LAMBDA_FUNCTION_NAME");
        const struct lambda_request request = {
                .meta = buffer_slice(&self->meta),
                .body = buffer_slice(&self->body),
                .function_name = slice_of(name ? name : ""),
                .now_ms = clock_unix_ms(),
        };
        int r;

        if (self->is_http) {
                r = lambda_event_write(event, &request);
                buffer_swap(event, &self->body);
                buffer_clear_down_to(event, LAMBDA_KEPT_MAX);
                if (r == -EPROTO) {
                        lane_break(&self->lane);
                        return;
                }
                if (r < 0) {
                        lambda_lane_fail(self, "RequestTooLarge",
                                         "The request is too large for an event.");
                        return;
                }
        }
        become(self, LAMBDA_LANE_PENDING);
}

static void collect(struct lambda_lane *self, const struct worker_frame *frame)
{
        self->lane.body_ended = frame->flags & WORKER_FLAG_END;
        if (buffer_append(&self->body, frame->payload.data, frame->payload.length) < 0)
                lambda_lane_fail(self, "RequestTooLarge",
                                 "A Lambda function takes 6 MiB of request at most.");
        else if (self->lane.body_ended)
                make_event(self);
}

static void begin(struct lambda_lane *self, const struct worker_frame *invoke)
{
        self->lane.id = invoke->id;
        self->is_http = invoke->flags & WORKER_FLAG_HTTP;
        self->announced = false;
        self->deadline_ms = invoke->value;
        if (invoke->id == 0 || !name_invocation(self, invoke->meta)) {
                lane_break(&self->lane);
                return;
        }
        become(self, LAMBDA_LANE_COLLECTS);
        if (buffer_append(&self->meta, invoke->meta.data, invoke->meta.length) < 0)
                lambda_lane_fail(self, "OutOfMemory", "There is no memory for the request.");
        else
                collect(self, invoke);
}

static bool receive(struct lambda_lane *self)
{
        struct lane *lane = &self->lane;
        bool idle = self->state == LAMBDA_LANE_IDLE;
        struct worker_frame frame;

        if (idle && self->lambda->waiting_count <= self->lambda->claimed)
                return false;
        if (lane_receive(lane, self->frame, &frame) != LANE_FRAME)
                return false;
        if (idle && frame.type == WORKER_INVOKE)
                begin(self, &frame);
        else if (!idle && frame.type == WORKER_DATA && frame.id == lane->id)
                collect(self, &frame);
        else if (!idle || frame.type != WORKER_DATA) /* the rest of a body that was too large */
                lane_break(lane);
        return true;
}

static bool give(struct lambda_lane *self)
{
        struct lambda_client *client = lambda_client_waiting(self->lambda);

        if (!client)
                return false;
        become(self, LAMBDA_LANE_GIVEN);
        self->client = client;
        self->given_ns = self->lambda->service.loop.now_ns;
        lambda_client_give(client, self);
        return true;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void post(struct lambda_lane *self, struct slice meta, struct slice payload, bool end)
{
        struct worker_frame frame = {
                .type = self->announced ? WORKER_DATA : WORKER_RESULT,
                .flags = end ? WORKER_FLAG_END : 0,
                .meta = meta,
                .payload = payload,
        };

        if (!self->announced) {
                uint64_t ran_us = (clock_now_ns() - self->given_ns) / 1000 + 1;
                frame.value = self->status;
                if (end)
                        frame.value |= (ran_us < UINT32_MAX ? ran_us : UINT32_MAX) << 32;
        }
        self->announced = true;
        if (end)
                become(self, LAMBDA_LANE_ENDED);
        lane_post(&self->lane, &frame);
}

static void take_over(struct lambda_lane *self, struct buffer *bytes)
{
        drop_client(self);
        buffer_swap(&self->answer, bytes);
        buffer_clear_down_to(bytes, LAMBDA_KEPT_MAX);
}

void lambda_lane_answer(struct lambda_lane *self, struct buffer *bytes)
{
        struct lambda_answer answer;
        const char *fault;

        take_over(self, bytes);
        fault = lambda_answer_read(self->answer.data, self->answer.length, self->answer_meta,
                                   sizeof(self->answer_meta), &answer);
        if (fault) {
                lambda_lane_fail(self, "MarshalError", fault);
                return;
        }
        self->status = answer.status;
        self->meta_length = answer.meta_length;
        self->rest = answer.body;
        become(self, LAMBDA_LANE_ANSWERED);
        lane_run_soon(&self->lane);
}

/* As much of a whole answer as one frame takes. */
static void post_piece(struct lambda_lane *self)
{
        struct slice meta = slice_make(self->answer_meta, self->announced ? 0 : self->meta_length);
        struct slice piece = self->rest;

        if (piece.length > PAYLOAD_MAX - meta.length)
                piece.length = PAYLOAD_MAX - meta.length;
        self->rest = slice_skip(self->rest, piece.length);
        post(self, meta, piece, self->rest.length == 0);
}

static void post_error(struct lambda_lane *self, const struct lambda_error *error)
{
        size_t length = lambda_error_write(error, self->frame, PAYLOAD_MAX);

        become(self, LAMBDA_LANE_ENDED);
        lane_post(&self->lane, &(struct worker_frame){
                                       .type = WORKER_ERROR,
                                       .payload = slice_make(self->frame, length),
                               });
}

/* Of a report that the program made, or of our own. */
static void post_failure(struct lambda_lane *self)
{
        struct lambda_error error = {.trace = SLICE("[]")};

        if (self->fault) {
                error.type = slice_of(self->fault_type);
                error.message = slice_of(self->fault);
        } else {
                lambda_error_read(self->answer.data, self->answer.length,
                                  slice_make(self->answer_meta, self->meta_length), &error);
        }
        post_error(self, &error);
}

void lambda_lane_report(struct lambda_lane *self, struct buffer *report, struct slice type)
{
        take_over(self, report);
        self->fault = NULL;
        self->meta_length = type.length;
        if (type.length > 0)
                memcpy(self->answer_meta, type.data, type.length);
        become(self, LAMBDA_LANE_FAILED);
        lane_run_soon(&self->lane);
}

void lambda_lane_fail(struct lambda_lane *self, const char *type, const char *fault)
{
        drop_client(self);
        self->fault_type = type;
        self->fault = fault;
        become(self, LAMBDA_LANE_FAILED);
        lane_run_soon(&self->lane);
}

void lambda_lane_give_back(struct lambda_lane *self, struct buffer *event)
{
        self->client = NULL;
        buffer_swap(&self->body, event);
        become(self, LAMBDA_LANE_PENDING);
        lane_run_soon(&self->lane);
}

void lambda_lane_abandon(struct lambda_lane *self)
{
        self->client = NULL;
        if (self->state != LAMBDA_LANE_STREAMS)
                return; /* the program may try again, or end */
        if (self->lane.outbox_full) {
                /* What waits there is the client's, who goes. */
                struct slice *payload = &self->lane.outbox.payload;
                if (payload->length > 0)
                        memcpy(self->frame, payload->data, payload->length);
                payload->data = self->frame;
        }
        become(self, LAMBDA_LANE_BROKEN);
        loop_set_timer(&self->lambda->service.loop, &self->timer, SERVICE_GRACE_MS);
}

void lambda_lane_begin_answer(struct lambda_lane *self, struct lambda_client *client, bool streams)
{
        self->client = client;
        if (streams)
                become(self, LAMBDA_LANE_STREAMS);
}

void lambda_lane_announce(struct lambda_lane *self, uint32_t status, struct slice meta)
{
        self->status = status;
        post(self, meta, (struct slice){0}, false);
}

void lambda_lane_stream(struct lambda_lane *self, struct slice payload, bool end)
{
        if (end)
                drop_client(self);
        post(self, (struct slice){0}, payload, end);
        lane_run_soon(&self->lane);
}

static bool lambda_step(struct lane *lane)
{
        struct lambda_lane *self = self_of(lane);

        if (!lane_flush(lane))
                return false;
        switch (self->state) {
        case LAMBDA_LANE_IDLE:
        case LAMBDA_LANE_COLLECTS:
                return receive(self);
        case LAMBDA_LANE_PENDING:
                return give(self);
        case LAMBDA_LANE_ANSWERED:
                post_piece(self);
                return true;
        case LAMBDA_LANE_STREAMS:
                if (self->client)
                        lambda_client_run_soon(self->client);
                return false;
        case LAMBDA_LANE_FAILED:
                post_failure(self);
                return true;
        case LAMBDA_LANE_ENDED:
                reset(self);
                return true;
        case LAMBDA_LANE_GIVEN:
        case LAMBDA_LANE_BROKEN:
                return false;
        }
        return false;
}

const struct lane_contract lambda_lane_contract = {
        .open = lambda_open,
        .step = lambda_step,
        .close = lambda_close,
};
