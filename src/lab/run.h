/* One run: engines make the load that the plan wants, and what they count is put together by
 * moments and by stages, beside what the target looked like meanwhile. */
#pragma once

#include "base/err.h"
#include "lab/engine.h"
#include "lab/watch.h"

#include <stdatomic.h>

/* A moment of the run, for plots over time and to see when things were normal again. */
struct run_moment {
        double at_s, seconds; /* its end since the run began, and its length */
        double level;         /* that the plan wanted at its end */
        size_t stage;
        uint64_t answers, good, failed;
        uint64_t connections;                  /* open at once */
        double p50_ms, p95_ms, p99_ms, max_ms; /* of the good ones; NaN where there are none */
};

struct run_stage {
        struct plan_stage plan;
        double seconds;    /* that it took in truth */
        bool target_ended; /* whose process was watched, while it lasted */
        struct tally tally;
};

struct run_result {
        struct plan plan;
        double seconds;
        bool was_stopped; /* by `stop`, before the plan's end */
        struct tally total;
        size_t stage_count, moment_count, sample_count;
        struct run_stage *stages;
        struct run_moment *moments;
        struct sample *samples; /* each with the time and the level it belongs to */
        struct sample_limits limits;
        bool left_out; /* the target had more processes or threads than are watched */
};

/* Called on the thread that runs. */
struct run_observer {
        void *context;
        /* About ten times a second. `latest` is NULL while there is none. */
        void (*on_tick)(void *context, const struct run_result *so_far, double at_s,
                        const struct run_moment *latest);
        /* A stage is over. False: that is enough, end the run. */
        bool (*on_stage)(void *context, const struct run_stage *stage);
};

/* `watch` may be NULL. `stop` ends the run early when somebody sets it; what was counted up to then
 * counts. 0, or a negative errno and a sentence. Deinit the result in any case. */
int run(const struct load *load, struct watch *watch, const struct run_observer *observer,
        const atomic_bool *stop, struct run_result *ret_result, struct err *err);
void run_result_deinit(struct run_result *result); /* also as AUTO(run_result_deinit) */
