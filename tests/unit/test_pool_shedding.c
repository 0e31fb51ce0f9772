/* Who is refused a place in line (patience.c, shedding.c), one argument at a time. What comes of it
 * under load is told in tests/scenario/test_shedding.c. */
#include "pool_fixture.h"

#define TARGET (100 * MS)
#define INTERVAL (PATIENCE_INTERVAL * TARGET)
#define WAIT_MAX (30 * S)

static struct patience patience;

static void be_patient(void)
{
        patience = (struct patience){.target_ns = TARGET};
}

/* `count` calls leave the line, one each `gap_ns`, after `sojourn_ns` in it. The time of the last. */
static uint64_t serve(size_t count, uint64_t gap_ns, uint64_t sojourn_ns, uint64_t from_ns)
{
        for (size_t i = 1; i <= count; i++)
                patience_served(&patience, sojourn_ns, from_ns + i * gap_ns);
        return from_ns + count * gap_ns;
}

static bool is_over(uint64_t now_ns)
{
        return patience_is_over(&patience, 0, now_ns);
}

TEST(a_line_stands_when_all_have_waited_above_the_target_for_an_interval)
{
        be_patient();
        patience_served(&patience, TARGET, S);
        ck_assert(!is_over(S + INTERVAL - 1));
        ck_assert(is_over(S + INTERVAL));
}
TEST_END

TEST(one_that_waited_less_begins_the_interval_anew)
{
        be_patient();
        patience_served(&patience, TARGET, S);
        patience_served(&patience, TARGET - 1, S + INTERVAL / 2);
        ck_assert(!is_over(S + INTERVAL));
        patience_served(&patience, TARGET, S + INTERVAL);
        ck_assert(!is_over(S + 2 * INTERVAL - 1));
        ck_assert(is_over(S + 2 * INTERVAL));
}
TEST_END

TEST(a_line_that_sheds_does_so_until_somebody_has_waited_clearly_less)
{
        be_patient();
        patience_served(&patience, TARGET, S);
        ck_assert(is_over(S + INTERVAL));
        patience_served(&patience, TARGET / 2, S + INTERVAL);
        ck_assert(is_over(S + INTERVAL));
        patience_served(&patience, TARGET / 2 - 1, S + INTERVAL);
        ck_assert(!is_over(S + INTERVAL));
}
TEST_END

TEST(where_nobody_is_served_the_first_in_line_tells)
{
        be_patient();
        ck_assert(!patience_is_over(&patience, TARGET - 1, S));
        ck_assert(!patience_is_over(&patience, TARGET, S));
        ck_assert(!patience_is_over(&patience, TARGET + INTERVAL - 1, S + INTERVAL - 1));
        ck_assert(patience_is_over(&patience, TARGET + INTERVAL, S + INTERVAL));
}
TEST_END

TEST(nothing_is_over_without_a_target)
{
        be_patient();
        patience.target_ns = 0;
        patience_served(&patience, 100 * S, S);
        ck_assert(!patience_is_over(&patience, 100 * S, 1000 * S));
}
TEST_END

TEST(a_line_that_begins_knows_nothing_of_the_last)
{
        be_patient();
        patience_served(&patience, TARGET, S);
        ck_assert(is_over(S + INTERVAL));
        patience_begin(&patience, 1);
        ck_assert(!is_over(S + INTERVAL));
        ck_assert_uint_eq(patience.target_ns, TARGET);
}
TEST_END

TEST(an_instance_more_than_ever_ends_what_was_and_one_for_another_does_not)
{
        be_patient();
        patience_grew(&patience, 3);
        patience_served(&patience, TARGET, S);
        ck_assert(is_over(S + INTERVAL));
        patience_grew(&patience, 3);
        ck_assert(is_over(S + INTERVAL));
        patience_grew(&patience, 4);
        ck_assert(!is_over(S + INTERVAL));
}
TEST_END

TEST(a_line_may_hold_what_is_served_within_the_target)
{
        uint64_t now_ns;

        be_patient();
        now_ns = serve(1000, 1 * MS, TARGET, S);
        ck_assert_uint_eq(patience_most(&patience, 1, now_ns), 100);
        /* What was before the last interval does not count any more. */
        now_ns = serve(500, 2 * MS, TARGET, now_ns);
        ck_assert_uint_eq(patience_most(&patience, 1, now_ns), 50);
        /* While nothing is served, less and less. */
        ck_assert_uint_lt(patience_most(&patience, 1, now_ns + 1 * S), 50);
}
TEST_END

TEST(a_short_line_is_never_too_long)
{
        uint64_t now_ns;

        be_patient();
        ck_assert_uint_eq(patience_most(&patience, 0, S), PATIENCE_SHORT);
        now_ns = serve(3, S, TARGET, S);
        ck_assert_uint_eq(patience_most(&patience, 1, now_ns), PATIENCE_SHORT);
        ck_assert_uint_eq(patience_most(&patience, 100, now_ns), 100 * PATIENCE_SHORT_PER_PLACE);
}
TEST_END

TEST(how_long_a_line_lasts_is_counted)
{
        uint64_t now_ns;

        be_patient();
        ck_assert_uint_eq(patience_drain_ns(&patience, 10, S), 0);
        now_ns = serve(101, 10 * MS, TARGET, S);
        ck_assert_uint_eq(patience_drain_ns(&patience, 10, now_ns), 100 * MS);
}
TEST_END

/* One instance that runs a call of a second and has done so often, and a line. */
static void begin_with_line(size_t line)
{
        start(1);
        pool.patience.target_ns = TARGET;
        pool.run_ns = S;
        pool.run_count = POOL_RUNS_KNOWN;
        stock(0, S);
        take(0, S, TAKE_RUNNING);
        for (size_t i = 0; i < line; i++)
                take(0, S, TAKE_WAITING);
}

static enum wait_verdict judge(size_t max_instances)
{
        return pool_judge_wait(&pool, max_instances, WAIT_MAX, S);
}

TEST(who_would_be_served_too_late_has_no_hope_where_nothing_can_be_added)
{
        begin_with_line(31); /* the last one's turn is after thirty others */
        ck_assert_int_eq(judge(1), WAIT_ALLOWED);
        take(0, S, TAKE_WAITING);
        ck_assert_int_eq(judge(1), WAIT_HOPELESS);
}
TEST_END

TEST(there_is_hope_before_a_boot_was_thought_of)
{
        begin_with_line(100);
        ck_assert_int_eq(judge(2), WAIT_ALLOWED);
        boot();
        ck_assert_int_eq(judge(1), WAIT_ALLOWED);
}
TEST_END

TEST(there_is_hope_while_little_is_known_of_run_times)
{
        begin_with_line(100);
        pool.run_count = POOL_RUNS_KNOWN - 1;
        ck_assert_int_eq(judge(1), WAIT_ALLOWED);
}
TEST_END

TEST(nobody_is_refused_where_there_is_no_target)
{
        begin_with_line(100);
        pool.patience.target_ns = 0;
        ck_assert_int_eq(judge(1), WAIT_ALLOWED);
}
TEST_END

TEST(the_line_lasts_as_long_as_its_calls_take_where_nothing_was_counted_yet)
{
        begin_with_line(10);
        ck_assert_uint_eq(pool_drain_ns(&pool, S), 10 * S);
        start(1);
        take(0, S, TAKE_WAITING);
        ck_assert_uint_eq(pool_drain_ns(&pool, S), 0);
}
TEST_END

TEST_MAIN("pool shedding", a_line_stands_when_all_have_waited_above_the_target_for_an_interval,
          one_that_waited_less_begins_the_interval_anew,
          a_line_that_sheds_does_so_until_somebody_has_waited_clearly_less,
          where_nobody_is_served_the_first_in_line_tells, nothing_is_over_without_a_target,
          a_line_that_begins_knows_nothing_of_the_last,
          an_instance_more_than_ever_ends_what_was_and_one_for_another_does_not,
          a_line_may_hold_what_is_served_within_the_target, a_short_line_is_never_too_long,
          how_long_a_line_lasts_is_counted,
          who_would_be_served_too_late_has_no_hope_where_nothing_can_be_added,
          there_is_hope_before_a_boot_was_thought_of,
          there_is_hope_while_little_is_known_of_run_times,
          nobody_is_refused_where_there_is_no_target,
          the_line_lasts_as_long_as_its_calls_take_where_nothing_was_counted_yet)
