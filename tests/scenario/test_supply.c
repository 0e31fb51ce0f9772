/* Where instances come from and where they go: boots, minimum and maximum, freezing, expiry, memory
 * and functions that do not load. Boots take 12 ms, two at once. */
#include "story.h"

#include "testing.h"

TEST(a_boot_that_is_not_needed_any_more_is_not_asked_for)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].body_ns = 1 * MS;
        for (const char *name = "a\0b\0c\0d\0e\0f\0"; *name; name += 2)
                story_call(s, name);
        story_pass(s, 30 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[  0] c > waits\n"
                        "[  0] d > waits\n"
                        "[  0] e > waits\n"
                        "[  0] f > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] #3 > boots\n"
                        "[ 12] b > runs on #2 (cold)\n"
                        "[ 12] #4 > boots\n"
                        "[ 13] a > done\n"
                        "[ 13] c > runs on #1 (stolen)\n"
                        "[ 13] b > done\n"
                        "[ 13] d > runs on #2 (stolen)\n"
                        "[ 14] c > done\n"
                        "[ 14] e > runs on #1 (stolen)\n"
                        "[ 14] d > done\n"
                        "[ 14] f > runs on #2 (stolen)\n"
                        "[ 15] e > done\n"
                        "[ 15] #1 > idle\n"
                        "[ 15] f > done\n"
                        "[ 15] #2 > idle\n"
                        "[ 24] #3 > idle\n"
                        "[ 24] #4 > idle\n");
}
TEST_END

TEST(idle_stock_is_frozen_after_its_grace_the_oldest_first_and_thawed_when_taken)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        story_call(s, "a");
        story_call(s, "b");
        story_pass(s, 17 * MS);
        story_finish(s, "b");
        story_pass(s, 8 * MS);
        story_finish(s, "a");
        story_pass(s, 130 * MS);
        story_call(s, "c");
        story_call(s, "d");
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] #2 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 12] b > runs on #2 (cold)\n"
                        "[ 17] b > done\n"
                        "[ 17] #2 > idle\n"
                        "[ 25] a > done\n"
                        "[ 25] #1 > idle\n"
                        "[117] #2 > frozen\n"
                        "[125] #1 > frozen\n"
                        "[155] c > runs on #1 (thawed)\n"
                        "[155] d > runs on #2 (thawed)\n");
}
TEST_END

TEST(stock_expires_after_its_keep_alive_down_to_the_minimum)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        struct story_function *f = &s->functions[0];
        f->min_instances = 1;
        f->keep_alive_ns = 50 * MS;
        story_pass(s, 12 * MS);
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 12 * MS);
        story_finish(s, "b");
        story_finish(s, "a");
        story_finish(s, "c");
        story_pass(s, 200 * MS);
        EXPECT_STORY(s, "[  0] #1 > boots\n"
                        "[ 12] #1 > idle\n"
                        "[ 12] a > runs on #1 (warm)\n"
                        "[ 12] b > waits\n"
                        "[ 12] #2 > boots\n"
                        "[ 12] c > waits\n"
                        "[ 12] #3 > boots\n"
                        "[ 24] b > runs on #2 (cold)\n"
                        "[ 24] c > runs on #3 (cold)\n"
                        "[ 24] b > done\n"
                        "[ 24] #2 > idle\n"
                        "[ 24] a > done\n"
                        "[ 24] #1 > idle\n"
                        "[ 24] c > done\n"
                        "[ 24] #3 > idle\n"
                        "[ 74] #2 > ends (expired)\n"
                        "[ 74] #1 > ends (expired)\n"
                        "[124] #3 > frozen\n");
}
TEST_END

TEST(no_more_than_the_maximum_are_made_however_many_wait)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].max_instances = 1;
        story_call(s, "a");
        story_call(s, "b");
        story_call(s, "c");
        story_pass(s, 100 * MS);
        story_finish(s, "a");
        story_pass(s, 100 * MS);
        story_die(s, "b");
        story_pass(s, 12 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] c > waits\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[100] a > done\n"
                        "[100] b > runs on #1 (stolen)\n"
                        "[200] #1 > ends (died)\n"
                        "[200] b > failed (function.exited)\n"
                        "[200] #2 > boots\n"
                        "[212] c > runs on #2 (cold)\n");
}
TEST_END

TEST(the_minimum_is_kept_although_instances_die)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].min_instances = 2;
        story_pass(s, 12 * MS);
        story_call(s, "a");
        story_die(s, "a");
        story_pass(s, 12 * MS);
        EXPECT_STORY(s, "[  0] #1 > boots\n"
                        "[  0] #2 > boots\n"
                        "[ 12] #1 > idle\n"
                        "[ 12] #2 > idle\n"
                        "[ 12] a > runs on #2 (warm)\n"
                        "[ 12] #2 > ends (died)\n"
                        "[ 12] a > failed (function.exited)\n"
                        "[ 12] #3 > boots\n"
                        "[ 24] #3 > idle\n");
}
TEST_END

TEST(a_function_in_need_gets_the_memory_of_the_stock_that_was_idle_longest)
{
        AUTO(story_free) struct story *s = story_new(1, 2, 256 * MIB);
        struct story_function *f = story_add_function(s), *g = story_add_function(s);
        story_call_with(s, f, 0, "f1", STORY_BY_HAND, false);
        story_call_with(s, f, 0, "f2", STORY_BY_HAND, false);
        story_pass(s, 12 * MS);
        story_finish(s, "f2");
        story_pass(s, 5 * MS);
        story_finish(s, "f1");
        story_call_with(s, g, 0, "g1", STORY_BY_HAND, false);
        story_pass(s, 15 * MS);
        EXPECT_STORY(s, "[  0] f1 > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] f2 > waits\n"
                        "[  0] #2 > boots\n"
                        "[ 12] f1 > runs on #1 (cold)\n"
                        "[ 12] f2 > runs on #2 (cold)\n"
                        "[ 12] f2 > done\n"
                        "[ 12] #2 > idle\n"
                        "[ 17] f1 > done\n"
                        "[ 17] #1 > idle\n"
                        "[ 17] g1 > waits\n"
                        "[ 17] #2 > ends (evicted)\n"
                        "[ 18] #3 > boots\n"
                        "[ 30] g1 > runs on #3 (cold)\n");
}
TEST_END

TEST(where_all_memory_is_at_work_a_call_waits_until_some_is_idle)
{
        AUTO(story_free) struct story *s = story_new(1, 2, 128 * MIB);
        struct story_function *f = story_add_function(s), *g = story_add_function(s);
        story_call_with(s, f, 0, "f1", STORY_BY_HAND, false);
        story_pass(s, 12 * MS);
        story_call_with(s, g, 0, "g1", STORY_BY_HAND, false);
        story_pass(s, 50 * MS);
        story_finish(s, "f1");
        story_pass(s, 15 * MS);
        EXPECT_STORY(s, "[  0] f1 > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] f1 > runs on #1 (cold)\n"
                        "[ 12] g1 > waits\n"
                        "[ 62] f1 > done\n"
                        "[ 62] #1 > idle\n"
                        "[ 62] #1 > ends (evicted)\n"
                        "[ 63] #2 > boots\n"
                        "[ 75] g1 > runs on #2 (cold)\n");
}
TEST_END

TEST(two_functions_in_need_take_turns_with_the_boots)
{
        AUTO(story_free) struct story *s = story_new(1, 1, 1024 * MIB);
        struct story_function *f = story_add_function(s), *g = story_add_function(s);
        story_call_with(s, f, 0, "f1", STORY_BY_HAND, false);
        story_call_with(s, f, 0, "f2", STORY_BY_HAND, false);
        story_call_with(s, g, 0, "g1", STORY_BY_HAND, false);
        story_pass(s, 40 * MS);
        EXPECT_STORY(s, "[  0] f1 > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] f2 > waits\n"
                        "[  0] g1 > waits\n"
                        "[ 12] f1 > runs on #1 (cold)\n"
                        "[ 12] #2 > boots\n"
                        "[ 24] g1 > runs on #2 (cold)\n"
                        "[ 24] #3 > boots\n"
                        "[ 36] f2 > runs on #3 (cold)\n");
}
TEST_END

TEST(a_function_that_does_not_load_is_tried_after_ever_longer_pauses)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        s->functions[0].failing_boots = 4;
        for (const char *name = "a\0b\0c\0d\0e\0"; *name; name += 2) {
                story_call(s, name);
                s->functions[0].max_instances = 1;
        }
        story_pass(s, 3 * S);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[  0] b > waits\n"
                        "[  0] c > waits\n"
                        "[  0] d > waits\n"
                        "[  0] e > waits\n"
                        "[ 12] #1 > boot failed\n"
                        "[ 12] a > failed (function.init)\n"
                        "[112] #2 > boots\n"
                        "[124] #2 > boot failed\n"
                        "[124] b > failed (function.init)\n"
                        "[324] #3 > boots\n"
                        "[336] #3 > boot failed\n"
                        "[336] c > failed (function.init)\n"
                        "[736] #4 > boots\n"
                        "[748] #4 > boot failed\n"
                        "[748] d > failed (function.init)\n"
                        "[1548] #5 > boots\n"
                        "[1560] e > runs on #5 (cold)\n");
}
TEST_END

TEST(a_line_that_stands_still_makes_boots)
{
        AUTO(story_free) struct story *s = story_of_one_function();
        struct story_function *f = &s->functions[0];
        f->body_ns = 1 * MS;
        story_call(s, "a");
        story_pass(s, 20 * MS);
        story_call_with(s, f, 0, "hangs", STORY_BY_HAND, false);
        story_call(s, "b");
        story_pass(s, 30 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 13] a > done\n"
                        "[ 13] #1 > idle\n"
                        "[ 20] hangs > runs on #1 (warm)\n"
                        "[ 20] b > waits\n"
                        "[ 33] #2 > boots\n"
                        "[ 45] b > runs on #2 (cold)\n"
                        "[ 46] b > done\n"
                        "[ 46] #2 > idle\n");
}
TEST_END

TEST_MAIN("supply", a_boot_that_is_not_needed_any_more_is_not_asked_for,
          idle_stock_is_frozen_after_its_grace_the_oldest_first_and_thawed_when_taken,
          stock_expires_after_its_keep_alive_down_to_the_minimum,
          no_more_than_the_maximum_are_made_however_many_wait,
          the_minimum_is_kept_although_instances_die,
          a_function_in_need_gets_the_memory_of_the_stock_that_was_idle_longest,
          where_all_memory_is_at_work_a_call_waits_until_some_is_idle,
          two_functions_in_need_take_turns_with_the_boots,
          a_function_that_does_not_load_is_tried_after_ever_longer_pauses,
          a_line_that_stands_still_makes_boots)
