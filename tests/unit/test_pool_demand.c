/* How many boots a line is worth (demand.c), one argument at a time. What comes of it under load is
 * measured in tests/scenario/test_crowds.c. */
#include "pool_fixture.h"

#define BOOT (10 * MS)

/* `count` instances that took BOOT to boot and answer in `run_ns`, all given a call at `now_ns`, and
 * `line` calls behind them. */
static void busy_with_line(size_t count, uint64_t run_ns, size_t line, uint64_t now_ns)
{
        start(1);
        for (size_t i = 0; i < count; i++)
                stock(0, now_ns);
        for (size_t i = 0; i < count; i++)
                take(0, now_ns, TAKE_RUNNING);
        pool.boot_ns = BOOT;
        pool.run_ns = run_ns;
        for (size_t i = 0; i < line; i++) {
                struct pool_call *call = call_from(0);
                (void)pool_take(&pool, call, now_ns);
        }
}

static size_t wanted(uint64_t now_ns)
{
        return pool_wanted_boots(&pool, now_ns, 0, 1000);
}

TEST(each_call_of_a_function_that_nothing_is_known_of_is_worth_a_boot)
{
        start(1);
        for (size_t i = 1; i <= 5; i++) {
                take(0, 0, TAKE_WAITING);
                ck_assert_uint_eq(wanted(0), i);
        }
        boot();
        ck_assert_uint_eq(wanted(0), 4);
        busy_with_line(3, 0, 5, 0);
        ck_assert_uint_eq(wanted(0), 5);
}
TEST_END

TEST(a_line_that_is_served_sooner_than_a_boot_ends_is_worth_none)
{
        busy_with_line(1, 1 * MS, 10, S);
        ck_assert_uint_eq(wanted(S), 0);
        busy_with_line(5, 1 * MS, 50, S);
        ck_assert_uint_eq(wanted(S), 0);
}
TEST_END

TEST(calls_quicker_than_a_boot_share_the_instances_that_are_made)
{
        busy_with_line(1, 1 * MS, 11, S);
        ck_assert_uint_eq(wanted(S), 1);
        busy_with_line(1, 1 * MS, 10 + 20, S);
        ck_assert_uint_eq(wanted(S), 2);
}
TEST_END

TEST(calls_slower_than_a_boot_get_one_each_but_for_those_that_are_served_meanwhile)
{
        busy_with_line(4, 20 * MS, 10, S);
        ck_assert_uint_eq(wanted(S), 8);
        busy_with_line(4, S, 10, S);
        ck_assert_uint_eq(wanted(S), 10);
}
TEST_END

TEST(a_line_that_has_had_nothing_to_spare_for_a_boots_time_is_worth_a_boot_a_call)
{
        busy_with_line(1, 1 * MS, 5, S);
        ck_assert_uint_eq(wanted(S + BOOT), 0);
        ck_assert_uint_eq(wanted(S + BOOT + 1), 5);
}
TEST_END

TEST(a_new_instance_gives_the_line_another_boots_time_to_end)
{
        struct pool_call *next = NULL;

        busy_with_line(1, 1 * MS, 5, S);
        pool_ready(&pool, boot(), S + BOOT, &next);
        pool.boot_ns = BOOT;
        ck_assert_uint_eq(wanted(S + 2 * BOOT), 0);
        ck_assert_uint_eq(wanted(S + 2 * BOOT + 1), 4);
}
TEST_END

TEST(an_instance_whose_call_is_overdue_is_not_counted_on)
{
        busy_with_line(10, 1 * MS, 0, S);
        take(0, S + 2 * BOOT, TAKE_WAITING);
        pool.spare_ns = S + 2 * BOOT; /* another came and went meanwhile */
        ck_assert_uint_eq(wanted(S + 2 * BOOT), 1);
}
TEST_END

TEST(an_instance_whose_call_streams_is_not_counted_on)
{
        busy_with_line(1, 1 * MS, 1, S);
        CONTAINER_OF(pool.busy[0].next, struct pool_instance, link)->exclusive = true;
        ck_assert_uint_eq(wanted(S), 0); /* on its way to another thread, for a moment */
        calls[0].alone = true;
        ck_assert_uint_eq(wanted(S), 1);
}
TEST_END

TEST(a_quick_function_gets_no_more_instances_than_there_are_processors)
{
        busy_with_line(2, 10 * US, 200, S);
        pool.processors = 2;
        for (uint64_t now_ns = S; now_ns <= S + BOOT; now_ns += MS)
                ck_assert_uint_eq(wanted(now_ns), 0);
        pool.processors = 6;
        pool.spare_ns = 0; /* it has been like this for long */
        ck_assert_uint_eq(wanted(S + 1), 4);
}
TEST_END

TEST(a_quick_function_gets_past_calls_that_hang_whatever_the_processors)
{
        busy_with_line(2, 10 * US, 0, S);
        for (int i = 0; i < 3; i++)
                take(0, S + BOOT, TAKE_WAITING);
        pool.processors = 2;
        ck_assert_uint_eq(wanted(S + BOOT), 0);
        ck_assert_uint_eq(wanted(S + BOOT + 10 * US + 1), 2);
}
TEST_END

TEST(where_boots_are_quick_a_call_is_not_overdue_by_a_turn_of_a_busy_loop)
{
        busy_with_line(2, 10 * US, 200, S);
        pool.processors = 2;
        pool.boot_ns = 400 * US;
        ck_assert_uint_eq(wanted(S + POOL_HEAD_PATIENCE_NS), 0);
        ck_assert_uint_eq(wanted(S + POOL_HEAD_PATIENCE_NS + 10 * US + 1), 2);
}
TEST_END

TEST(calls_ahead_are_demand_where_they_never_let_up_and_a_processor_is_left)
{
        busy_with_line(1, 100 * US, 8, S);
        ck_assert_uint_eq(pool.ahead_count, 8);
        pool.processors = 4;
        ck_assert_uint_eq(wanted(S), 0);
        ck_assert_uint_eq(wanted(S + BOOT + 1), 3);
}
TEST_END

TEST(calls_ahead_are_no_demand_while_there_is_stock)
{
        busy_with_line(1, 10 * US, 0, S);
        pool.processors = 4;
        stock(0, S);
        pool.boot_ns = BOOT;
        take(0, S, TAKE_AHEAD); /* sooner served there than by an instance that sleeps */
        ck_assert_uint_eq(wanted(S + 2 * BOOT), 0);
}
TEST_END

TEST(a_single_call_out_of_the_ordinary_does_not_make_a_quick_function_slow)
{
        start(1);
        stock_that_took(0, 10 * US);
        release(take(0, MS, TAKE_RUNNING), S, RELEASE_IDLE);
        ck_assert_uint_lt(pool.run_ns, 50 * US);
        take(0, S, TAKE_RUNNING);
        take(0, S, TAKE_AHEAD);
}
TEST_END

TEST(a_function_that_has_become_slow_is_seen_to_be_so)
{
        uint64_t now_ns = MS;

        start(1);
        stock_that_took(0, 10 * US);
        for (int i = 0; i < 40; i++, now_ns += 20 * MS)
                release(take(0, now_ns, TAKE_RUNNING), now_ns + 20 * MS, RELEASE_IDLE);
        ck_assert_uint_gt(pool.run_ns, 10 * MS);
}
TEST_END

TEST_MAIN("pool_demand", each_call_of_a_function_that_nothing_is_known_of_is_worth_a_boot,
          a_line_that_is_served_sooner_than_a_boot_ends_is_worth_none,
          calls_quicker_than_a_boot_share_the_instances_that_are_made,
          calls_slower_than_a_boot_get_one_each_but_for_those_that_are_served_meanwhile,
          a_line_that_has_had_nothing_to_spare_for_a_boots_time_is_worth_a_boot_a_call,
          a_new_instance_gives_the_line_another_boots_time_to_end,
          an_instance_whose_call_is_overdue_is_not_counted_on,
          an_instance_whose_call_streams_is_not_counted_on,
          a_quick_function_gets_no_more_instances_than_there_are_processors,
          a_quick_function_gets_past_calls_that_hang_whatever_the_processors,
          where_boots_are_quick_a_call_is_not_overdue_by_a_turn_of_a_busy_loop,
          calls_ahead_are_demand_where_they_never_let_up_and_a_processor_is_left,
          calls_ahead_are_no_demand_while_there_is_stock,
          a_single_call_out_of_the_ordinary_does_not_make_a_quick_function_slow,
          a_function_that_has_become_slow_is_seen_to_be_so)
