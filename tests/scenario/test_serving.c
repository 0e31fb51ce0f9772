/* Who is served by what: warm, stolen, cold, ahead, and what becomes of calls when instances hang
 * or die. Boots take 12 ms. */
#include "story.h"

#include "testing.h"

/* 20 ms later: one instance that has shown that calls take `body_ns`, in stock. */
static struct story *story_with_stock(uint64_t body_ns)
{
        struct story *s = story_of_one_function();

        story_call_with(s, &s->functions[0], 0, "first", body_ns, false);
        story_pass(s, 20 * MS);
        ck_assert_uint_eq(s->open_calls, 0);
        buffer_clear(&s->log);
        return s;
}

TEST(a_returned_instance_goes_to_the_longest_waiter_before_the_cold_start_ends)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_pass(s, 20 * MS);
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 5 * MS);
        story_finish(s, "a");
        story_pass(s, 20 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 20] b > waits\n"
                        "[ 20] #2 > boots\n"
                        "[ 20] c > waits\n"
                        "[ 20] #3 > boots\n"
                        "[ 25] a > done\n"
                        "[ 25] b > runs on #1 (stolen)\n"
                        "[ 32] c > runs on #2 (cold)\n"
                        "[ 32] #3 > idle\n");
}
TEST_END

TEST(a_boot_that_nobody_needs_any_more_becomes_stock)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_give_up(s, "a");
        story_pass(s, 12 * MS);
        story_call(s, "b");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] a > failed (abandoned)\n"
                        "[ 12] #1 > idle\n"
                        "[ 12] b > runs on #1 (warm)\n");
}
TEST_END

TEST(waiters_are_served_in_the_order_of_their_arrival_whatever_serves_them)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_call(s, "d");
        story_pass(s, 15 * MS);
        story_finish(s, "b");
        story_pass(s, 12 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[  0] c > waits\n"
                        "[  0] d > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] #3 > boots\n"
                        "[ 12] b > runs on #2 (cold)\n"
                        "[ 12] #4 > boots\n"
                        "[ 15] b > done\n"
                        "[ 15] c > runs on #2 (stolen)\n"
                        "[ 24] d > runs on #3 (cold)\n"
                        "[ 24] #4 > idle\n");
}
TEST_END

TEST(stock_is_last_in_first_out)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 12 * MS);
        story_finish(s, "a");
        story_finish(s, "b");
        story_call(s, "c");
        story_finish(s, "c");
        story_call(s, "d");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #2 (cold)\n"
                        "[ 12] a > done\n"
                        "[ 12] #1 > idle\n"
                        "[ 12] b > done\n"
                        "[ 12] #2 > idle\n"
                        "[ 12] c > runs on #2 (warm)\n"
                        "[ 12] c > done\n"
                        "[ 12] #2 > idle\n"
                        "[ 12] d > runs on #2 (warm)\n");
}
TEST_END

TEST(a_waiting_call_of_another_thread_gets_the_instance_handed_over)
{
        AUTO(story_free) struct story *s = story_new(2, 2, 128 * MIB);
        struct story_function *f = story_add_function(s);
        story_call_with(s, f, 0, "a", STORY_BY_HAND, false);
        story_call_with(s, f, 1, "b", STORY_BY_HAND, false);
        story_pass(s, 12 * MS);
        story_finish(s, "a");
        story_finish(s, "b");
        story_call_with(s, f, 0, "c", STORY_BY_HAND, false);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] a > done\n"
                        "[ 12] b > runs on #1 (stolen, handed from home 0 to 1)\n"
                        "[ 12] b > done\n"
                        "[ 12] #1 > idle\n"
                        "[ 12] c > runs on #1 (warm, handed from home 1 to 0)\n");
}
TEST_END

TEST(quick_calls_are_put_ahead_on_their_own_home_only)
{
        AUTO(story_free) struct story *s = story_new(2, 1, 128 * MIB);
        struct story_function *f = story_add_function(s);
        story_call_with(s, f, 0, "a", 50 * US, false);
        story_pass(s, 13 * MS);
        story_call_with(s, f, 0, "b", 50 * US, false);
        story_call_with(s, f, 0, "c", 50 * US, false);
        story_call_with(s, f, 1, "d", 50 * US, false);
        story_call_with(s, f, 0, "e", 50 * US, false);
        story_pass(s, 1 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12.050] a > done\n"
                        "[ 12.050] #1 > idle\n"
                        "[ 13] b > runs on #1 (warm)\n"
                        "[ 13] c > put ahead into #1\n"
                        "[ 13] d > waits\n"
                        "[ 13] e > waits\n"
                        "[ 13.050] b > done\n"
                        "[ 13.050] c > runs on #1, sent ahead\n"
                        "[ 13.100] c > done\n"
                        "[ 13.100] d > runs on #1 (stolen, handed from home 0 to 1)\n"
                        "[ 13.150] d > done\n"
                        "[ 13.150] e > runs on #1 (stolen, handed from home 1 to 0)\n"
                        "[ 13.200] e > done\n"
                        "[ 13.200] #1 > idle\n");
}
TEST_END

TEST(slow_calls_are_not_put_ahead)
{
        AUTO(story_free) struct story *s = story_with_stock(300 * US);
        s->functions[0].body_ns = 300 * US;
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 1 * MS);
        EXPECT_STORY(s, "[ 20] a > runs on #1 (warm)\n"
                        "[ 20] b > waits\n"
                        "[ 20.300] a > done\n"
                        "[ 20.300] b > runs on #1 (stolen)\n"
                        "[ 20.600] b > done\n"
                        "[ 20.600] #1 > idle\n");
}
TEST_END

TEST(a_call_that_streams_is_alone_with_its_instance)
{
        AUTO(story_free) struct story *s = story_with_stock(50 * US);
        struct story_function *f = &s->functions[0];
        story_call_with(s, f, 0, "a", 50 * US, false);
        story_call_with(s, f, 0, "upload", 100 * MS, true);
        story_call_with(s, f, 0, "b", 50 * US, false);
        story_pass(s, 15 * MS);
        EXPECT_STORY(s, "[ 20] a > runs on #1 (warm)\n"
                        "[ 20] upload > waits\n"
                        "[ 20] b > waits\n"
                        "[ 20.050] a > done\n"
                        "[ 20.050] upload > runs on #1 (stolen)\n"
                        "[ 20.050] #2 > boots\n"
                        "[ 32.050] b > runs on #2 (cold)\n"
                        "[ 32.100] b > done\n"
                        "[ 32.100] #2 > idle\n");
}
TEST_END

TEST(calls_behind_a_slow_one_are_taken_back_and_keep_their_order)
{
        AUTO(story_free) struct story *s = story_with_stock(50 * US);
        struct story_function *f = &s->functions[0];
        f->body_ns = 50 * US;
        story_call_with(s, f, 0, "slow", 100 * MS, false);
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 7 * MS);
        story_call(s, "c");
        story_pass(s, 25 * MS);
        EXPECT_STORY(s, "[ 20] slow > runs on #1 (warm)\n"
                        "[ 20] a > put ahead into #1\n"
                        "[ 20] b > put ahead into #1\n"
                        "[ 26] a > taken back from #1\n"
                        "[ 26] b > taken back from #1\n"
                        "[ 27] c > waits\n"
                        "[ 33] #2 > boots\n"
                        "[ 45] a > runs on #2 (cold)\n"
                        "[ 45] b > put ahead into #2\n"
                        "[ 45] c > put ahead into #2\n"
                        "[ 45.050] a > done\n"
                        "[ 45.050] b > runs on #2, sent ahead\n"
                        "[ 45.100] b > done\n"
                        "[ 45.100] c > runs on #2, sent ahead\n"
                        "[ 45.150] c > done\n"
                        "[ 45.150] #2 > idle\n");
}
TEST_END

TEST(calls_taken_back_take_what_has_come_to_stock_meanwhile)
{
        AUTO(story_free) struct story *s = story_with_stock(20 * US);
        struct story_function *f = &s->functions[0];
        f->min_instances = 2;
        f->body_ns = 20 * US;
        story_pass(s, 15 * MS);
        story_call_with(s, f, 0, "slow", 100 * MS, false);
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 7 * MS);
        EXPECT_STORY(s, "[ 21] #2 > boots\n"
                        "[ 33] #2 > idle\n"
                        "[ 35] slow > runs on #2 (warm)\n"
                        "[ 35] a > put ahead into #2\n"
                        "[ 35] b > put ahead into #2\n"
                        "[ 35] c > runs on #1 (warm)\n"
                        "[ 35.020] c > done\n"
                        "[ 35.020] #1 > idle\n"
                        "[ 41] a > taken back from #2\n"
                        "[ 41] b > taken back from #2\n"
                        "[ 41] a > runs on #1 (stolen)\n"
                        "[ 41] b > put ahead into #1\n"
                        "[ 41.020] a > done\n"
                        "[ 41.020] b > runs on #1, sent ahead\n"
                        "[ 41.040] b > done\n"
                        "[ 41.040] #1 > idle\n");
}
TEST_END

TEST(an_instance_that_got_no_processor_gives_all_its_calls_back)
{
        AUTO(story_free) struct story *s = story_with_stock(50 * US);
        s->functions[0].body_ns = 50 * US;
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_starve(s, "a");
        story_pass(s, 1 * MS);
        EXPECT_STORY(s, "[ 20] a > runs on #1 (warm)\n"
                        "[ 20] b > put ahead into #1\n"
                        "[ 20] c > put ahead into #1\n"
                        "[ 20] a > taken back from #1\n"
                        "[ 20] b > taken back from #1\n"
                        "[ 20] c > taken back from #1\n"
                        "[ 20] a > runs on #1 (stolen)\n"
                        "[ 20] b > put ahead into #1\n"
                        "[ 20] c > put ahead into #1\n"
                        "[ 20.050] a > done\n"
                        "[ 20.050] b > runs on #1, sent ahead\n"
                        "[ 20.100] b > done\n"
                        "[ 20.100] c > runs on #1, sent ahead\n"
                        "[ 20.150] c > done\n"
                        "[ 20.150] #1 > idle\n");
}
TEST_END

TEST(an_instance_that_dies_fails_its_running_call_and_the_calls_ahead_wait_again_in_front)
{
        AUTO(story_free) struct story *s = story_with_stock(200 * US);
        struct story_function *f = &s->functions[0];
        f->body_ns = 200 * US;
        f->max_instances = 1;
        for (const char *name = "a\0b\0c\0d\0e\0f\0g\0"; *name; name += 2)
                story_call(s, name);
        story_die(s, "a");
        story_pass(s, 15 * MS);
        EXPECT_STORY(s, "[ 20] a > runs on #1 (warm)\n"
                        "[ 20] b > put ahead into #1\n"
                        "[ 20] c > put ahead into #1\n"
                        "[ 20] d > put ahead into #1\n"
                        "[ 20] e > put ahead into #1\n"
                        "[ 20] f > waits\n"
                        "[ 20] g > waits\n"
                        "[ 20] #1 > ends (died)\n"
                        "[ 20] a > failed (function.exited)\n"
                        "[ 20] b > taken back from #1\n"
                        "[ 20] c > taken back from #1\n"
                        "[ 20] d > taken back from #1\n"
                        "[ 20] e > taken back from #1\n"
                        "[ 20] #2 > boots\n"
                        "[ 32] b > runs on #2 (cold)\n"
                        "[ 32] c > put ahead into #2\n"
                        "[ 32] d > put ahead into #2\n"
                        "[ 32] e > put ahead into #2\n"
                        "[ 32] f > put ahead into #2\n"
                        "[ 32.200] b > done\n"
                        "[ 32.200] c > runs on #2, sent ahead\n"
                        "[ 32.200] g > put ahead into #2\n"
                        "[ 32.400] c > done\n"
                        "[ 32.400] d > runs on #2, sent ahead\n"
                        "[ 32.600] d > done\n"
                        "[ 32.600] e > runs on #2, sent ahead\n"
                        "[ 32.800] e > done\n"
                        "[ 32.800] f > runs on #2, sent ahead\n"
                        "[ 33] f > done\n"
                        "[ 33] g > runs on #2, sent ahead\n"
                        "[ 33.200] g > done\n"
                        "[ 33.200] #2 > idle\n");
}
TEST_END

TEST(a_single_use_instance_serves_one_call)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].pool.single_use = true;
        s->functions[0].keep_alive_ns = 0;
        story_call(s, "a");
        story_pass(s, 12 * MS);
        story_call(s, "b");
        story_pass(s, 1 * MS);
        story_finish(s, "a");
        story_pass(s, 11 * MS);
        story_finish(s, "b");
        story_pass(s, 1 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > waits\n"
                        "[ 12] #2 > boots\n"
                        "[ 13] a > done\n"
                        "[ 13] #1 > ends (single use)\n"
                        "[ 24] b > runs on #2 (cold)\n"
                        "[ 24] b > done\n"
                        "[ 24] #2 > ends (single use)\n");
}
TEST_END

TEST(a_draining_pool_serves_its_line_and_keeps_nothing)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].max_instances = 2;
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 15 * MS);
        story_call(s, "c");
        story_finish(s, "a");
        story_call(s, "d");
        story_pass(s, 5 * MS);
        story_drain(s, &s->functions[0]);
        story_finish(s, "b");
        story_finish(s, "c");
        story_finish(s, "d");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #2 (cold)\n"
                        "[ 15] c > waits\n"
                        "[ 15] a > done\n"
                        "[ 15] c > runs on #1 (stolen)\n"
                        "[ 15] d > waits\n"
                        "[ 20] b > done\n"
                        "[ 20] d > runs on #2 (stolen)\n"
                        "[ 20] c > done\n"
                        "[ 20] #1 > ends (draining)\n"
                        "[ 20] d > done\n"
                        "[ 20] #2 > ends (draining)\n");
}
TEST_END

TEST(stock_ends_at_once_when_its_pool_is_drained)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 6 * MS);
        story_give_up(s, "b");
        story_pass(s, 6 * MS);
        story_call(s, "c");
        story_pass(s, 1 * MS);
        story_finish(s, "a");
        story_drain(s, &s->functions[0]);
        story_finish(s, "c");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[  6] b > failed (abandoned)\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] #2 > idle\n"
                        "[ 12] c > runs on #2 (warm)\n"
                        "[ 13] a > done\n"
                        "[ 13] #1 > idle\n"
                        "[ 13] #1 > ends (draining)\n"
                        "[ 13] c > done\n"
                        "[ 13] #2 > ends (draining)\n");
}
TEST_END

TEST(with_stealing_off_a_call_waits_for_its_own_boot)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].pool.stealing = false;
        story_call(s, "a");
        story_pass(s, 20 * MS);
        story_call(s, "b");
        story_finish(s, "a");
        story_pass(s, 12 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 20] b > waits\n"
                        "[ 20] #2 > boots\n"
                        "[ 20] a > done\n"
                        "[ 20] #1 > idle\n"
                        "[ 32] b > runs on #2 (cold)\n");
}
TEST_END

TEST_MAIN("serving", a_returned_instance_goes_to_the_longest_waiter_before_the_cold_start_ends,
          a_boot_that_nobody_needs_any_more_becomes_stock,
          waiters_are_served_in_the_order_of_their_arrival_whatever_serves_them,
          stock_is_last_in_first_out,
          a_waiting_call_of_another_thread_gets_the_instance_handed_over,
          quick_calls_are_put_ahead_on_their_own_home_only, slow_calls_are_not_put_ahead,
          a_call_that_streams_is_alone_with_its_instance,
          calls_behind_a_slow_one_are_taken_back_and_keep_their_order,
          calls_taken_back_take_what_has_come_to_stock_meanwhile,
          an_instance_that_got_no_processor_gives_all_its_calls_back,
          an_instance_that_dies_fails_its_running_call_and_the_calls_ahead_wait_again_in_front,
          a_single_use_instance_serves_one_call, a_draining_pool_serves_its_line_and_keeps_nothing,
          stock_ends_at_once_when_its_pool_is_drained,
          with_stealing_off_a_call_waits_for_its_own_boot)
