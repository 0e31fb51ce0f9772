/* `magpie bench extreme`: where does it break, how fast is it back, what runs out first?
 *
 * Theory of operation. Three runs. Stages of more and more clients, up to 1,000 and on, until it
 * breaks or --max-clients is reached. A blast of twice what it bore (or broke at), between two quiet
 * times: the second one ends when all is as it was in the first stage of all. And twenty steps up to
 * the limit, while the target's resources are watched. Before blast and ramp it may calm down, so that
 * neither measures what the experiment before left behind. Where the watched process ends, so does all
 * of it. -d is the time of one stage; all others are in proportion to it, as 10 seconds are to the times
 * that they stand for. */
#include "cli/bench.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>

#define STAGE_NS (10 * NS_PER_S)
#define FIRST_GOAL 1000 /* clients, the last of the first five stages */
#define LONG_STAGE 3    /* times as long */
#define BLAST_TIMES 3
#define QUIET_PARTS 2 /* half a stage */
#define AFTERWARDS_TIMES 6
#define RAMP_STEPS 20
#define RAMP_TIMES 12
#define CALM_LEAST_NS (5 * NS_PER_S)
#define CLIENTS_SEARCHED 20000

struct experiment {
        const char *phase;
        unsigned later;        /* stages' times that those after it are expected to take */
        bool has_rows;         /* in the table */
        bool ends_when_normal; /* its last stage is quiet, and ends when the server is as it was */
};

static const struct experiment stages_experiment = {
        .phase = "stages", .later = BLAST_TIMES + 1 + RAMP_TIMES, .has_rows = true};
static const struct experiment calm_before_blast = {
        .phase = "calm", .later = BLAST_TIMES + 1 + RAMP_TIMES, .ends_when_normal = true};
static const struct experiment blast_experiment = {
        .phase = "blast", .later = RAMP_TIMES, .ends_when_normal = true};
static const struct experiment calm_before_ramp = {
        .phase = "calm", .later = RAMP_TIMES, .ends_when_normal = true};
static const struct experiment ramp_experiment = {.phase = "ramp"};

struct extreme {
        struct bench *bench;
        uint64_t stage_ns;
        size_t most; /* clients to search to */
        struct plan plan;
        const struct run_result *stages;
        const struct experiment *now;
};

/* --- plans ----------------------------------------------------------------------------------- */

/* 10, 25, 50, 75 and 100 % of `goal`; the last three times as long. */
static int plan_first_stages(struct extreme *extreme, double goal, struct err *err)
{
        static const double shares[] = {0.1, 0.25, 0.5, 0.75, 1};
        double before = 0;
        int r = 0;

        for (size_t i = 0; i < 5 && r == 0; i++) {
                double level = fmax(1, round(goal * shares[i]));
                if (level > before)
                        r = plan_add(&extreme->plan, level, level,
                                     extreme->stage_ns * (i == 4 ? LONG_STAGE : 1), err);
                before = level;
        }
        return r;
}

/* 1,500, 2,000, 3,000, 4,000, 6,000 ... and at last the most. */
static int plan_further_stages(struct extreme *extreme, struct err *err)
{
        double level = FIRST_GOAL, most = (double)extreme->most;
        bool is_half = true;
        int r = 0;

        while (level < most && r == 0) {
                level = is_half ? level * 1.5 : level / 1.5 * 2;
                is_half = !is_half;
                if (level * 1.2 > most)
                        level = most;
                r = plan_add(&extreme->plan, level, level, extreme->stage_ns, err);
        }
        return r;
}

static int plan_stages(struct extreme *extreme, struct err *err)
{
        int r;

        if (extreme->bench->plan.count > 0) { /* --stages */
                extreme->plan = extreme->bench->plan;
                return 0;
        }
        plan_init(&extreme->plan, PLAN_CLIENTS);
        r = plan_first_stages(extreme, fmin(FIRST_GOAL, (double)extreme->most), err);
        if (r == 0 && extreme->most > FIRST_GOAL)
                r = plan_further_stages(extreme, err);
        return r;
}

static int plan_blast(struct extreme *extreme, double quiet, double clients, struct err *err)
{
        int r;

        plan_init(&extreme->plan, PLAN_CLIENTS);
        r = plan_add(&extreme->plan, quiet, quiet, extreme->stage_ns / QUIET_PARTS, err);
        if (r == 0)
                r = plan_add(&extreme->plan, clients, clients, extreme->stage_ns * BLAST_TIMES,
                             err);
        return r < 0 ? r
                     : plan_add(&extreme->plan, quiet, quiet, extreme->stage_ns * AFTERWARDS_TIMES,
                                err);
}

static int plan_ramp(struct extreme *extreme, double clients, struct err *err)
{
        int r = 0;

        plan_init(&extreme->plan, PLAN_CLIENTS);
        for (int i = 1; i <= RAMP_STEPS && r == 0; i++) {
                double level = fmax(1, round(clients * i / RAMP_STEPS));
                r = plan_add(&extreme->plan, level, level,
                             extreme->stage_ns * RAMP_TIMES / RAMP_STEPS, err);
        }
        return r;
}

/* --- experiments ----------------------------------------------------------------------------- */

/* When it is as it was in the first stage, it is watched for a quarter of a stage more; so it is where
 * nobody knows how it was. */
static bool was_watched_enough(const struct extreme *extreme, const struct run_result *so_far)
{
        const struct report report = {.main = extreme->stages, .blast = so_far};
        struct recovery recovery = report_recovery(&report);
        double quiet_s = (double)so_far->plan.stages[so_far->plan.count - 1].start_ns / 1e9;
        double at_s = so_far->moments[so_far->moment_count - 1].at_s;

        return (recovery.is_recovered || isnan(recovery.normal_ms)) &&
               at_s > quiet_s + recovery.after_s + (double)extreme->stage_ns / 4e9;
}

static void on_tick(void *context, const struct run_result *so_far, double at_s,
                    const struct run_moment *latest)
{
        struct extreme *extreme = context;
        struct bench *bench = extreme->bench;

        if (bench_sees_death(bench, at_s, latest ? latest->level : 0) ||
            atomic_load(&bench_interrupted))
                atomic_store(&bench->stop, true);
        bench_show_progress(bench, so_far, at_s, latest);
        if (extreme->now->ends_when_normal && so_far->stage_count == so_far->plan.count &&
            was_watched_enough(extreme, so_far))
                atomic_store(&bench->stop, true);
}

/* The rows of the table are those of the first experiment. */
static bool on_stage(void *context, const struct run_stage *stage)
{
        struct extreme *extreme = context;

        bench_table_row(extreme->bench, stage);
        return !report_is_broken(stage, PLAN_CLIENTS);
}

/* Of the plan; nothing once somebody has had enough. */
static int run_experiment(struct extreme *extreme, const struct experiment *experiment,
                          struct run_result *ret_result, struct err *err)
{
        struct bench *bench = extreme->bench;
        const struct run_observer observer = {.context = extreme,
                                              .on_tick = on_tick,
                                              .on_stage = experiment->has_rows ? on_stage : NULL};
        uint64_t began_ns = clock_now_ns();
        int r;

        if (atomic_load(&bench_interrupted) || *bench->death)
                return 0;
        extreme->now = experiment;
        bench->phase = experiment->phase;
        bench->whole_s = bench->past_s + (double)(plan_duration_ns(&extreme->plan) +
                                                  experiment->later * extreme->stage_ns) /
                                                 1e9;
        bench->load.plan = &extreme->plan;
        atomic_store(&bench->stop, false);
        r = run(&bench->load, bench->watch, &observer, &bench->stop, ret_result, err);
        bench->past_s += (double)(clock_now_ns() - began_ns) / 1e9;
        /* The report looks at loads after the plan has moved on. */
        bench->load.plan = &bench->plan;
        return r;
}

/* Until it is as it was in the first stage, though not for ever. */
static int calm(struct extreme *extreme, const struct experiment *experiment, struct err *err)
{
        AUTO(run_result_deinit) struct run_result ignored = {0};
        double quiet = extreme->stages->plan.stages[0].to;
        uint64_t most_ns = extreme->stage_ns > CALM_LEAST_NS ? extreme->stage_ns : CALM_LEAST_NS;
        int r;

        plan_init(&extreme->plan, PLAN_CLIENTS);
        r = plan_add(&extreme->plan, quiet, quiet, most_ns, err);
        return r < 0 ? r : run_experiment(extreme, experiment, &ignored, err);
}

/* What the blast doubles: where it broke, else the most that it bore. */
static double limit_of(const struct limits_found *found)
{
        if (!isnan(found->breaking))
                return found->breaking;
        return found->sustained > 0 ? found->sustained : found->searched_to;
}

int bench_extreme(struct bench *bench, struct run_result *ret_stages, struct run_result *ret_blast,
                  struct run_result *ret_ramp, struct err *err)
{
        struct extreme extreme = {.bench = bench,
                                  .stage_ns = bench->duration_ns ? bench->duration_ns : STAGE_NS,
                                  .stages = ret_stages};
        struct limits_found found;
        double limit;
        int r;

        extreme.most = bench->clients_asked ? bench->clients_asked : CLIENTS_SEARCHED;
        if (extreme.most > bench->clients_most)
                extreme.most = bench->clients_most;
        r = plan_stages(&extreme, err);
        if (r == 0)
                r = run_experiment(&extreme, &stages_experiment, ret_stages, err);
        if (r < 0 || ret_stages->total.connected == 0)
                return r;

        if (*bench->death && ret_stages->stage_count > 0)
                ret_stages->stages[ret_stages->stage_count - 1].target_ended = true;
        found = report_limits(ret_stages);
        limit = limit_of(&found);
        r = calm(&extreme, &calm_before_blast, err);
        if (r == 0)
                r = plan_blast(&extreme, ret_stages->plan.stages[0].to,
                               fmin(2 * limit, (double)bench->clients_most), err);
        if (r == 0)
                r = run_experiment(&extreme, &blast_experiment, ret_blast, err);
        if (r == 0)
                r = calm(&extreme, &calm_before_ramp, err);
        if (r == 0)
                r = plan_ramp(&extreme, limit, err);
        return r < 0 ? r : run_experiment(&extreme, &ramp_experiment, ret_ramp, err);
}
