/* Which load is to be there when, from what the command line said; see bench.h. */
#include "cli/bench.h"

#include "base/clock.h"
#include "core/registry/function.h"

#define CLIENTS_DEFAULT 50
#define DURATION_DEFAULT_NS (10 * NS_PER_S)

static int refuse(const struct err *err)
{
        return usage_error(&verb_bench, "%s", err->text);
}

static int check_together(const struct bench *bench)
{
        const struct bench_words *words = &bench->words;
        bool is_rate = words->rate || words->rate_stages;

        if (bench->is_extreme && (is_rate || words->ramp || words->requests))
                return usage_error(&verb_bench, "extreme has its own plan: --stages, -d and "
                                                "--max-clients change it");
        if (words->max_clients && !bench->is_extreme)
                return usage_error(&verb_bench, "--max-clients is for magpie bench extreme");
        if (words->max_clients && words->stages)
                return usage_error(&verb_bench, "--max-clients or --stages, one or the other");
        if (is_rate && words->stages)
                return usage_error(&verb_bench,
                                   "--stages are of clients; an open loop has --rate-stages");
        if (words->rate && words->rate_stages)
                return usage_error(&verb_bench, "--rate or --rate-stages, one or the other");
        if (words->stages && words->clients)
                return usage_error(&verb_bench, "--clients or --stages, one or the other");
        if ((words->stages || words->rate_stages) && words->duration && !bench->is_extreme)
                return usage_error(&verb_bench, "stages have times of their own; -d is none");
        if (words->think && is_rate)
                return usage_error(
                        &verb_bench,
                        "nobody thinks in an open loop: requests come when they are due");
        if (words->arrivals && !is_rate)
                return usage_error(&verb_bench, "--arrivals needs --rate or --rate-stages");
        return CLI_OK;
}

/* One level: after a ramp the one that it ended with, unless another is said. */
static int add_level(struct bench *bench, enum plan_kind kind, struct err *err)
{
        const struct bench_words *words = &bench->words;
        const char *text = kind == PLAN_RATE ? words->rate : words->clients;
        struct plan *plan = &bench->plan;
        double level = CLIENTS_DEFAULT;
        uint64_t duration_ns = DURATION_DEFAULT_NS;
        int r = 0;

        if (plan->count > 0)
                level = plan->stages[plan->count - 1].to;
        if (text)
                r = plan_parse_level(kind, slice_of(text), &level, err);
        if (bench->duration_ns > 0)
                duration_ns = bench->duration_ns;
        else if (words->requests)
                duration_ns = PLAN_FOREVER;
        return r < 0 ? r : plan_add(plan, level, level, duration_ns, err);
}

int bench_read_plan(struct bench *bench)
{
        const struct bench_words *words = &bench->words;
        enum plan_kind kind = words->rate || words->rate_stages ? PLAN_RATE : PLAN_CLIENTS;
        const char *stages = kind == PLAN_RATE ? words->rate_stages : words->stages;
        const char *level = kind == PLAN_RATE ? words->rate : words->clients;
        int exit_code = check_together(bench), r = 0;
        struct err err;

        if (exit_code != CLI_OK)
                return exit_code;
        if (words->duration && bench->duration_ns == 0)
                return usage_error(&verb_bench, "a duration of 0 leaves no time to ask");
        plan_init(&bench->plan, kind);
        if (words->ramp)
                r = plan_parse_ramp(&bench->plan, slice_of(words->ramp), &err);
        if (r == 0 && stages)
                r = plan_parse_stages(&bench->plan, slice_of(stages), &err);
        if (r == 0 && !stages && !bench->is_extreme &&
            (!words->ramp || level || words->duration || words->requests))
                r = add_level(bench, kind, &err);
        if (r < 0)
                return refuse(&err);
        if (bench->plan.count > 0 && plan_level_max(&bench->plan) <= 0)
                return usage_error(&verb_bench, "there must be somebody who asks");
        return CLI_OK;
}
