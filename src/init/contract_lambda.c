/* A program that speaks the AWS Lambda Runtime API; see contract.h and lambda.h. */
#include "init/contract.h"
#include "init/lambda.h"
#include "init/worker_socket.h"

#include "wire/json_text.h"
#include "wire/lambda_answer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCOUNT "000000000000" /* twelve digits: some clients count them */
#define REFUSAL_MS 500         /* for a program that has said why it cannot go on, until it ends */
#define EXIT_REFUSED 1

/* --- the environment ------------------------------------------------------------------------- */

/* As Lambda has it, where the function's own or its image's says nothing else. `other` is what
 * magpie knows it by. */
static int set_from(const char *name, const char *other, const char *standard)
{
        const char *value = getenv(other);

        return setenv(name, value ? value : standard, 0);
}

static int set_environment(void)
{
        const char *bytes = getenv("MAGPIE_MEMORY_BYTES"), *places = getenv("MAGPIE_CONCURRENCY");
        char number[24], folder[PATH_MAX], stream[128], group[256];

        if (set_from("AWS_LAMBDA_FUNCTION_NAME", "MAGPIE_FUNCTION_NAME", "function") < 0 ||
            set_from("AWS_LAMBDA_FUNCTION_VERSION", "MAGPIE_FUNCTION_VERSION", "1") < 0 ||
            set_from("_HANDLER", "MAGPIE_HANDLER", "") < 0 ||
            setenv("AWS_REGION", "us-east-1", 0) < 0)
                return -errno;
        (void)snprintf(number, sizeof(number), "%llu",
                       (bytes ? strtoull(bytes, NULL, 10) : 0) >> 20);
        (void)snprintf(group, sizeof(group), "/aws/lambda/%s", getenv("AWS_LAMBDA_FUNCTION_NAME"));
        (void)snprintf(stream, sizeof(stream), "[%s]", getenv("AWS_LAMBDA_FUNCTION_VERSION"));
        if (!getcwd(folder, sizeof(folder)))
                return -errno;
        if (places && strtoul(places, NULL, 10) > 1 &&
            setenv("AWS_LAMBDA_MAX_CONCURRENCY", places, 0) < 0)
                return -errno;
        if (setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001", 1) < 0 ||
            setenv("AWS_DEFAULT_REGION", getenv("AWS_REGION"), 0) < 0 ||
            setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", number, 0) < 0 ||
            setenv("AWS_LAMBDA_LOG_GROUP_NAME", group, 0) < 0 ||
            setenv("AWS_LAMBDA_LOG_STREAM_NAME", stream, 0) < 0 ||
            setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand", 0) < 0 ||
            setenv("LAMBDA_TASK_ROOT", folder, 0) < 0 ||
            setenv("LAMBDA_RUNTIME_DIR", "/var/runtime", 0) < 0 || setenv("TZ", ":UTC", 0) < 0)
                return -errno;
        return 0;
}

/* --- the program's end ----------------------------------------------------------------------- */

static void on_refusal_due(struct timer *timer)
{
        struct lambda *lambda = CONTAINER_OF(timer, struct lambda, refusal_timer);

        loop_stop(&lambda->service.loop);
}

void lambda_refuse(struct lambda *lambda, struct buffer *report, struct slice type)
{
        struct lambda_error error;
        struct slice rest;
        struct json_value value;
        char trace[512];
        size_t length = 0;

        lambda_error_read(report->data, report->length, type, &error);
        rest = error.trace;
        if (json_take(&rest, &value)) {
                rest = json_inside(&value);
                while (json_next_element(&rest, &value) &&
                       value.raw.length < sizeof(trace) - length) {
                        trace[length++] = '\n';
                        length += json_decode_string(&value, trace + length);
                }
        }
        lambda->refused = true;
        worker_socket_refuse("%.*s: %.*s%.*s", (int)error.type.length, error.type.data,
                             (int)error.message.length, error.message.data, (int)length, trace);
        loop_set_timer(&lambda->service.loop, &lambda->refusal_timer, REFUSAL_MS);
}

static void refuse_ended(const struct lambda *lambda)
{
        struct outcome outcome = outcome_of_status(lambda->service.status);

        if (outcome.by_signal)
                worker_socket_refuse("the program was killed by signal %d (%s) before it asked for "
                                     "an invocation",
                                     outcome.number, strsignal(outcome.number));
        else
                worker_socket_refuse("the program ended with exit status %d before it asked for an "
                                     "invocation",
                                     outcome.number);
}

/* --- the start ------------------------------------------------------------------------------- */

static int start(struct lambda *lambda, char *const *command)
{
        int r;

        lambda->ready = ready_begin();
        r = set_environment();
        if (r == 0)
                r = service_init(&lambda->service);
        if (r == 0)
                r = lambda_listen(lambda);
        if (r < 0) {
                worker_socket_refuse("the Lambda Runtime API cannot be served: %s", strerror(-r));
                return r;
        }
        (void)snprintf(lambda->arn, sizeof(lambda->arn),
                       "arn:aws:lambda:%s:" ACCOUNT ":function:%s", getenv("AWS_REGION"),
                       getenv("AWS_LAMBDA_FUNCTION_NAME"));
        timer_init(&lambda->refusal_timer, on_refusal_due);
        buffer_init(&lambda->event, LAMBDA_EVENT_MAX);
        r = service_start(&lambda->service, command);
        return r < 0 ? r : lanes_init(&lambda->lanes, &lambda->service.loop, &lambda_lane_contract);
}

struct outcome contract_lambda(char *const *command)
{
        const struct outcome failed = {.number = 127}, ended = {.number = 0};
        struct lambda *lambda = calloc(1, sizeof(*lambda));

        if (!lambda || start(lambda, command) < 0 || service_run(&lambda->service) < 0)
                return failed;
        if (lambda->service.ended) {
                /* What it has sent before is still to be read. */
                (void)loop_turn(&lambda->service.loop, 0);
                if (!lambda->is_ready && !lambda->refused)
                        refuse_ended(lambda);
                return outcome_of_status(lambda->service.status);
        }
        if (lambda->refused)
                return (struct outcome){.number = EXIT_REFUSED};
        if (lambda->is_ready && !lambda->lanes.broken)
                service_end(&lambda->service);
        return lambda->lanes.broken ? failed : ended;
}
