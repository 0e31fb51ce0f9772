/* `magpie bench extreme`: where does it break, how fast is it back, what runs out first?
 *
 * Theory of operation. Three runs. Stages of more and more clients, up to 1,000 and on, until more
 * than half of the requests fail or --max-clients is reached. A blast of twice what it bore (or
 * broke at), between two quiet times: the second one ends when all is as it was in the first. And
 * twenty steps up to the limit, while the target's resources are watched. -d is the time of one
 * stage; all others are in proportion to it, as 10 seconds are to the times that they stand for. */
#include "cli/bench.h"

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
#define CLIENTS_SEARCHED 20000

struct extreme {
        struct bench *bench;
        uint64_t stage_ns;
        size_t most; /* clients to search to */
        struct plan plan;
        struct run_result *blast; /* while it runs */
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

static void on_tick(void *context, const struct run_result *so_far, double at_s,
                    const struct run_moment *latest)
{
        struct extreme *extreme = context;
        struct bench *bench = extreme->bench;

        if (atomic_load(&bench_interrupted))
                atomic_store(&bench->stop, true);
        bench_show_progress(bench, so_far, at_s, latest);
        /* Afterwards it is watched until it is as it was, and a quarter of a stage more. */
        if (extreme->blast && latest && so_far->stage_count == 3) {
                const struct report report = {.blast = so_far};
                struct recovery recovery = report_recovery(&report);
                double end_s = (double)so_far->plan.stages[2].start_ns / 1e9;
                if (recovery.is_recovered &&
                    latest->at_s > end_s + recovery.after_s + (double)extreme->stage_ns / 4e9)
                        atomic_store(&bench->stop, true);
        }
}

/* The rows of the table are those of the first experiment. */
static bool on_stage(void *context, const struct run_stage *stage)
{
        struct extreme *extreme = context;

        bench_table_row(extreme->bench, stage);
        return !report_is_broken(stage, PLAN_CLIENTS);
}

static int experiment(struct extreme *extreme, const char *phase, bool has_rows,
                      struct run_result *ret_result, struct err *err)
{
        struct bench *bench = extreme->bench;
        const struct run_observer observer = {
                .context = extreme, .on_tick = on_tick, .on_stage = has_rows ? on_stage : NULL};
        int r;

        bench->phase = phase;
        bench->load.plan = &extreme->plan;
        atomic_store(&bench->stop, false);
        r = run(&bench->load, bench->watch, &observer, &bench->stop, ret_result, err);
        bench->past_s += (double)plan_duration_ns(&extreme->plan) / 1e9;
        /* The report looks at loads after the plan has moved on. */
        bench->load.plan = &bench->plan;
        return r;
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
                                  .stage_ns = bench->duration_ns ? bench->duration_ns : STAGE_NS};
        struct limits_found found;
        double limit;
        int r;

        extreme.most = bench->clients_asked ? bench->clients_asked : CLIENTS_SEARCHED;
        if (extreme.most > bench->clients_most)
                extreme.most = bench->clients_most;
        r = plan_stages(&extreme, err);
        if (r < 0)
                return r;
        bench->whole_s = (double)plan_duration_ns(&extreme.plan) / 1e9 +
                         (double)extreme.stage_ns / 1e9 * (BLAST_TIMES + 1 + RAMP_TIMES);
        r = experiment(&extreme, "stages", true, ret_stages, err);
        if (r < 0 || atomic_load(&bench_interrupted) || ret_stages->total.connected == 0)
                return r;

        found = report_limits(ret_stages);
        limit = limit_of(&found);
        r = plan_blast(&extreme, ret_stages->plan.stages[0].to,
                       fmin(2 * limit, (double)bench->clients_most), err);
        extreme.blast = ret_blast;
        if (r == 0)
                r = experiment(&extreme, "blast", false, ret_blast, err);
        extreme.blast = NULL;
        if (r == 0 && !atomic_load(&bench_interrupted))
                r = plan_ramp(&extreme, limit, err);
        if (r == 0 && !atomic_load(&bench_interrupted))
                r = experiment(&extreme, "ramp", false, ret_ramp, err);
        return r;
}
