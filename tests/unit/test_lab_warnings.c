/* Reasons not to believe figures, on runs that are made up. */
#include "base/clock.h"
#include "lab/report.h"
#include "testing.h"

static struct run_stage stages[3];
static struct run_result main_run, blast, ramp;
static struct load load;
static struct report report;

static void run_init(struct run_result *run, struct run_stage *stage, double level)
{
        tally_init(&stage->tally);
        stage->plan.to = level;
        stage->tally.lab.span_ns = 2 * NS_PER_S;
        tally_init(&run->total);
        run->stage_count = 1;
        run->stages = stage;
}

/* `extreme`, and the lab had hardly anything to do. */
static void make(void)
{
        static struct plan plan;

        plan_init(&plan, PLAN_CLIENTS);
        load = (struct load){.plan = &plan, .thread_count = 2};
        run_init(&main_run, &stages[0], 100);
        run_init(&blast, &stages[1], 300);
        run_init(&ramp, &stages[2], 150);
        report = (struct report){.load = &load, .main = &main_run, .blast = &blast, .ramp = &ramp};
}

static void expect_warning(const char *words)
{
        struct warnings warnings = warnings_find(&report);

        ck_assert_uint_eq(warnings.count, 1);
        ck_assert_msg(strstr(warnings.texts[0], words), "%s", warnings.texts[0]);
}

TEST(a_lab_that_had_time_is_not_warned_of)
{
        make();
        ck_assert_uint_eq(warnings_find(&report).count, 0);
}
TEST_END

TEST(one_thread_that_had_no_time_is_enough)
{
        make();
        stages[0].tally.lab.busiest = 0.97;
        stages[0].tally.lab.cpu_ns = NS_PER_S; /* the other thread had hardly anything */
        expect_warning("used 97 % of a processor at 100");
}
TEST_END

TEST(the_blast_and_the_ramp_are_looked_at_too)
{
        make();
        stages[1].tally.lab.busiest = 0.95;
        expect_warning("used 95 % of a processor at 300");
        make();
        stages[2].tally.lab.waiting_ns = NS_PER_S;
        expect_warning("waited for a processor 50 % of the time");
        make();
        histogram_record(&ramp.total.lab.turns, 4 * NS_PER_MS, 1);
        histogram_record(&ramp.total.latency, 5 * NS_PER_MS, 1);
        expect_warning("took 4.0");
        make();
        blast.total.failures[FAILURE_LOCAL] = 3;
        expect_warning("3 requests failed because this machine had no more descriptors");
}
TEST_END

TEST(a_plain_run_has_neither)
{
        make();
        report.blast = report.ramp = NULL;
        stages[1].tally.lab.busiest = stages[2].tally.lab.busiest = 1;
        ck_assert_uint_eq(warnings_find(&report).count, 0);
}
TEST_END

TEST_MAIN("lab_warnings", a_lab_that_had_time_is_not_warned_of,
          one_thread_that_had_no_time_is_enough, the_blast_and_the_ramp_are_looked_at_too,
          a_plain_run_has_neither)
