/* What figures mean, on figures that are made up: limits, degradation, exhaustion, recovery. */
#include "lab/analysis.h"
#include "lab/report.h"
#include "testing.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const double levels[] = {100, 250, 500, 750, 1000, 1500, 2000};
static struct stage_point points[COUNT(levels)];

/* p99 by a law, with a little noise that repeats. */
static void make(double (*law)(double level))
{
        for (size_t i = 0; i < COUNT(levels); i++)
                points[i] = (struct stage_point){.level = levels[i],
                                                 .p99_ms = law(levels[i]) *
                                                           (1 + 0.03 * ((double)(i * 5 % 3) - 1)),
                                                 .served = 1,
                                                 .throughput = 50000,
                                                 .connections = levels[i]};
}

static double constant(double level)
{
        (void)level;
        return 3;
}

static double linear(double level)
{
        return 0.5 + 0.01 * level;
}

static double proportional(double level)
{
        return 0.02 * level;
}

static double quadratic(double level)
{
        return 0.0001 * level * level;
}

static double root(double level)
{
        return 0.5 * sqrt(level);
}

static double exponential(double level)
{
        return 0.5 * exp(level / 250);
}

static void expect_shape(double (*law)(double level), enum shape shape, enum fit_kind best)
{
        struct degradation found;

        make(law);
        found = degradation_find(points, COUNT(levels));
        ck_assert_msg(found.shape == shape, "%s, not %s", shape_name(found.shape),
                      shape_name(shape));
        if (shape != SHAPE_FLAT) {
                ck_assert_int_eq(found.best, best);
                ck_assert_double_gt(found.fits[best].r2, 0.97);
        }
}

TEST(the_shape_of_degradation_is_the_law_behind_the_figures)
{
        expect_shape(constant, SHAPE_FLAT, FIT_LINEAR);
        expect_shape(linear, SHAPE_LINEAR, FIT_LINEAR);
        expect_shape(proportional, SHAPE_LINEAR, FIT_LINEAR);
        expect_shape(root, SHAPE_SUBLINEAR, FIT_POWER);
        expect_shape(quadratic, SHAPE_SUPERLINEAR, FIT_POWER);
        expect_shape(exponential, SHAPE_EXPONENTIAL, FIT_EXPONENTIAL);
}
TEST_END

TEST(figures_that_no_law_stands_behind_have_no_clear_shape)
{
        static const double noise[] = {4, 2, 9, 3, 8, 5, 11};
        struct degradation found;

        make(constant);
        for (size_t i = 0; i < COUNT(levels); i++)
                points[i].p99_ms = noise[i];
        found = degradation_find(points, COUNT(levels));
        ck_assert_double_gt(found.fits[found.best].r2, 0);
        ck_assert_str_eq(shape_name(found.shape), "unclear");
}
TEST_END

TEST(a_fit_finds_the_laws_own_constants)
{
        struct degradation found;

        make(quadratic);
        found = degradation_find(points, COUNT(levels));
        ck_assert_double_eq_tol(found.fits[FIT_POWER].b, 2, 0.05);
        make(exponential);
        found = degradation_find(points, COUNT(levels));
        ck_assert_double_eq_tol(found.fits[FIT_EXPONENTIAL].b, 1.0 / 250, 0.0001);
        make(linear);
        found = degradation_find(points, COUNT(levels));
        ck_assert_double_eq_tol(found.fits[FIT_LINEAR].b, 0.01, 0.0005);
}
TEST_END

TEST(growth_is_compared_with_that_of_the_load)
{
        struct stage_point from = {.level = 100, .p99_ms = 2};
        struct stage_point to = {.level = 200, .p99_ms = 8};

        ck_assert_double_eq(growth_ratio(&from, &to), 2);
        to.p99_ms = NAN;
        ck_assert(isnan(growth_ratio(&from, &to)));
        from.level = 0;
        ck_assert(isnan(growth_ratio(&from, &to)));
}
TEST_END

TEST(fewer_than_three_stages_and_those_of_one_load_have_no_shape)
{
        make(linear);
        ck_assert_int_eq(degradation_find(points, 2).shape, SHAPE_UNKNOWN);
        ck_assert_int_eq(degradation_find(points, 0).shape, SHAPE_UNKNOWN);
        for (size_t i = 0; i < COUNT(levels); i++)
                points[i].level = 100; /* nothing to lay a line through */
        ck_assert_int_eq(degradation_find(points, COUNT(levels)).shape, SHAPE_UNKNOWN);
}
TEST_END

TEST(a_server_that_breaks_has_a_breaking_point_and_a_sustained_load)
{
        struct limits_found found;

        make(linear);
        points[4].error_rate = 0.02;
        points[5].error_rate = 0.6;
        points[5].throughput = 900000;
        points[6].error_rate = 1;
        points[6].p99_ms = NAN;
        points[3].throughput = 60000;
        found = limits_find(points, COUNT(levels));
        ck_assert_double_eq(found.sustained, 750);
        ck_assert_double_eq(found.breaking, 1500);
        ck_assert_double_eq(found.searched_to, 2000);
        ck_assert_double_eq(found.connections, 750);
        ck_assert_double_eq(found.peak_throughput, 60000);
        ck_assert_double_eq(found.peak_level, 750);
}
TEST_END

TEST(a_server_that_does_not_break_has_no_breaking_point)
{
        struct limits_found found;

        make(linear);
        found = limits_find(points, COUNT(levels));
        ck_assert(isnan(found.breaking));
        ck_assert_double_eq(found.sustained, 2000);
}
TEST_END

TEST(a_pause_ends_no_sustained_load)
{
        make(linear);
        points[3] =
                (struct stage_point){.level = 0, .p99_ms = NAN, .served = NAN, .is_pause = true};
        ck_assert_double_eq(limits_find(points, COUNT(levels)).sustained, 2000);
        points[3].error_rate = 1; /* of a few that were begun before */
        ck_assert_double_eq(limits_find(points, COUNT(levels)).sustained, 2000);
        ck_assert(isnan(limits_find(points, COUNT(levels)).breaking));
        points[3].error_rate = 0;
        points[3].is_pause = false; /* it wanted requests, and there was no answer */
        ck_assert_double_eq(limits_find(points, COUNT(levels)).sustained, 500);
}
TEST_END

TEST(clients_that_are_never_served_end_what_is_sustained_and_break_it)
{
        struct limits_found found;

        make(linear);
        points[3].served = 0.98;
        points[5].served = 0.3;
        found = limits_find(points, COUNT(levels));
        ck_assert_double_eq(found.sustained, 500);
        ck_assert_double_eq(found.breaking, 1500);
        points[3].served = NAN; /* of a ramp, nobody knows */
        ck_assert_double_eq(limits_find(points, COUNT(levels)).sustained, 1000);
}
TEST_END

TEST(broken_stages_do_not_bend_the_fit)
{
        struct degradation found;

        make(linear);
        points[5].error_rate = points[6].error_rate = 0.9;
        points[5].p99_ms = points[6].p99_ms = 10000;
        found = degradation_find(points, COUNT(levels));
        ck_assert_int_eq(found.shape, SHAPE_LINEAR);
}
TEST_END

#define SAMPLES 100
static struct sample samples[SAMPLES];
static struct sample_limits limits;

static void make_samples(void)
{
        for (int i = 0; i < SAMPLES; i++) {
                samples[i] = (struct sample){.at_s = i * 0.1, .level = i * 10};
                for (int figure = 0; figure < SAMPLE_COUNT; figure++)
                        samples[i].values[figure] = NAN;
        }
        for (int figure = 0; figure < SAMPLE_COUNT; figure++)
                limits.values[figure] = NAN;
}

TEST(the_first_resource_to_run_out_is_named_with_its_time_and_load)
{
        struct exhaustions found;

        make_samples();
        limits.values[SAMPLE_CPU_USER] = 2;
        limits.values[SAMPLE_DESCRIPTORS] = 1000;
        for (int i = 0; i < SAMPLES; i++) {
                samples[i].values[SAMPLE_CPU_USER] = i < 60 ? 0.5 : 1.2;
                samples[i].values[SAMPLE_CPU_SYSTEM] = i < 60 ? 0.2 : 0.79;
                samples[i].values[SAMPLE_DESCRIPTORS] = i * 12;
        }
        found = exhaustions_find(samples, SAMPLES, &limits);
        ck_assert_int_eq(found.first, RESOURCE_CPU);
        ck_assert(found.of[RESOURCE_CPU].at_s >= 6 && found.of[RESOURCE_CPU].at_s <= 6.6);
        ck_assert(found.of[RESOURCE_DESCRIPTORS].is_reached);
        ck_assert_double_eq_tol(found.of[RESOURCE_DESCRIPTORS].at_s, 8, 1e-9);
        ck_assert_double_eq(found.of[RESOURCE_DESCRIPTORS].level, 800);
        ck_assert(!found.of[RESOURCE_MEMORY].is_reached);
}
TEST_END

TEST(one_busy_tenth_of_a_second_exhausts_no_processor)
{
        make_samples();
        limits.values[SAMPLE_CPU_USER] = 2;
        for (int i = 0; i < SAMPLES; i++) {
                samples[i].values[SAMPLE_CPU_USER] = i % 5 == 0 ? 2.5 : 0.5;
                samples[i].values[SAMPLE_CPU_SYSTEM] = 0;
        }
        ck_assert_int_eq(exhaustions_find(samples, SAMPLES, &limits).first, -1);
}
TEST_END

TEST(one_overflow_of_the_accept_queue_counts)
{
        struct exhaustions found;

        make_samples();
        for (int i = 0; i < SAMPLES; i++)
                samples[i].values[SAMPLE_OVERFLOWS] = i == 30 ? 10 : 0;
        found = exhaustions_find(samples, SAMPLES, &limits);
        ck_assert_int_eq(found.first, RESOURCE_ACCEPT_QUEUE);
        ck_assert_double_eq_tol(found.of[RESOURCE_ACCEPT_QUEUE].at_s, 3, 1e-9);
}
TEST_END

static void expect_evidence_of_accept_queue(const char *wanted)
{
        struct exhaustions found = exhaustions_find(samples, SAMPLES, &limits);
        char evidence[128];

        ck_assert_int_eq(found.first, RESOURCE_ACCEPT_QUEUE);
        report_evidence(RESOURCE_ACCEPT_QUEUE, &found.of[RESOURCE_ACCEPT_QUEUE], evidence,
                        sizeof(evidence));
        ck_assert_str_eq(evidence, wanted);
}

TEST(the_evidence_of_an_accept_queue_tells_the_numbers_that_are_known)
{
        make_samples();
        samples[30].values[SAMPLE_OVERFLOWS] = 10;
        expect_evidence_of_accept_queue("its accept queue had no room for 10 connections a second");
        limits.values[SAMPLE_ACCEPT_QUEUE] = 128;
        samples[30].values[SAMPLE_ACCEPT_QUEUE] = 3; /* when one looked */
        expect_evidence_of_accept_queue(
                "its accept queue of 128 had no room for 10 connections a second");
        samples[30].values[SAMPLE_OVERFLOWS] = 0;
        samples[30].values[SAMPLE_ACCEPT_QUEUE] = 127;
        expect_evidence_of_accept_queue("127 connections waited in its accept queue of 128");
}
TEST_END

TEST(without_figures_nothing_has_run_out)
{
        make_samples();
        ck_assert_int_eq(exhaustions_find(samples, SAMPLES, &limits).first, -1);
        ck_assert_int_eq(exhaustions_find(samples, 0, &limits).first, -1);
}
TEST_END

/* The machine's processors are busy from 5 s on, at 500, and one thread of the target from `level`. */
static struct exhaustions find_beside_the_machine(int level)
{
        make_samples();
        limits.values[SAMPLE_MACHINE_CPU] = 2;
        limits.values[SAMPLE_BUSIEST_THREAD] = 1;
        for (int i = 0; i < SAMPLES; i++) {
                samples[i].values[SAMPLE_MACHINE_CPU] = i < 50 ? 1 : 2;
                samples[i].values[SAMPLE_LAB_CPU] = i < 50 ? 0.5 : 0.9;
                samples[i].values[SAMPLE_BUSIEST_THREAD] = i * 10 < level ? 0.5 : 1;
        }
        return exhaustions_find(samples, SAMPLES, &limits);
}

TEST(what_the_target_lacks_goes_before_the_machine_that_it_shares_with_the_lab)
{
        ck_assert_int_eq(find_beside_the_machine(550).first, RESOURCE_CPU_THREAD);
        ck_assert_int_eq(find_beside_the_machine(400).first, RESOURCE_CPU_THREAD);
        ck_assert_int_eq(find_beside_the_machine(800).first, RESOURCE_MACHINE);
        ck_assert_int_eq(find_beside_the_machine(2000).first, RESOURCE_MACHINE);
}
TEST_END

TEST(of_a_machine_that_is_busy_the_lab_tells_its_own_part)
{
        struct exhaustions found = find_beside_the_machine(2000);

        ck_assert_double_eq_tol(found.of[RESOURCE_MACHINE].lab_cpu, 0.9, 0.1);
}
TEST_END

TEST(nothing_is_watched_where_no_figure_is_known)
{
        make_samples();
        ck_assert(!exhaustions_find(samples, SAMPLES, &limits).is_watched);
        samples[7].values[SAMPLE_LOOP_LAG] = 1;
        ck_assert(exhaustions_find(samples, SAMPLES, &limits).is_watched);
}
TEST_END

#define MOMENTS 60
static struct recovery_moment moments[MOMENTS];

/* Quiet for a second, a blast of two, afterwards slow until `back_s`. */
static void make_recovery(double back_s)
{
        for (int i = 0; i < MOMENTS; i++) {
                double at_s = (i + 1) * 0.1;
                bool is_bad = at_s > 1 && at_s <= 3 + back_s + 1e-9;
                moments[i] = (struct recovery_moment){
                        .at_s = at_s, .seconds = 0.1, .p99_ms = is_bad ? 500 : 4};
        }
}

TEST(recovery_counts_from_the_blasts_end_to_when_all_is_normal)
{
        struct recovery found;

        make_recovery(0.7);
        found = recovery_find(moments, MOMENTS, 3, 4);
        ck_assert(found.is_recovered);
        ck_assert_double_eq_tol(found.after_s, 0.7, 0.01);
        ck_assert_double_eq(found.normal_ms, 8);
}
TEST_END

TEST(normal_for_a_moment_is_not_recovered)
{
        struct recovery found;

        make_recovery(0.2);
        moments[36].error_rate = 0.5; /* at 3.7 s */
        found = recovery_find(moments, MOMENTS, 3, 4);
        ck_assert(found.is_recovered);
        ck_assert_double_eq_tol(found.after_s, 0.7, 0.01);
}
TEST_END

TEST(what_never_gets_normal_is_not_recovered)
{
        make_recovery(10);
        ck_assert(!recovery_find(moments, MOMENTS, 3, 4).is_recovered);
        ck_assert(!recovery_find(moments, 0, 3, 4).is_recovered);
}
TEST_END

TEST(without_a_quiet_time_nobody_knows_what_is_normal)
{
        struct recovery found;

        make_recovery(0.2);
        found = recovery_find(moments, MOMENTS, 3, NAN);
        ck_assert(isnan(found.normal_ms));
        ck_assert(!found.is_recovered);
}
TEST_END

TEST_MAIN("lab_analysis", the_shape_of_degradation_is_the_law_behind_the_figures,
          figures_that_no_law_stands_behind_have_no_clear_shape, a_fit_finds_the_laws_own_constants,
          growth_is_compared_with_that_of_the_load,
          fewer_than_three_stages_and_those_of_one_load_have_no_shape,
          a_server_that_breaks_has_a_breaking_point_and_a_sustained_load,
          a_server_that_does_not_break_has_no_breaking_point, a_pause_ends_no_sustained_load,
          clients_that_are_never_served_end_what_is_sustained_and_break_it,
          broken_stages_do_not_bend_the_fit,
          the_first_resource_to_run_out_is_named_with_its_time_and_load,
          one_busy_tenth_of_a_second_exhausts_no_processor, one_overflow_of_the_accept_queue_counts,
          without_figures_nothing_has_run_out,
          the_evidence_of_an_accept_queue_tells_the_numbers_that_are_known,
          what_the_target_lacks_goes_before_the_machine_that_it_shares_with_the_lab,
          of_a_machine_that_is_busy_the_lab_tells_its_own_part,
          nothing_is_watched_where_no_figure_is_known,
          recovery_counts_from_the_blasts_end_to_when_all_is_normal,
          normal_for_a_moment_is_not_recovered, what_never_gets_normal_is_not_recovered,
          without_a_quiet_time_nobody_knows_what_is_normal)
