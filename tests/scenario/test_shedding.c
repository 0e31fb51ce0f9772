/* Who is let wait, and who is told at once: bursts, lines that stand, and the time after. Twenty
 * instances of 20 ms answer a thousand calls a second; what comes beyond that must go. */
#include "story.h"

#include "testing.h"

#include <string.h>

#define TARGET (250 * MS)
#define SECONDS_MAX 120

/* What became of the calls that came in one second. */
struct tally {
        size_t served, refused, failed;
        uint64_t waited_max_ns;
};

struct record {
        struct tally by_second[SECONDS_MAX];
        size_t ended_in[SECONDS_MAX]; /* answers by the second in which they were given */
        bool repeats;                 /* who was answered asks again */
};

static struct record record;

static void keep_record(struct story *s, struct story_call *call)
{
        struct tally *tally = &record.by_second[call->arrived_ns / S];
        uint64_t waited_ns = call->began_ns - call->arrived_ns;

        ck_assert_uint_lt(s->now_ns / S, SECONDS_MAX);
        if (call->outcome == OUTCOME_SUCCEEDED) {
                tally->served++;
                record.ended_in[call->ended_ns / S]++;
                if (waited_ns > tally->waited_max_ns)
                        tally->waited_max_ns = waited_ns;
        } else if (call->outcome == OUTCOME_THROTTLED) {
                tally->refused++;
        } else {
                tally->failed++;
        }
        if (record.repeats && call->outcome == OUTCOME_SUCCEEDED)
                story_call(s, "");
}

/* Of the calls that came from second `from` on and before `until`. */
static struct tally tally_of(size_t from, size_t until)
{
        struct tally sum = {0};

        for (size_t i = from; i < until; i++) {
                const struct tally *tally = &record.by_second[i];
                sum.served += tally->served;
                sum.refused += tally->refused;
                sum.failed += tally->failed;
                if (tally->waited_max_ns > sum.waited_max_ns)
                        sum.waited_max_ns = tally->waited_max_ns;
        }
        return sum;
}

static size_t answers_in(size_t from, size_t until)
{
        size_t answers = 0;

        for (size_t i = from; i < until; i++)
                answers += record.ended_in[i];
        return answers;
}

static struct story_function *function_of(struct story *s)
{
        return &s->functions[0];
}

/* At most `max` instances, none there yet. */
static struct story *story_with(size_t max, uint64_t body_ns)
{
        struct story *s = story_of_one_function();
        struct story_function *function = function_of(s);

        function->max_instances = max;
        function->body_ns = body_ns;
        function->pool.patience.target_ns = TARGET;
        s->quiet = s->unchecked = true;
        s->on_end = keep_record;
        record = (struct record){0};
        return s;
}

/* All of them there, and warm. */
static struct story *story_of_twenty(void)
{
        struct story *s = story_with(20, 20 * MS);

        function_of(s)->min_instances = 20;
        story_pass(s, 1 * S);
        return s;
}

static void call_at_rate(struct story *s, unsigned rate, unsigned seconds)
{
        for (unsigned i = 0; i < rate * seconds; i++) {
                story_call(s, "");
                story_pass(s, S / rate);
        }
}

static void call_at_once(struct story *s, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                story_call(s, "");
}

static void end(struct story *s)
{
        record.repeats = false;
        ck_assert(story_settle(s, 60 * S));
        ck_assert_msg(!s->fault, "%s", s->fault);
        story_free(&s);
}

#define EXPECT_NONE_REFUSED() ck_assert_uint_eq(tally_of(0, SECONDS_MAX).refused, 0)

TEST(a_burst_is_served_whole_however_long_its_line)
{
        struct story *s = story_of_twenty();

        call_at_once(s, 2000);
        end(s);
        EXPECT_NONE_REFUSED();
        ck_assert_uint_eq(tally_of(0, SECONDS_MAX).served, 2000);
}
TEST_END

TEST(bursts_that_come_again_and_again_are_served_whole_where_they_end_between)
{
        struct story *s = story_of_twenty();

        for (int i = 0; i < 20; i++) {
                call_at_once(s, 900);
                story_pass(s, 1 * S);
        }
        end(s);
        EXPECT_NONE_REFUSED();
}
TEST_END

TEST(twice_of_what_can_be_served_costs_nothing_of_that_and_those_let_in_wait_for_the_target)
{
        struct story *s = story_of_twenty();
        struct tally late;

        call_at_rate(s, 2000, 20);
        end(s);
        ck_assert_uint_ge(answers_in(2, 20), 18 * 990);
        /* An interval passes until the line is known to stand, and it must become shorter. */
        ck_assert_uint_le(tally_of(1, 5).waited_max_ns, 2 * S);
        late = tally_of(5, 21);
        ck_assert_uint_le(late.waited_max_ns, TARGET * 11 / 10);
        ck_assert_uint_ge(late.refused, 15 * 990);
}
TEST_END

TEST(without_a_target_everybody_waits_in_a_line_that_only_stands)
{
        struct story *s = story_of_twenty();

        function_of(s)->pool.patience.target_ns = 0;
        call_at_rate(s, 2000, 20);
        end(s);
        EXPECT_NONE_REFUSED();
        ck_assert_uint_ge(tally_of(20, 21).waited_max_ns, 19 * S);
}
TEST_END

TEST(a_second_after_the_blast_calls_are_served_at_once)
{
        struct story *s = story_of_twenty();

        call_at_rate(s, 500, 2);
        call_at_rate(s, 2000, 10);
        call_at_rate(s, 500, 5);
        end(s);
        ck_assert_uint_eq(tally_of(14, 19).refused, 0);
        ck_assert_uint_eq(tally_of(14, 19).waited_max_ns, 0);
}
TEST_END

TEST(a_little_too_much_is_shed_a_little)
{
        struct story *s = story_of_twenty();
        struct tally late;

        call_at_rate(s, 1050, 60);
        end(s);
        late = tally_of(30, 60);
        ck_assert_uint_ge(answers_in(30, 60), 30 * 990);
        ck_assert_uint_le(late.refused, late.served / 10);
        ck_assert_uint_le(late.waited_max_ns, 2 * TARGET);
}
TEST_END

TEST(places_count_where_instances_run_several_calls)
{
        struct story *s = story_with(5, 20 * MS);
        struct tally late;

        function_of(s)->pool.capacity = 4;
        function_of(s)->min_instances = 5;
        story_pass(s, 1 * S);
        call_at_rate(s, 2000, 20);
        end(s);
        ck_assert_uint_ge(answers_in(2, 20), 18 * 990);
        late = tally_of(5, 21);
        ck_assert_uint_le(late.waited_max_ns, TARGET * 11 / 10);
}
TEST_END

TEST(a_machine_that_is_full_sheds_like_a_function_at_its_maximum)
{
        struct story *s = story_of_twenty();
        struct tally late;

        function_of(s)->max_instances = 1000;
        s->provisioner.memory_budget_bytes = 20 * function_of(s)->memory_bytes;
        call_at_rate(s, 2000, 20);
        end(s);
        ck_assert_uint_ge(answers_in(2, 20), 18 * 990);
        late = tally_of(5, 21);
        ck_assert_uint_le(late.waited_max_ns, TARGET * 11 / 10);
}
TEST_END

TEST(five_hundred_calls_at_once_to_a_function_without_instances_lose_nobody)
{
        struct story *s = story_with(1000, 20 * MS);

        call_at_once(s, 500);
        end(s);
        EXPECT_NONE_REFUSED();
        ck_assert_uint_eq(tally_of(0, 1).served, 500);
}
TEST_END

TEST(a_function_that_boots_slowly_refuses_none_of_its_first_callers)
{
        struct story *s = story_with(2, 5 * MS);

        function_of(s)->boot_ns = 10 * S;
        call_at_rate(s, 30,
                     20); /* 300 wait when it is up, and it needs most of a second for them */
        end(s);
        EXPECT_NONE_REFUSED();
}
TEST_END

TEST(callers_during_a_scale_up_are_served_by_it)
{
        struct story *s = story_with(1000, 100 * MS);

        function_of(s)->boot_ns = 50 * MS;
        call_at_rate(s, 1000, 10);
        end(s);
        EXPECT_NONE_REFUSED();
        ck_assert_uint_le(tally_of(8, 10).waited_max_ns, TARGET);
}
TEST_END

TEST(twenty_clients_of_one_instance_are_served_one_after_the_other_for_good)
{
        struct story *s = story_with(1, 1 * S);

        call_at_once(s, 20);
        record.repeats = true;
        story_pass(s, 60 * S);
        end(s);
        EXPECT_NONE_REFUSED();
        ck_assert_uint_le(tally_of(0, SECONDS_MAX).waited_max_ns, 20 * S);
}
TEST_END

TEST(five_thousand_clients_of_a_quick_function_are_served)
{
        struct story *s = story_with(1, 100 * US);

        call_at_once(s, 5000);
        record.repeats = true;
        story_pass(s, 10 * S);
        end(s);
        EXPECT_NONE_REFUSED();
}
TEST_END

TEST(who_would_wait_for_too_long_is_told_at_once)
{
        struct story *s = story_with(1, 1 * S);

        function_of(s)->wait_max_ns = 30500 * MS;
        for (int i = 0; i < POOL_RUNS_KNOWN; i++) {
                story_call(s, "");
                ck_assert(story_settle(s, 5 * S));
        }
        call_at_once(s, 50);
        ck_assert_uint_eq(s->open_calls, 1 + 31); /* one runs, and the last follows 30 others */
        end(s);
        ck_assert_uint_eq(tally_of(0, SECONDS_MAX).refused, 18);
        ck_assert_uint_le(tally_of(0, SECONDS_MAX).waited_max_ns, 31 * S);
}
TEST_END

TEST(nobody_is_told_so_while_more_instances_may_be_made)
{
        struct story *s = story_with(1, 1 * S);

        for (int i = 0; i < POOL_RUNS_KNOWN; i++) {
                story_call(s, "");
                ck_assert(story_settle(s, 5 * S));
        }
        function_of(s)->max_instances = 10;
        call_at_once(s, 50);
        end(s);
        EXPECT_NONE_REFUSED();
}
TEST_END

TEST(behind_calls_that_hang_a_few_may_wait_and_no_more)
{
        struct story *s = story_with(2, STORY_BY_HAND);

        for (int i = 0; i < 2; i++)
                story_call(s, i == 0 ? "a" : "b");
        story_pass(s, 1 * S);
        function_of(s)->body_ns = 1 * MS;
        call_at_rate(s, 100, 10);
        ck_assert_uint_ge(tally_of(3, 11).refused, 700);
        ck_assert_uint_eq(tally_of(1, 2).refused, 0);
        story_finish(s, "a");
        story_pass(s, 1 * S);
        call_at_rate(s, 100, 10);
        ck_assert_uint_eq(tally_of(12, 22).refused, 0);
        story_finish(s, "b");
        end(s);
}
TEST_END

TEST(boots_that_fail_are_no_hope)
{
        struct story *s = story_with(4, 20 * MS);

        function_of(s)->min_instances = 2;
        story_pass(s, 1 * S);
        function_of(s)->failing_boots = 1000;
        function_of(s)->boot_ns = 400 * MS;
        call_at_rate(s, 200, 20);
        function_of(s)->failing_boots = 0;
        end(s);
        ck_assert_uint_ge(tally_of(10, 20).refused, 10 * 80);
        ck_assert_uint_le(tally_of(10, 20).waited_max_ns, 2 * TARGET);
}
TEST_END

TEST(an_instance_that_takes_the_place_of_a_dead_one_changes_nothing)
{
        struct story *s = story_of_twenty();
        struct tally late;

        for (int i = 0; i < 100; i++) {
                struct story_instance *instance;
                for (int n = 0; n < 200; n++) {
                        story_call(s, "");
                        story_pass(s, 500 * US);
                }
                instance =
                        CONTAINER_OF(list_peek_front(&s->instances), struct story_instance, link);
                story_kill(s, instance);
        }
        end(s);
        late = tally_of(5, 11);
        ck_assert_uint_ge(late.refused, 5 * 800);
        ck_assert_uint_le(late.waited_max_ns, 2 * TARGET);
}
TEST_END

/* Whoever has answered once dies in the middle of the next call: something boots nearly always. */
static void call_who_die(struct story *s, unsigned rate, unsigned seconds)
{
        struct story_instance *instance, *after;

        for (unsigned i = 0; i < rate * seconds; i++) {
                story_call(s, "");
                story_pass(s, S / rate);
                LIST_FOR_EACH_SAFE (instance, after, &s->instances, link)
                        if (instance->served > 1)
                                story_kill(s, instance);
        }
}

static void expect_shedding_among_the_dying(struct story *s)
{
        struct tally late;

        function_of(s)->boot_ns = 60 * MS;
        call_who_die(s, 200, 12);
        end(s);
        late = tally_of(5, 13);
        ck_assert_uint_ge(late.served, 7 * 25);
        ck_assert_uint_ge(late.refused, 7 * 100);
        ck_assert_uint_le(late.waited_max_ns, 2 * S);
}

TEST(boots_in_the_place_of_dead_ones_are_no_reason_to_wait_for_ever)
{
        expect_shedding_among_the_dying(story_with(4, 20 * MS));
}
TEST_END

TEST(nor_are_they_where_no_more_fit)
{
        struct story *s = story_with(1000, 20 * MS);

        s->provisioner.memory_budget_bytes = 4 * function_of(s)->memory_bytes;
        expect_shedding_among_the_dying(s);
}
TEST_END

TEST(nobody_is_refused_while_one_more_than_ever_boots_however_slowly)
{
        struct story *s = story_with(1, 20 * MS);

        story_call(s, "");
        ck_assert(story_settle(s, 5 * S));
        function_of(s)->max_instances = 2;
        function_of(s)->boot_ns = 8 * S;
        call_at_rate(s, 100, 7);
        end(s);
        EXPECT_NONE_REFUSED();
}
TEST_END

TEST(where_an_instance_serves_one_call_boots_are_no_reason_to_wait_for_ever)
{
        struct story *s = story_with(20, 20 * MS);
        struct tally late;

        function_of(s)->pool.single_use = true;
        function_of(s)->keep_alive_ns = 0;
        call_at_once(s, 100);
        story_pass(s, 1 * S);
        EXPECT_NONE_REFUSED();
        call_at_rate(s, 1000, 20);
        end(s);
        late = tally_of(10, 21);
        ck_assert_uint_ge(late.served, 10 * 100);
        ck_assert_uint_ge(late.refused, 10 * 500);
        ck_assert_uint_le(late.waited_max_ns, 2 * TARGET);
}
TEST_END

TEST_MAIN("shedding", a_burst_is_served_whole_however_long_its_line,
          bursts_that_come_again_and_again_are_served_whole_where_they_end_between,
          twice_of_what_can_be_served_costs_nothing_of_that_and_those_let_in_wait_for_the_target,
          without_a_target_everybody_waits_in_a_line_that_only_stands,
          a_second_after_the_blast_calls_are_served_at_once, a_little_too_much_is_shed_a_little,
          places_count_where_instances_run_several_calls,
          a_machine_that_is_full_sheds_like_a_function_at_its_maximum,
          five_hundred_calls_at_once_to_a_function_without_instances_lose_nobody,
          a_function_that_boots_slowly_refuses_none_of_its_first_callers,
          callers_during_a_scale_up_are_served_by_it,
          twenty_clients_of_one_instance_are_served_one_after_the_other_for_good,
          five_thousand_clients_of_a_quick_function_are_served,
          who_would_wait_for_too_long_is_told_at_once,
          nobody_is_told_so_while_more_instances_may_be_made,
          behind_calls_that_hang_a_few_may_wait_and_no_more, boots_that_fail_are_no_hope,
          an_instance_that_takes_the_place_of_a_dead_one_changes_nothing,
          boots_in_the_place_of_dead_ones_are_no_reason_to_wait_for_ever,
          nor_are_they_where_no_more_fit,
          nobody_is_refused_while_one_more_than_ever_boots_however_slowly,
          where_an_instance_serves_one_call_boots_are_no_reason_to_wait_for_ever)
