/* GET /api/v1/functions/{id}/logs: the latest lines, newest first, or with follow=1 those to come.
 */
#include "gateway/api_call.h"

#include "base/auto.h"
#include "gateway/response.h"
#include "wire/query.h"

#include <stdlib.h>

#define LINES_DEFAULT 100
#define LINES_MAX 10000
#define ANSWER_MAX (4u << 20)

static const struct slice ndjson = {"application/x-ndjson", 20};

struct log_call {
        struct api_call *call;
        struct function_log *log; /* a reference */
        char invocation_id[ID_LENGTH + 1];
        size_t line_max;
        bool follow;

        struct job job; /* reading */
        struct buffer lines;
        int result;

        struct log_follower follower; /* following */
        bool ending;
};

static void log_call_free(struct log_call *self)
{
        buffer_deinit(&self->lines);
        function_log_unref(self->log);
        free(self);
}

/* Parameters ------------------------------------------------------------------------------------- */

/* False where the parameter is malformed; "" where it is absent. */
static bool parameter(const struct api_call *call, struct slice name, char *ret_value, size_t size)
{
        size_t length = 0;

        switch (query_get(slice_of(call->query), name, ret_value, size - 1, &length)) {
        case QUERY_FOUND:
        case QUERY_ABSENT:
                ret_value[length] = '\0';
                return true;
        case QUERY_MALFORMED:
                break;
        }
        return false;
}

static const char *read_parameters(struct log_call *self)
{
        char limit[8], follow[8];

        self->line_max = LINES_DEFAULT;
        if (!parameter(self->call, SLICE("limit"), limit, sizeof(limit)))
                return "limit must be a number from 1 to 10000.";
        if (limit[0]) {
                char *end;
                unsigned long number = strtoul(limit, &end, 10);
                if (limit[0] < '0' || limit[0] > '9' || *end || number < 1 || number > LINES_MAX)
                        return "limit must be a number from 1 to 10000.";
                self->line_max = number;
        }
        if (!parameter(self->call, SLICE("follow"), follow, sizeof(follow)))
                return "follow must be 0 or 1.";
        self->follow = strcmp(follow, "1") == 0 || strcmp(follow, "true") == 0;
        if (!self->follow && follow[0] && strcmp(follow, "0") != 0 && strcmp(follow, "false") != 0)
                return "follow must be 0 or 1.";
        if (!parameter(self->call, SLICE("invocation"), self->invocation_id,
                       sizeof(self->invocation_id)) ||
            (self->invocation_id[0] && !id_is_valid(slice_of(self->invocation_id))))
                return "invocation must be an invocation's id.";
        return NULL;
}

/* Reading ---------------------------------------------------------------------------------------- */

static void read_work(struct job *job)
{
        struct log_call *self = CONTAINER_OF(job, struct log_call, job);

        self->result =
                function_log_read(self->log, self->invocation_id, self->line_max, &self->lines);
}

static void read_done(struct job *job)
{
        struct log_call *self = CONTAINER_OF(job, struct log_call, job);

        if (self->result < 0)
                api_answer_problem(self->call, 500, "platform.error", "The log cannot be read: %s.",
                                   strerror(-self->result));
        else
                api_answer_text(self->call, ndjson, buffer_slice(&self->lines));
        log_call_free(self);
}

static void log_read(struct log_call *self)
{
        buffer_init(&self->lines, ANSWER_MAX);
        self->job = (struct job){
                .home = &self->call->thread->mailbox, .work = read_work, .done = read_done};
        if (crew_submit(api_gateway(self->call)->crew, &self->job) == 0)
                return;
        api_answer_overloaded(self->call);
        log_call_free(self);
}

/* Following -------------------------------------------------------------------------------------- */

static void follow_left(struct log_follower *follower)
{
        struct log_call *self = CONTAINER_OF(follower, struct log_call, follower);

        api_call_end(self->call);
        log_call_free(self);
}

/* Harmless when repeated: leaving has one end. */
static void follow_end(struct log_call *self)
{
        if (self->ending)
                return;
        self->ending = true;
        function_log_leave(&self->follower);
}

/* Sends what has come, as long as the client takes it; the rest waits, bounded, in the follower. */
static void follow_send(struct log_call *self)
{
        struct connection *connection = self->call->exchange.connection;
        AUTO(buffer_deinit) struct buffer lines = {0};
        bool more;

        if (!connection || connection_backlog(connection) > 0)
                return;
        more = function_log_take(&self->follower, &lines);
        if (lines.length == 0 && more)
                return;
        if (response_more(connection, buffer_slice(&lines), !more) < 0)
                return; /* follow_gone() has been called */
        if (!more)
                follow_end(self);
        else if (connection_backlog(connection) == 0)
                connection_touch(connection, 0); /* it may be quiet for as long as it likes */
}

static void follow_lines(struct log_follower *follower)
{
        follow_send(CONTAINER_OF(follower, struct log_call, follower));
}

static struct log_call *of_exchange(struct exchange *exchange)
{
        return CONTAINER_OF(exchange, struct api_call, exchange)->state;
}

static size_t follow_room(struct exchange *exchange)
{
        (void)exchange;
        return 0;
}

static void follow_body(struct exchange *exchange, struct slice bytes, bool end)
{
        (void)exchange;
        (void)bytes;
        (void)end;
}

static void follow_drained(struct exchange *exchange)
{
        connection_touch(exchange->connection, 0);
        follow_send(of_exchange(exchange));
}

static void follow_half_closed(struct exchange *exchange)
{
        struct log_call *self = of_exchange(exchange);

        if (response_more(exchange->connection, slice_make(NULL, 0), true) == 0)
                follow_end(self); /* else follow_gone() has been called */
}

static void follow_gone(struct exchange *exchange)
{
        follow_end(of_exchange(exchange));
}

static const struct exchange_ops follow_ops = {
        .room = follow_room,
        .body = follow_body,
        .drained = follow_drained,
        .half_closed = follow_half_closed,
        .gone = follow_gone,
};

static void log_follow(struct log_call *self)
{
        struct api_call *call = self->call;
        struct connection *connection = call->exchange.connection;
        struct http_response response;

        call->state = self;
        call->exchange.ops = &follow_ops;
        self->follower.home = &call->thread->mailbox;
        self->follower.on_lines = follow_lines;
        self->follower.on_left = follow_left;
        memcpy(self->follower.invocation_id, self->invocation_id, sizeof(self->invocation_id));
        /* Before the head: what is printed once the client has seen that must not be missed. */
        function_log_follow(self->log, &self->follower);
        response_begin(connection, &response, 200);
        (void)http_response_header(&response, SLICE("Content-Type"), ndjson);
        (void)http_response_header(&response, SLICE("Cache-Control"), SLICE("no-store"));
        if (response_send(connection, &response, slice_make(NULL, 0), false) == 0 &&
            connection_backlog(connection) == 0)
                connection_touch(connection, 0);
}

void api_function_logs(struct api_call *call)
{
        const struct function *function = api_find_function(call);
        struct log_call *self;
        const char *problem;

        if (!function) {
                api_answer_not_found(call);
                return;
        }
        self = calloc(1, sizeof(*self));
        if (self)
                self->log = function_log_open(&api_gateway(call)->logs, function->id);
        if (!self || !self->log) {
                free(self);
                api_answer_no_memory(call);
                return;
        }
        self->call = call;
        problem = read_parameters(self);
        if (problem) {
                api_answer_problem(call, 400, "invalid", "%s", problem);
                log_call_free(self);
        } else if (self->follow && atomic_load(&api_gateway(call)->draining)) {
                api_answer_problem(call, 503, "draining", "The server is going down.");
                log_call_free(self);
        } else if (self->follow && call->exchange.connection->method != HTTP_METHOD_HEAD) {
                log_follow(self);
        } else {
                log_read(self);
        }
}
