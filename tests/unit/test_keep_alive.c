/* What a function's idle times say about how long to keep an instance, and when to boot ahead.
 *
 * The clock is in minutes: a bin is one. */
#include "core/provisioner/keep_alive.h"

#include "testing.h"

#include <string.h>

#define MINUTE KEEP_ALIVE_BIN_NS
#define SECOND (MINUTE / 60)

static struct keep_alive keep;
static uint64_t now_ns;

static void start(void)
{
        keep_alive_init(&keep, MINUTE);
        now_ns = 1000 * MINUTE;
}

/* A call comes after the instance has been idle for so long, and takes a moment. */
static void call_after(uint64_t idle_ns)
{
        now_ns += idle_ns;
        keep_alive_observe(&keep, 1, now_ns);
        now_ns += SECOND / 10;
        keep_alive_observe(&keep, 0, now_ns);
}

static void calls_after(size_t count, uint64_t idle_ns)
{
        for (size_t i = 0; i < count; i++)
                call_after(idle_ns);
}

static size_t spare_after(uint64_t idle_ns)
{
        return keep_alive_spare(&keep, now_ns + idle_ns);
}

static void expect_kept(uint64_t from, uint64_t to)
{
        for (uint64_t minute = from; minute < to; minute++)
                ck_assert_msg(spare_after(minute * MINUTE) == 1, "after %d minutes none is kept",
                              (int)minute);
}

static void expect_let_go(uint64_t from, uint64_t to)
{
        for (uint64_t minute = from; minute < to; minute++)
                ck_assert_msg(spare_after(minute * MINUTE) == 0, "after %d minutes one is kept",
                              (int)minute);
}

/* A generator of its own, so that the test is the same everywhere. */
static uint64_t chance(uint64_t below)
{
        static uint64_t state = 1;

        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return (state >> 33) % below;
}

TEST(who_was_never_called_is_not_expected)
{
        start();
        ck_assert_uint_eq(spare_after(0), 0);
        ck_assert_uint_eq(spare_after(60 * MINUTE), 0);
}
TEST_END

TEST(after_a_first_call_the_instance_is_kept_for_eleven_minutes)
{
        start();
        call_after(0);
        expect_kept(0, 11);
        expect_let_go(11, 1000);
}
TEST_END

TEST(a_timer_of_an_hour_is_expected_shortly_before_it_comes)
{
        start();
        calls_after(4, 60 * MINUTE);
        expect_let_go(1, 58);
        expect_kept(59, 62);
        expect_let_go(67, 300);
}
TEST_END

TEST(a_timer_of_five_minutes_costs_little_more_than_a_minute_of_memory)
{
        start();
        calls_after(20, 5 * MINUTE);
        expect_let_go(1, 4);
        expect_kept(4, 6);
        expect_let_go(20, 300);
}
TEST_END

TEST(a_timer_of_two_minutes_is_not_worth_a_boot_each_time)
{
        start();
        calls_after(20, 2 * MINUTE);
        expect_kept(0, 3);
        expect_let_go(12, 300);
}
TEST_END

TEST(who_is_called_every_few_seconds_and_then_no_more_is_kept_half_as_long)
{
        start();
        calls_after(100, 7 * SECOND);
        expect_kept(0, 5);
        expect_let_go(5, 300);
}
TEST_END

TEST(pauses_between_crowds_of_calls_are_learned_however_many_calls_a_crowd_has)
{
        start();
        for (int crowd = 0; crowd < 8; crowd++) {
                calls_after(1000, SECOND);
                call_after(30 * MINUTE);
        }
        calls_after(1000, SECOND);
        expect_kept(0, 1);
        expect_let_go(4, 26);
        expect_kept(29, 32);
        expect_let_go(40, 300);
}
TEST_END

TEST(two_habits_have_a_window_each)
{
        start();
        for (int i = 0; i < 10; i++) {
                call_after(20 * MINUTE);
                call_after(100 * MINUTE);
        }
        expect_let_go(2, 16);
        expect_kept(19, 22);
        expect_let_go(30, 88);
        expect_kept(99, 102);
}
TEST_END

TEST(calls_by_chance_that_come_often_enough_find_an_instance_always)
{
        start();
        for (int i = 0; i < 100; i++)
                call_after((60 + chance(7 * 60)) * SECOND);
        expect_kept(0, 8);
}
TEST_END

TEST(calls_by_chance_that_come_seldom_are_not_waited_for)
{
        start();
        for (int i = 0; i < 60; i++)
                call_after((60 + chance(238 * 60)) * SECOND);
        expect_let_go(0, 100);
}
TEST_END

TEST(pauses_longer_than_the_histogram_make_the_instance_end_at_once)
{
        start();
        calls_after(20, 300 * MINUTE);
        expect_let_go(0, 400);
}
TEST_END

TEST(a_new_habit_replaces_the_old_one)
{
        start();
        calls_after(200, 8 * MINUTE);
        calls_after(3, 90 * MINUTE);
        expect_kept(90, 91);
        calls_after(120, 90 * MINUTE);
        expect_let_go(1, 80);
        expect_kept(89, 92);
}
TEST_END

TEST(a_second_instance_has_idle_times_of_its_own)
{
        start();
        keep_alive_observe(&keep, 2, now_ns); /* two at once, a single time */
        now_ns += SECOND;
        keep_alive_observe(&keep, 0, now_ns);
        calls_after(20, 10 * SECOND);
        ck_assert_uint_eq(spare_after(0), 2);
        ck_assert_uint_eq(spare_after(2 * MINUTE), 1);
        ck_assert_uint_eq(spare_after(10 * MINUTE), 0);
}
TEST_END

TEST(instances_that_run_are_not_spare)
{
        start();
        keep_alive_observe(&keep, 3, now_ns);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns), 0);
        keep_alive_observe(&keep, 1, now_ns);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns), 2);
}
TEST_END

TEST(no_more_than_the_places_are_kept_however_many_were_wanted)
{
        start();
        keep_alive_observe(&keep, 1000, now_ns);
        keep_alive_observe(&keep, 0, now_ns);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns), KEEP_ALIVE_PLACES);
        keep_alive_observe(&keep, 1000, now_ns + MINUTE);
        keep_alive_observe(&keep, 0, now_ns + MINUTE);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns + MINUTE), KEEP_ALIVE_PLACES);
}
TEST_END

TEST(a_clock_that_is_behind_makes_no_idle_time)
{
        start();
        call_after(0);
        keep_alive_observe(&keep, 1, now_ns - SECOND);
        keep_alive_observe(&keep, 0, now_ns);
        ck_assert_uint_eq(keep.times.near, IDLE_SAMPLE);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns - MINUTE), 1);
}
TEST_END

TEST(a_busy_function_does_not_make_its_plan_anew_with_every_call)
{
        start();
        calls_after(20, SECOND);
        ck_assert_uint_eq(keep_alive_spare(&keep, now_ns), 1);
        calls_after(1000, SECOND);
        ck_assert(!keep.is_stale);
        call_after(2 * MINUTE);
        ck_assert(keep.is_stale);
}
TEST_END

/* Counts add up, and a plan changes its mind a few times at most in four hours. */
TEST(whatever_comes_the_counts_add_up_and_the_plan_does_not_flicker)
{
        start();
        for (int i = 0; i < 20000; i++) {
                uint64_t total = keep.times.beyond;
                int boots = 0;

                if (i % 1000 == 0) /* another function */
                        keep_alive_init(&keep, MINUTE);
                call_after(chance(2) ? chance(MINUTE) : chance((1 + chance(300)) * MINUTE));
                total = keep.times.beyond;
                for (size_t bin = 0; bin < KEEP_ALIVE_BINS; bin++)
                        total += keep.times.bins[bin];
                ck_assert_uint_eq(total, keep.times.total);
                if (i % 97 != 0)
                        continue;
                for (uint64_t minute = 0; minute < KEEP_ALIVE_BINS; minute++)
                        boots += spare_after(minute * MINUTE) == 0 &&
                                 spare_after((minute + 1) * MINUTE) == 1;
                ck_assert_int_le(boots, 5);
        }
}
TEST_END

TEST_MAIN("keep_alive", who_was_never_called_is_not_expected,
          after_a_first_call_the_instance_is_kept_for_eleven_minutes,
          a_timer_of_an_hour_is_expected_shortly_before_it_comes,
          a_timer_of_five_minutes_costs_little_more_than_a_minute_of_memory,
          a_timer_of_two_minutes_is_not_worth_a_boot_each_time,
          who_is_called_every_few_seconds_and_then_no_more_is_kept_half_as_long,
          pauses_between_crowds_of_calls_are_learned_however_many_calls_a_crowd_has,
          two_habits_have_a_window_each,
          calls_by_chance_that_come_often_enough_find_an_instance_always,
          calls_by_chance_that_come_seldom_are_not_waited_for,
          pauses_longer_than_the_histogram_make_the_instance_end_at_once,
          a_new_habit_replaces_the_old_one, a_second_instance_has_idle_times_of_its_own,
          instances_that_run_are_not_spare,
          no_more_than_the_places_are_kept_however_many_were_wanted,
          a_clock_that_is_behind_makes_no_idle_time,
          a_busy_function_does_not_make_its_plan_anew_with_every_call,
          whatever_comes_the_counts_add_up_and_the_plan_does_not_flicker)
