/* The pool where one instance runs several calls at once (places.c), one decision at a time. */
#include "pool_fixture.h"

static void start_with(unsigned home_count, unsigned capacity)
{
        start(home_count);
        pool.capacity = capacity;
}

/* Like stock(): homes do not matter here. */
static struct pool_instance *ready(uint64_t now_ns)
{
        return stock(0, now_ns);
}

static enum release_result drop(struct pool_call *call, bool overdue, uint64_t now_ns,
                                struct pool_call **ret_next)
{
        return pool_drop(&pool, call, overdue, now_ns, ret_next);
}

TEST(an_instance_is_filled_up_before_another_is_taken_from_stock)
{
        start_with(1, 3);
        struct pool_instance *old = ready(1), *new = ready(2);

        for (int i = 0; i < 3; i++)
                ck_assert_ptr_eq(take(0, 3, TAKE_RUNNING)->instance, new);
        for (int i = 0; i < 3; i++)
                ck_assert_ptr_eq(take(0, 3, TAKE_RUNNING)->instance, old);
        take(0, 3, TAKE_WAITING);
        ck_assert_uint_eq(pool.busy_count, 2);
        ck_assert_uint_eq(pool.ahead_count, 0);
}
TEST_END

TEST(a_frozen_instance_is_taken_only_where_nothing_else_has_a_place)
{
        start_with(1, 2);
        struct pool_instance *frozen = ready(1), *idle = ready(2);
        ck_assert_ptr_eq(pool_freeze_one(&pool, 1), frozen);

        for (int i = 0; i < 2; i++) {
                struct pool_call *call = take(0, 3, TAKE_RUNNING);
                ck_assert_ptr_eq(call->instance, idle);
                ck_assert_int_eq(call->start, START_WARM);
        }
        struct pool_call *first = take(0, 3, TAKE_RUNNING), *second = take(0, 3, TAKE_RUNNING);
        ck_assert_ptr_eq(first->instance, frozen);
        ck_assert_int_eq(first->start, START_THAWED);
        ck_assert_ptr_eq(second->instance, frozen);
        ck_assert_int_eq(second->start, START_WARM);
}
TEST_END

TEST(calls_of_every_home_share_one_instance)
{
        start_with(3, 3);
        struct pool_instance *instance = ready(0);

        for (unsigned home = 0; home < 3; home++)
                ck_assert_ptr_eq(take(home, 1, TAKE_RUNNING)->instance, instance);
}
TEST_END

TEST(a_place_that_comes_free_goes_to_the_longest_waiter_whatever_its_home)
{
        start_with(2, 2);
        ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING), *b = take(0, 1, TAKE_RUNNING);
        struct pool_call *first = take(1, 2, TAKE_WAITING), *second = take(0, 3, TAKE_WAITING);

        ck_assert_ptr_eq(release(a, 4, RELEASE_HANDED), first);
        ck_assert_int_eq(first->start, START_STOLEN);
        ck_assert_ptr_eq(release(first, 5, RELEASE_HANDED), second);
        release(b, 6, RELEASE_BUSY);
        release(second, 7, RELEASE_IDLE);
}
TEST_END

TEST(who_comes_later_does_not_pass_those_in_line_by)
{
        start_with(1, 2);
        ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING);
        take(0, 1, TAKE_RUNNING);
        struct pool_call *waiter = take(0, 2, TAKE_WAITING);

        ck_assert_ptr_eq(release(a, 3, RELEASE_HANDED), waiter);
        take(0, 4, TAKE_WAITING);
}
TEST_END

TEST(a_new_instance_is_filled_with_the_line_and_all_of_it_started_cold)
{
        start_with(1, 3);
        struct pool_call *waiters[4], *next = NULL;
        for (int i = 0; i < 4; i++)
                waiters[i] = take(0, 0, TAKE_WAITING);

        ck_assert_int_eq(pool_ready(&pool, boot(), 5, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, waiters[0]);
        ck_assert_ptr_eq(pool_match(&pool, 5), waiters[1]);
        ck_assert_ptr_eq(pool_match(&pool, 5), waiters[2]);
        ck_assert_ptr_null(pool_match(&pool, 5));
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(waiters[i]->start, START_COLD);
        ck_assert_ptr_eq(release(waiters[1], 6, RELEASE_HANDED), waiters[3]);
        ck_assert_int_eq(waiters[3]->start, START_STOLEN);
}
TEST_END

TEST(the_fullest_instance_is_filled_first)
{
        start_with(1, 3);
        struct pool_call *calls_of[6];
        ready(0);
        ready(0);
        for (int i = 0; i < 6; i++)
                calls_of[i] = take(0, 1, TAKE_RUNNING);

        /* The first is left with one call, the second was full until now. */
        release(calls_of[0], 2, RELEASE_BUSY);
        release(calls_of[1], 2, RELEASE_BUSY);
        release(calls_of[3], 2, RELEASE_BUSY);
        ck_assert_ptr_eq(take(0, 3, TAKE_RUNNING)->instance, calls_of[4]->instance);
        ck_assert_ptr_eq(take(0, 3, TAKE_RUNNING)->instance, calls_of[2]->instance);
}
TEST_END

TEST(an_instance_is_frozen_or_expires_only_when_its_last_call_has_ended)
{
        start_with(1, 2);
        struct pool_instance *instance = ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING), *b = take(0, 1, TAKE_RUNNING);

        release(a, 2, RELEASE_BUSY);
        ck_assert_ptr_null(pool_freeze_one(&pool, UINT64_MAX));
        ck_assert_ptr_null(pool_expire_one(&pool, UINT64_MAX));
        release(b, 3, RELEASE_IDLE);
        ck_assert_uint_eq(instance->idle_since_ns, 3);
        ck_assert_ptr_eq(pool_freeze_one(&pool, 3), instance);
        ck_assert_ptr_eq(pool_expire_one(&pool, 3), instance);
}
TEST_END

TEST(after_a_time_out_an_instance_takes_nothing_until_it_has_answered)
{
        start_with(1, 3);
        struct pool_instance *instance = ready(0);
        struct pool_call *late = take(0, 1, TAKE_RUNNING), *other = take(0, 1, TAKE_RUNNING);
        struct pool_call *next = NULL;

        ck_assert_int_eq(drop(late, true, 2, &next), RELEASE_BUSY);
        struct pool_call *first = take(0, 3, TAKE_WAITING), *second = take(0, 3, TAKE_WAITING);
        ck_assert_ptr_null(pool_match(&pool, 3));
        ck_assert_uint_eq(pool_wanted_boots(&pool, 3, 0, 10), 1);
        ck_assert_ptr_eq(release(other, 4, RELEASE_HANDED), first);
        ck_assert_ptr_eq(pool_match(&pool, 4), second); /* the time-out's place, too */
        ck_assert_ptr_eq(second->instance, instance);
        take(0, 4, TAKE_RUNNING);
}
TEST_END

TEST(an_instance_in_doubt_ends_when_it_has_no_call_left)
{
        start_with(1, 2);
        struct pool_instance *instance = ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING), *b = take(0, 1, TAKE_RUNNING);
        struct pool_call *next = NULL;
        struct pool_call *waiter = take(0, 1, TAKE_WAITING);

        ck_assert_int_eq(drop(a, true, 2, &next), RELEASE_BUSY);
        ck_assert_int_eq(drop(b, true, 3, &next), RELEASE_END);
        ck_assert_int_eq(instance->state, INSTANCE_ENDING);
        ck_assert_int_eq(waiter->state, CALL_WAITING);
        pool_remove(&pool, instance);
}
TEST_END

TEST(a_client_that_leaves_frees_a_place_at_once_and_says_nothing_of_the_function)
{
        start_with(1, 2);
        ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING), *b = take(0, 1, TAKE_RUNNING);
        struct pool_call *waiter = take(0, 1, TAKE_WAITING), *next = NULL;

        ck_assert_int_eq(drop(a, false, S, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, waiter);
        ck_assert_uint_eq(pool.run_ns, 0);
        ck_assert_int_eq(drop(b, false, S, &next), RELEASE_BUSY);
        ck_assert_int_eq(drop(waiter, false, S, &next), RELEASE_IDLE);
}
TEST_END

TEST(all_calls_of_an_instance_that_ends_are_taken_off_one_by_one)
{
        start_with(1, 3);
        struct pool_instance *instance = ready(0);
        struct pool_call *a = take(0, 1, TAKE_RUNNING), *b = take(0, 1, TAKE_RUNNING);
        struct pool_call *unsent = take(0, 1, TAKE_RUNNING);

        pool_end(&pool, instance);
        take(0, 2, TAKE_WAITING);
        pool_fail(&pool, a);
        pool_fail(&pool, b);
        pool_take_back(&pool, unsent);
        ck_assert_ptr_eq(pool_pop(&pool), unsent); /* in front of who came later */
        pool_remove(&pool, instance);
        ck_assert_uint_eq(pool_live_count(&pool), 0);
}
TEST_END

TEST(nothing_is_put_ahead_however_quick_the_function_is)
{
        start_with(1, 2);
        stock_that_took(0, 10 * US);
        struct pool_call *running = take(0, MS, TAKE_RUNNING);

        take(0, MS, TAKE_RUNNING);
        take(0, MS, TAKE_WAITING);
        ck_assert_ptr_null(pool_put_ahead(&pool, running->instance, 0));
}
TEST_END

TEST(a_line_is_worth_as_many_boots_as_bring_places_for_it)
{
        start_with(1, 10);
        for (size_t line = 1; line <= 25; line++) {
                take(0, 0, TAKE_WAITING);
                ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 0, 100), (line + 9) / 10);
        }
        boot();
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 0, 100), 2);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 0, 2), 1);
}
TEST_END

TEST(places_that_come_free_meanwhile_are_counted_and_those_that_hang_are_not)
{
        start_with(1, 4);
        ready(S);
        for (int i = 0; i < 4; i++)
                take(0, S, TAKE_RUNNING);
        pool.boot_ns = 10 * MS;
        pool.run_ns = 20 * MS;
        for (int i = 0; i < 6; i++)
                take(0, S, TAKE_WAITING);
        ck_assert_uint_eq(pool_wanted_boots(&pool, S, 0, 10), 1); /* two are served meanwhile */
        for (int i = 0; i < 5; i++)
                take(0, S, TAKE_WAITING);
        ck_assert_uint_eq(pool_wanted_boots(&pool, S, 0, 10), 3); /* and 9 are not */
        pool.spare_ns = S + 40 * MS;
        ck_assert_uint_eq(pool_wanted_boots(&pool, S + 40 * MS, 0, 10), 3); /* 11: all overdue */
}
TEST_END

TEST(without_stealing_a_line_waits_for_its_boots_and_takes_what_returns_when_there_are_none)
{
        start_with(1, 2);
        pool.stealing = false;
        ready(0);
        struct pool_call *a = take(0, 0, TAKE_RUNNING), *b = take(0, 0, TAKE_RUNNING), *next = NULL;
        struct pool_call *waiter = take(0, 0, TAKE_WAITING), *last = take(0, 0, TAKE_WAITING);
        struct pool_instance *booting = boot();

        release(a, 1, RELEASE_BUSY);
        ck_assert_ptr_null(pool_match(&pool, 1));
        ck_assert_int_eq(pool_ready(&pool, booting, 2, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, waiter);
        ck_assert_ptr_eq(release(b, 3, RELEASE_HANDED), last);
}
TEST_END

TEST_MAIN("pool_places", an_instance_is_filled_up_before_another_is_taken_from_stock,
          a_frozen_instance_is_taken_only_where_nothing_else_has_a_place,
          calls_of_every_home_share_one_instance,
          a_place_that_comes_free_goes_to_the_longest_waiter_whatever_its_home,
          who_comes_later_does_not_pass_those_in_line_by,
          a_new_instance_is_filled_with_the_line_and_all_of_it_started_cold,
          the_fullest_instance_is_filled_first,
          an_instance_is_frozen_or_expires_only_when_its_last_call_has_ended,
          after_a_time_out_an_instance_takes_nothing_until_it_has_answered,
          an_instance_in_doubt_ends_when_it_has_no_call_left,
          a_client_that_leaves_frees_a_place_at_once_and_says_nothing_of_the_function,
          all_calls_of_an_instance_that_ends_are_taken_off_one_by_one,
          nothing_is_put_ahead_however_quick_the_function_is,
          a_line_is_worth_as_many_boots_as_bring_places_for_it,
          places_that_come_free_meanwhile_are_counted_and_those_that_hang_are_not,
          without_stealing_a_line_waits_for_its_boots_and_takes_what_returns_when_there_are_none)
