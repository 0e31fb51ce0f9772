/* A cold start's phases add up, and what a worker says of itself is believed within reason. */
#include "gateway/cold_start.h"
#include "wire/worker_protocol.h"

#include "testing.h"

#include <string.h>

#define US 1000ull

static const struct sandbox_making on_request = {.origin = SANDBOX_MADE,
                                                 .cgroup_us = 400,
                                                 .namespaces_us = 500,
                                                 .mounts_us = 300,
                                                 .confine_us = 50,
                                                 .exec_us = 200};
static const struct sandbox_making from_stock = {.origin = SANDBOX_WITH_INTERPRETER,
                                                 .stock_us = 450};

static struct cold_start start_of(const struct sandbox_making *making, uint64_t value)
{
        struct cold_start start = {0};

        cold_start_made(&start, making);
        cold_start_ready(&start, 1000 * US, 3000 * US, 8000 * US, value);
        return start;
}

static uint64_t said(uint32_t interpreter_us, uint32_t import_us)
{
        return worker_start_encode(
                &(struct worker_start){.interpreter_us = interpreter_us, .import_us = import_us});
}

TEST(what_was_made_on_request_tells_each_step)
{
        struct cold_start start = start_of(&on_request, said(3500, 1200));
        static const uint32_t expected[COLD_START_PHASE_COUNT] = {
                [COLD_START_SANDBOX] = 2000,   [COLD_START_CGROUP] = 400,
                [COLD_START_NAMESPACES] = 500, [COLD_START_MOUNTS] = 300,
                [COLD_START_CONFINE] = 50,     [COLD_START_EXEC] = 200,
                [COLD_START_LOAD] = 5000,      [COLD_START_INTERPRETER] = 3500,
                [COLD_START_IMPORT] = 1200,    [COLD_START_TOTAL] = 7000};

        for (int phase = 0; phase < COLD_START_PHASE_COUNT; phase++)
                ck_assert_msg(start.phase_us[phase] == expected[phase], "%s: %u",
                              cold_start_phase_name((enum cold_start_phase)phase),
                              start.phase_us[phase]);
        ck_assert_str_eq(sandbox_origin_name(start.origin), "request");
        cold_start_answered(&start, 8000 * US, 9500 * US);
        ck_assert_uint_eq(start.phase_us[COLD_START_FIRST_BYTE], 6500);
}
TEST_END

TEST(from_stock_nothing_is_left_to_do_but_taking_it)
{
        struct cold_start start = start_of(&from_stock, said(20, 1200));

        ck_assert_uint_eq(start.phase_us[COLD_START_STOCK], 450);
        for (int phase = COLD_START_CGROUP; phase <= COLD_START_EXEC; phase++)
                ck_assert_uint_eq(start.phase_us[phase], 0);
        ck_assert_str_eq(sandbox_origin_name(start.origin), "interpreter");
}
TEST_END

TEST(a_worker_that_says_nothing_or_too_much_is_timed_from_outside_alone)
{
        static const uint64_t values[] = {0, 7001, UINT64_MAX, 7000ull << 32 | 1};

        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
                struct cold_start start = start_of(&on_request, values[i]);
                ck_assert_uint_eq(start.phase_us[COLD_START_INTERPRETER], 0);
                ck_assert_uint_eq(start.phase_us[COLD_START_IMPORT], 0);
                ck_assert_uint_eq(start.phase_us[COLD_START_LOAD], 5000);
        }
}
TEST_END

TEST(a_worker_that_began_before_we_heard_of_its_sandbox_has_the_time_for_it)
{
        struct cold_start start = start_of(&on_request, said(1500, 5000));

        ck_assert_uint_eq(start.phase_us[COLD_START_IMPORT], 5000);
        ck_assert_uint_eq(start.phase_us[COLD_START_LOAD], 6500);
        ck_assert_uint_eq(start.phase_us[COLD_START_SANDBOX], 500);
        ck_assert_uint_eq(start.phase_us[COLD_START_TOTAL], 7000);
        cold_start_answered(&start, 8000 * US, 8300 * US);
        ck_assert_uint_eq(start.phase_us[COLD_START_FIRST_BYTE], 6800);
}
TEST_END

TEST(a_clock_that_seems_to_go_back_takes_no_time)
{
        struct cold_start start = start_of(&on_request, 0);

        cold_start_answered(&start, 2000 * US, 1000 * US);
        ck_assert_uint_eq(start.phase_us[COLD_START_FIRST_BYTE], 5000);
        cold_start_answered(&start, 0, UINT64_MAX);
        ck_assert_uint_eq(start.phase_us[COLD_START_FIRST_BYTE], UINT32_MAX);
}
TEST_END

TEST(the_mean_of_a_phase_is_of_those_in_which_it_took_place)
{
        struct cold_start_history history = {0};
        struct cold_start first = start_of(&on_request, said(3000, 1000));
        struct cold_start second = start_of(&from_stock, said(0, 2001));
        uint32_t mean_us[COLD_START_PHASE_COUNT];

        ck_assert_ptr_null(cold_start_last(&history));
        ck_assert_uint_eq(cold_start_mean(&history, mean_us), 0);
        ck_assert_uint_eq(mean_us[COLD_START_TOTAL], 0);

        cold_start_keep(&history, &first);
        cold_start_keep(&history, &second);
        ck_assert_uint_eq(cold_start_mean(&history, mean_us), 2);
        ck_assert_uint_eq(mean_us[COLD_START_IMPORT], 1501);
        ck_assert_uint_eq(mean_us[COLD_START_INTERPRETER], 3000);
        ck_assert_uint_eq(mean_us[COLD_START_STOCK], 450);
        ck_assert_uint_eq(mean_us[COLD_START_FIRST_BYTE], 0);
        ck_assert_int_eq(cold_start_last(&history)->origin, SANDBOX_WITH_INTERPRETER);
}
TEST_END

TEST(the_latest_are_kept_and_what_comes_late_finds_its_own)
{
        struct cold_start_history history = {0};
        struct cold_start starts[COLD_STARTS_KEPT + 3];
        uint32_t mean_us[COLD_START_PHASE_COUNT];

        for (size_t i = 0; i < COLD_STARTS_KEPT + 3; i++) {
                starts[i] = start_of(&from_stock, 0);
                starts[i].ready_unix_ms = i;
                cold_start_keep(&history, &starts[i]);
                ck_assert_uint_eq(starts[i].number, i + 1);
                ck_assert_uint_eq(cold_start_last(&history)->ready_unix_ms, i);
        }
        ck_assert_uint_eq(history.count, COLD_STARTS_KEPT + 3);
        ck_assert_uint_eq(cold_start_mean(&history, mean_us), COLD_STARTS_KEPT);

        starts[2].phase_us[COLD_START_FIRST_BYTE] = 9000; /* it has been forgotten */
        cold_start_keep_again(&history, &starts[2]);
        starts[3].phase_us[COLD_START_FIRST_BYTE] = 1000;
        cold_start_keep_again(&history, &starts[3]);
        (void)cold_start_mean(&history, mean_us);
        ck_assert_uint_eq(mean_us[COLD_START_FIRST_BYTE], 1000);
        ck_assert_uint_eq(cold_start_last(&history)->ready_unix_ms, COLD_STARTS_KEPT + 2);
}
TEST_END

TEST_MAIN("cold_start", what_was_made_on_request_tells_each_step,
          from_stock_nothing_is_left_to_do_but_taking_it,
          a_worker_that_says_nothing_or_too_much_is_timed_from_outside_alone,
          a_worker_that_began_before_we_heard_of_its_sandbox_has_the_time_for_it,
          a_clock_that_seems_to_go_back_takes_no_time,
          the_mean_of_a_phase_is_of_those_in_which_it_took_place,
          the_latest_are_kept_and_what_comes_late_finds_its_own)
