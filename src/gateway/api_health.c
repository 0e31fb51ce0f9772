/* GET /healthz (is the process alive?), /readyz (should it get requests?), /metrics. */
#include "gateway/api_call.h"

#include "base/auto.h"

#include <stdlib.h>

#define METRICS_MAX (64u << 20)

void api_health(struct api_call *call)
{
        api_answer_text(call, SLICE("text/plain"), SLICE("ok\n"));
}

void api_ready(struct api_call *call)
{
        const struct gateway *gateway = api_gateway(call);

        if (atomic_load(&gateway->draining))
                api_answer_problem(call, 503, "draining", "The server is going down.");
        else if (!atomic_load(&gateway->scheduler.is_ready))
                api_answer_problem(call, 503, "starting", "No sandboxes can be made yet.");
        else
                api_answer_text(call, SLICE("text/plain"), SLICE("ready\n"));
}

/* Counting thousands of descriptors takes the kernel milliseconds: on the crew. */
#define LOOKS_MAX 16 /* at once */

struct metrics_call {
        struct job job;
        struct api_call *call;
        long open_fds; /* -1: unknown */
};

static void metrics_count_descriptors(struct job *job)
{
        struct metrics_call *metrics = CONTAINER_OF(job, struct metrics_call, job);
        AUTO(directory_close) DIR *directory = opendir("/proc/self/fd");
        const struct dirent *entry;

        if (!directory)
                return;
        metrics->open_fds = -1; /* the directory's own */
        while ((entry = readdir(directory)))
                metrics->open_fds += entry->d_name[0] != '.';
}

static void metrics_answer(struct api_call *call, long open_fds)
{
        AUTO(buffer_deinit) struct buffer text;

        buffer_init(&text, METRICS_MAX);
        if (metrics_write(api_gateway(call), open_fds, &text) < 0)
                api_answer_no_memory(call);
        else
                api_answer_text(call, SLICE("text/plain; version=0.0.4; charset=utf-8"),
                                buffer_slice(&text));
}

static void metrics_done(struct job *job)
{
        struct metrics_call *metrics = CONTAINER_OF(job, struct metrics_call, job);

        atomic_fetch_sub(&api_gateway(metrics->call)->api.look_count, 1);
        metrics_answer(metrics->call, metrics->open_fds);
        free(metrics);
}

void api_metrics(struct api_call *call)
{
        struct gateway *gateway = api_gateway(call);
        /* Anybody may ask, and the crew has more to do. */
        bool may_look = atomic_fetch_add(&gateway->api.look_count, 1) < LOOKS_MAX;
        struct metrics_call *metrics = may_look ? calloc(1, sizeof(*metrics)) : NULL;

        if (metrics) {
                metrics->call = call;
                metrics->open_fds = -1;
                metrics->job = (struct job){.home = &call->thread->mailbox,
                                            .work = metrics_count_descriptors,
                                            .done = metrics_done};
                if (crew_submit(gateway->crew, &metrics->job) == 0)
                        return;
        }
        /* A crew that is busy is no reason to be blind. */
        atomic_fetch_sub(&gateway->api.look_count, 1);
        free(metrics);
        metrics_answer(call, -1);
}
