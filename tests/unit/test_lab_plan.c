/* Stages and ramps over given time, and arrivals that follow them. */
#include "base/clock.h"
#include "lab/arrivals.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define S NS_PER_S
#define MS NS_PER_MS

static struct plan plan;
static struct arrivals arrivals;
static struct err err;

static void read_stages(enum plan_kind kind, const char *text)
{
        plan_init(&plan, kind);
        ck_assert_msg(plan_parse_stages(&plan, slice_of(text), &err) == 0, "%s: %s", text,
                      err.text);
}

TEST(stages_follow_one_another_with_their_levels)
{
        read_stages(PLAN_CLIENTS, "100:10s,250:500ms,0:2000:1m");
        ck_assert_uint_eq(plan.count, 3);
        ck_assert_uint_eq(plan_duration_ns(&plan), 70 * S + 500 * MS);
        ck_assert_double_eq(plan_level(&plan, 0), 100);
        ck_assert_double_eq(plan_level(&plan, 10 * S - 1), 100);
        ck_assert_double_eq(plan_level(&plan, 10 * S), 250);
        ck_assert_double_eq(plan_level(&plan, 10 * S + 500 * MS), 0);
        ck_assert_double_eq_tol(plan_level(&plan, 40 * S + 500 * MS), 1000, 1e-6);
        ck_assert_double_eq(plan_level(&plan, plan_duration_ns(&plan)), 0);
        ck_assert_double_eq(plan_level_max(&plan), 2000);
}
TEST_END

TEST(what_is_no_stage_is_refused_with_a_sentence)
{
        static const char *const cases[] = {
                "",       "100",      "100:",          ":10s",
                "a:10s",  "1:2:3:4s", "100:10",        "100:-1s",
                "100:0s", "1.5:10s",  "100:10s,,",     "100:10s;5:1s",
                "-1:1s",  "1:2:3",    "2000000000:1s", "1:99999999999999999h"};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                plan_init(&plan, PLAN_CLIENTS);
                err.text[0] = '\0';
                ck_assert_msg(plan_parse_stages(&plan, slice_of(cases[i]), &err) < 0, "%s",
                              cases[i]);
                ck_assert_uint_gt(strlen(err.text), 10);
        }
}
TEST_END

TEST(a_ramp_needs_its_three_parts)
{
        plan_init(&plan, PLAN_CLIENTS);
        ck_assert_int_lt(plan_parse_ramp(&plan, SLICE("2000:60s"), &err), 0);
        ck_assert_int_eq(plan_parse_ramp(&plan, SLICE("0:2000:60s"), &err), 0);
        ck_assert_double_eq_tol(plan_level(&plan, 30 * S), 1000, 1e-9);
}
TEST_END

TEST(more_stages_than_there_is_room_for_are_refused)
{
        char text[PLAN_STAGES_MAX * 5 + 16] = "";

        for (int i = 0; i <= PLAN_STAGES_MAX; i++)
                strcat(text, i ? ",1:1s" : "1:1s");
        plan_init(&plan, PLAN_CLIENTS);
        ck_assert_int_lt(plan_parse_stages(&plan, slice_of(text), &err), 0);
}
TEST_END

TEST(a_rate_may_have_a_fraction)
{
        read_stages(PLAN_RATE, "0.5:10s");
        ck_assert_double_eq(plan_level(&plan, 0), 0.5);
        ck_assert_uint_eq(plan_time_of(&plan, 1), 2 * S);
}
TEST_END

TEST(moments_cut_each_stage_and_never_reach_into_the_next)
{
        struct plan_moment moment;
        uint64_t at = 0;

        read_stages(PLAN_CLIENTS, "1:250ms,2:100ms,3:1s");
        while (at < plan_duration_ns(&plan)) {
                moment = plan_moment_at(&plan, at);
                ck_assert_uint_eq(moment.start_ns, at);
                ck_assert(!moment.is_after_end);
                ck_assert_uint_eq(plan_stage_at(&plan, moment.end_ns - 1), moment.stage);
                ck_assert_uint_le(moment.end_ns - moment.start_ns, PLAN_MOMENT_NS);
                at = moment.end_ns;
        }
        ck_assert_uint_eq(at, 1350 * MS);
        moment = plan_moment_at(&plan, at + 150 * MS);
        ck_assert(moment.is_after_end);
        ck_assert_uint_eq(moment.stage, 2);
        ck_assert_uint_eq(moment.start_ns, 1450 * MS);
}
TEST_END

TEST(constant_arrivals_come_at_equal_distances_and_in_the_right_number)
{
        uint64_t count = 0;

        read_stages(PLAN_RATE, "100:2s");
        arrivals_init(&arrivals, &plan, ARRIVALS_CONSTANT, 1, 0, 1);
        for (; arrivals.next_ns != UINT64_MAX; arrivals_pop(&arrivals))
                ck_assert_uint_eq(arrivals.next_ns, 10 * MS * count++);
        ck_assert_uint_eq(count, 200);
}
TEST_END

TEST(threads_share_constant_arrivals_as_if_they_were_one)
{
        bool seen[300] = {false};

        read_stages(PLAN_RATE, "100:3s");
        for (unsigned thread = 0; thread < 3; thread++) {
                arrivals_init(&arrivals, &plan, ARRIVALS_CONSTANT, 1, thread, 3);
                for (; arrivals.next_ns != UINT64_MAX; arrivals_pop(&arrivals)) {
                        ck_assert_uint_eq(arrivals.next_ns % (10 * MS), 0);
                        ck_assert(!seen[arrivals.next_ns / (10 * MS)]);
                        seen[arrivals.next_ns / (10 * MS)] = true;
                }
        }
        for (size_t i = 0; i < 300; i++)
                ck_assert(seen[i]);
}
TEST_END

TEST(arrivals_on_a_ramp_are_as_many_as_the_area_under_it)
{
        uint64_t count = 0, half = 0, before = 0;

        read_stages(PLAN_RATE, "0:1000:10s,1000:0:10s");
        arrivals_init(&arrivals, &plan, ARRIVALS_CONSTANT, 1, 0, 1);
        for (; arrivals.next_ns != UINT64_MAX; arrivals_pop(&arrivals)) {
                ck_assert_uint_ge(arrivals.next_ns, before);
                before = arrivals.next_ns;
                half += arrivals.next_ns < 5 * S;
                count++;
        }
        ck_assert_uint_eq(count, 10000);
        /* A quarter of the first ramp's 5,000. */
        ck_assert_uint_ge(half, 1249);
        ck_assert_uint_le(half, 1251);
}
TEST_END

TEST(poisson_arrivals_have_the_mean_and_the_spread_of_the_exponential)
{
        double count = 0, sum = 0, squares = 0, before = 0;

        read_stages(PLAN_RATE, "1000:100s");
        arrivals_init(&arrivals, &plan, ARRIVALS_POISSON, 42, 0, 1);
        for (; arrivals.next_ns != UINT64_MAX; arrivals_pop(&arrivals)) {
                double distance = (double)arrivals.next_ns / 1e6 - before;
                before = (double)arrivals.next_ns / 1e6;
                sum += distance;
                squares += distance * distance;
                count++;
        }
        /* 100,000 of them: three standard errors are 1 %. */
        ck_assert_double_eq_tol(count, 100000, 1000);
        ck_assert_double_eq_tol(sum / count, 1, 0.01);
        ck_assert_double_eq_tol(sqrt(squares / count - 1), 1, 0.02);
}
TEST_END

TEST(the_same_seed_gives_the_same_arrivals_and_another_gives_others)
{
        struct arrivals same, other;
        int differences = 0;

        read_stages(PLAN_RATE, "1000:1s");
        arrivals_init(&arrivals, &plan, ARRIVALS_POISSON, 7, 0, 1);
        arrivals_init(&same, &plan, ARRIVALS_POISSON, 7, 0, 1);
        arrivals_init(&other, &plan, ARRIVALS_POISSON, 8, 0, 1);
        for (int i = 0; i < 100; i++) {
                ck_assert_uint_eq(arrivals.next_ns, same.next_ns);
                differences += arrivals.next_ns != other.next_ns;
                arrivals_pop(&arrivals);
                arrivals_pop(&same);
                arrivals_pop(&other);
        }
        ck_assert_int_gt(differences, 95);
}
TEST_END

TEST_MAIN("lab_plan", stages_follow_one_another_with_their_levels,
          what_is_no_stage_is_refused_with_a_sentence, a_ramp_needs_its_three_parts,
          more_stages_than_there_is_room_for_are_refused, a_rate_may_have_a_fraction,
          moments_cut_each_stage_and_never_reach_into_the_next,
          constant_arrivals_come_at_equal_distances_and_in_the_right_number,
          threads_share_constant_arrivals_as_if_they_were_one,
          arrivals_on_a_ramp_are_as_many_as_the_area_under_it,
          poisson_arrivals_have_the_mean_and_the_spread_of_the_exponential,
          the_same_seed_gives_the_same_arrivals_and_another_gives_others)
