/* Instances that run several calls at once: who shares what, and what becomes of the others when one
 * goes wrong. Boots take 12 ms. */
#include "story.h"

#include "testing.h"

static struct story *story_of_places(unsigned home_count, unsigned capacity, size_t max_instances)
{
        struct story *s = story_new(home_count, 2, 1000 * 128 * MIB);
        struct story_function *function = story_add_function(s);

        function->pool.capacity = capacity;
        function->max_instances = max_instances;
        return s;
}

TEST(a_burst_shares_the_instances_that_are_made_for_it)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1000);
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 12 * MS);
        story_finish(s, "a");
        story_call(s, "d");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] c > waits\n"
                        "[  0] #2 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #1 (cold)\n"
                        "[ 12] c > runs on #2 (cold)\n"
                        "[ 12] a > done\n"
                        "[ 12] d > runs on #1 (warm)\n");
}
TEST_END

TEST(a_waiter_of_another_thread_gets_the_next_place_of_an_instance_that_is_never_empty)
{
        AUTO(story_free) struct story *s = story_of_places(2, 2, 1);
        struct story_function *f = &s->functions[0];
        story_call_with(s, f, 0, "stream", STORY_BY_HAND, true);
        story_pass(s, 12 * MS);
        story_call_with(s, f, 0, "a", 10 * MS, false);
        story_call_with(s, f, 1, "b", 10 * MS, false);
        story_call_with(s, f, 0, "c", 10 * MS, false);
        story_pass(s, 30 * MS);
        EXPECT_STORY(s, "[  0] stream > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] stream > runs on #1 (cold)\n"
                        "[ 12] a > runs on #1 (warm)\n"
                        "[ 12] b > waits\n"
                        "[ 12] c > waits\n"
                        "[ 22] a > done\n"
                        "[ 22] b > runs on #1 (stolen)\n"
                        "[ 32] b > done\n"
                        "[ 32] c > runs on #1 (stolen)\n"
                        "[ 42] c > done\n");
}
TEST_END

TEST(a_death_fails_every_call_of_the_instance_and_the_line_waits_for_another)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1);
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 12 * MS);
        story_call(s, "c");
        story_die(s, "b");
        story_pass(s, 13 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #1 (cold)\n"
                        "[ 12] c > waits\n"
                        "[ 12] #1 > ends (died)\n"
                        "[ 12] a > failed (function.exited)\n"
                        "[ 12] b > failed (function.exited)\n"
                        "[ 12] #2 > boots\n"
                        "[ 24] c > runs on #2 (cold)\n");
}
TEST_END

TEST(a_time_out_puts_the_instance_in_doubt_until_another_of_its_calls_is_answered)
{
        AUTO(story_free) struct story *s = story_of_places(1, 3, 1);
        story_call(s, "slow");
        story_call(s, "other");
        story_pass(s, 12 * MS);
        story_time_out(s, "slow");
        story_call(s, "a");
        story_pass(s, 8 * MS);
        story_finish(s, "other");
        EXPECT_STORY(s, "[  0] slow > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] other > waits\n"
                        "[ 12] slow > runs on #1 (cold)\n"
                        "[ 12] other > runs on #1 (cold)\n"
                        "[ 12] slow > failed (function.timeout)\n"
                        "[ 12] a > waits\n"
                        "[ 20] other > done\n"
                        "[ 20] a > runs on #1 (stolen)\n");
}
TEST_END

TEST(an_instance_whose_calls_all_time_out_is_replaced)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1);
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 12 * MS);
        story_time_out(s, "a");
        story_call(s, "c");
        story_time_out(s, "b");
        story_pass(s, 13 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #1 (cold)\n"
                        "[ 12] a > failed (function.timeout)\n"
                        "[ 12] c > waits\n"
                        "[ 12] b > failed (function.timeout)\n"
                        "[ 12] #1 > ends (in doubt)\n"
                        "[ 12] #2 > boots\n"
                        "[ 24] c > runs on #2 (cold)\n");
}
TEST_END

TEST(a_client_that_leaves_in_the_middle_costs_nobody_else_anything)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1);
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 12 * MS);
        story_break_off(s, "a");
        story_break_off(s, "b");
        story_break_off(s, "c");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] c > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #1 (cold)\n"
                        "[ 12] a > failed (abandoned)\n"
                        "[ 12] c > runs on #1 (stolen)\n"
                        "[ 12] b > failed (abandoned)\n"
                        "[ 12] c > failed (abandoned)\n"
                        "[ 12] #1 > idle\n");
}
TEST_END

TEST(an_instance_freezes_and_expires_after_its_last_call_not_its_first)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1);
        s->functions[0].keep_alive_ns = S;
        story_call_with(s, &s->functions[0], 0, "short", 8 * MS, false);
        story_call_with(s, &s->functions[0], 0, "long", 288 * MS, false);
        story_pass(s, 2 * S);
        EXPECT_STORY(s, "[  0] short > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] long > waits\n"
                        "[ 12] short > runs on #1 (cold)\n"
                        "[ 12] long > runs on #1 (cold)\n"
                        "[ 20] short > done\n"
                        "[300] long > done\n"
                        "[300] #1 > idle\n"
                        "[400] #1 > frozen\n"
                        "[1300] #1 > ends (expired)\n");
}
TEST_END

TEST(a_draining_instance_serves_the_line_and_ends_when_it_is_empty)
{
        AUTO(story_free) struct story *s = story_of_places(1, 2, 1);
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 12 * MS);
        story_drain(s, &s->functions[0]);
        story_finish(s, "a");
        story_finish(s, "b");
        story_finish(s, "c");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] c > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #1 (cold)\n"
                        "[ 12] a > done\n"
                        "[ 12] c > runs on #1 (stolen)\n"
                        "[ 12] b > done\n"
                        "[ 12] c > done\n"
                        "[ 12] #1 > ends (draining)\n");
}
TEST_END

TEST_MAIN("sharing", a_burst_shares_the_instances_that_are_made_for_it,
          a_waiter_of_another_thread_gets_the_next_place_of_an_instance_that_is_never_empty,
          a_death_fails_every_call_of_the_instance_and_the_line_waits_for_another,
          a_time_out_puts_the_instance_in_doubt_until_another_of_its_calls_is_answered,
          an_instance_whose_calls_all_time_out_is_replaced,
          a_client_that_leaves_in_the_middle_costs_nobody_else_anything,
          an_instance_freezes_and_expires_after_its_last_call_not_its_first,
          a_draining_instance_serves_the_line_and_ends_when_it_is_empty)
