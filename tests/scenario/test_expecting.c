/* Functions whose keep-alive is learned, and who is expected when. A bin of idle time, in life a
 * minute, is 100 ms here; boots take 12 ms. */
#include "story.h"

#include "testing.h"

#define BIN (100 * MS)

/* Calls of 1 ms each, the next one `bins` bins after the last, and nothing said about them. */
static void call_every(struct story *s, struct story_function *function, uint64_t bins, int count)
{
        bool quiet = s->quiet;

        s->quiet = true;
        for (int i = 0; i < count; i++) {
                (void)story_call_with(s, function, 0, "t", 1 * MS, false);
                story_pass(s, bins * BIN);
        }
        s->quiet = quiet;
}

/* Nothing is frozen, so that the log is short. */
static struct story *story_of_learning(void)
{
        struct story *s = story_of_one_function();

        story_learn(&s->functions[0], BIN);
        s->functions[0].grace_ns = 1000 * S;
        s->functions[0].body_ns = 1 * MS;
        return s;
}

TEST(what_is_called_for_the_first_time_is_kept_for_eleven_bins)
{
        AUTO(story_free) struct story *s = story_of_learning();
        story_call(s, "a");
        story_pass(s, 10000 * MS);
        EXPECT_STORY(s, "[  0] a > waits\n"
                        "[  0] #1 > boots\n"
                        "[ 12] a > runs on #1 (cold)\n"
                        "[ 13] a > done\n"
                        "[ 13] #1 > idle\n"
                        "[1113] #1 > ends (expired)\n");
}
TEST_END

TEST(a_timer_finds_an_instance_that_was_booted_shortly_before)
{
        AUTO(story_free) struct story *s = story_of_learning();
        call_every(s, &s->functions[0], 40, 3);
        story_call(s, "a");
        story_pass(s, 40 * BIN);
        story_call(s, "b");
        story_pass(s, 10 * BIN);
        EXPECT_STORY(s, "[12000] a > runs on #4 (warm)\n"
                        "[12001] a > done\n"
                        "[12001] #4 > idle\n"
                        "[12101] #4 > ends (expired)\n"
                        "[15801] #5 > boots ahead\n"
                        "[15813] #5 > idle\n"
                        "[16000] b > runs on #5 (warm)\n"
                        "[16001] b > done\n"
                        "[16001] #5 > idle\n"
                        "[16101] #5 > ends (expired)\n");
}
TEST_END

TEST(when_the_timer_stops_one_more_is_booted_in_vain_and_then_no_more)
{
        AUTO(story_free) struct story *s = story_of_learning();
        call_every(s, &s->functions[0], 40, 10);
        story_call(s, "a");
        story_pass(s, 1000 * BIN);
        EXPECT_STORY(s, "[40000] a > runs on #11 (warm)\n"
                        "[40001] a > done\n"
                        "[40001] #11 > idle\n"
                        "[40001] #11 > ends (expired)\n"
                        "[43801] #12 > boots ahead\n"
                        "[43813] #12 > idle\n"
                        "[44401] #12 > ends (expired)\n");
}
TEST_END

TEST(nobody_is_evicted_for_an_instance_that_is_only_expected)
{
        AUTO(story_free) struct story *s = story_new(1, 2, 128 * MIB);
        struct story_function *timer = story_add_function(s), *other = story_add_function(s);
        story_learn(timer, BIN);
        other->body_ns = 1 * MS;
        call_every(s, timer, 40, 3);
        (void)story_call_with(s, timer, 0, "t", 1 * MS, false);
        story_pass(s, 20 * BIN);
        (void)story_call_with(s, other, 0, "o", 1 * MS, false);
        story_pass(s, 20 * BIN);
        (void)story_call_with(s, timer, 0, "u", 1 * MS, false);
        story_pass(s, 20 * MS);
        EXPECT_STORY(s, "[12000] t > runs on #4 (thawed)\n"
                        "[12001] t > done\n"
                        "[12001] #4 > idle\n"
                        "[12101] #4 > frozen\n"
                        "[12101] #4 > ends (expired)\n"
                        "[14000] o > waits\n"
                        "[14000] #5 > boots\n"
                        "[14012] o > runs on #5 (cold)\n"
                        "[14013] o > done\n"
                        "[14013] #5 > idle\n"
                        "[14113] #5 > frozen\n"
                        "[16000] u > waits\n"
                        "[16000] #5 > ends (evicted)\n"
                        "[16001] #6 > boots\n"
                        "[16013] u > runs on #6 (cold)\n"
                        "[16014] u > done\n"
                        "[16014] #6 > idle\n");
}
TEST_END

TEST(a_function_that_does_not_load_any_more_is_not_tried_ahead_again)
{
        AUTO(story_free) struct story *s = story_of_learning();
        call_every(s, &s->functions[0], 40, 3);
        story_call(s, "a");
        s->functions[0].failing_boots = 10;
        story_pass(s, 45 * BIN);
        EXPECT_STORY(s, "[12000] a > runs on #4 (warm)\n"
                        "[12001] a > done\n"
                        "[12001] #4 > idle\n"
                        "[12101] #4 > ends (expired)\n"
                        "[15801] #5 > boots ahead\n"
                        "[15813] #5 > boot failed\n");
}
TEST_END

TEST(a_crowd_that_comes_back_finds_as_many_as_it_was)
{
        AUTO(story_free) struct story *s = story_of_learning();
        for (int i = 0; i < 4; i++) {
                s->quiet = i < 3;
                for (const char *name = "a\0b\0c\0"; *name; name += 2)
                        (void)story_call_with(s, &s->functions[0], 0, name, 30 * MS, false);
                story_pass(s, 40 * BIN);
        }
        EXPECT_STORY(s, "[12000] a > runs on #12 (warm)\n"
                        "[12000] b > runs on #11 (warm)\n"
                        "[12000] c > runs on #10 (warm)\n"
                        "[12030] a > done\n"
                        "[12030] #12 > idle\n"
                        "[12030] b > done\n"
                        "[12030] #11 > idle\n"
                        "[12030] c > done\n"
                        "[12030] #10 > idle\n"
                        "[12030] #12 > ends (expired)\n"
                        "[12030] #11 > ends (expired)\n"
                        "[12030] #10 > ends (expired)\n"
                        "[15830] #13 > boots ahead\n"
                        "[15830] #14 > boots ahead\n"
                        "[15842] #13 > idle\n"
                        "[15842] #15 > boots ahead\n"
                        "[15842] #14 > idle\n"
                        "[15854] #15 > idle\n");
}
TEST_END

TEST_MAIN("expecting", what_is_called_for_the_first_time_is_kept_for_eleven_bins,
          a_timer_finds_an_instance_that_was_booted_shortly_before,
          when_the_timer_stops_one_more_is_booted_in_vain_and_then_no_more,
          nobody_is_evicted_for_an_instance_that_is_only_expected,
          a_function_that_does_not_load_any_more_is_not_tried_ahead_again,
          a_crowd_that_comes_back_finds_as_many_as_it_was)
