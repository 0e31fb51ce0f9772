/* The pool, one decision at a time: who takes what, who waits, what becomes of an instance. The
 * stories in tests/scenario/ show the same rules at work together. */
#include "pool_fixture.h"

TEST(every_state_and_every_start_has_its_own_name)
{
        ck_assert_str_eq(instance_state_name(INSTANCE_BOOTING), "booting");
        ck_assert_str_eq(instance_state_name(INSTANCE_IDLE), "idle");
        ck_assert_str_eq(instance_state_name(INSTANCE_FROZEN), "frozen");
        ck_assert_str_eq(instance_state_name(INSTANCE_BUSY), "busy");
        ck_assert_str_eq(instance_state_name(INSTANCE_ENDING), "ending");
        ck_assert_str_eq(start_kind_name(START_NONE), "none");
        ck_assert_str_eq(start_kind_name(START_WARM), "warm");
        ck_assert_str_eq(start_kind_name(START_THAWED), "thawed");
        ck_assert_str_eq(start_kind_name(START_STOLEN), "stolen");
        ck_assert_str_eq(start_kind_name(START_COLD), "cold");
}
TEST_END

TEST(nothing_leaves_ending_and_nothing_returns_to_booting)
{
        for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
                ck_assert(!instance_may_become(INSTANCE_ENDING, (enum instance_state)state));
                ck_assert(!instance_may_become((enum instance_state)state, INSTANCE_BOOTING));
                if (state != INSTANCE_ENDING)
                        ck_assert(instance_may_become((enum instance_state)state, INSTANCE_ENDING));
        }
        ck_assert(!instance_may_become(INSTANCE_BOOTING, INSTANCE_FROZEN));
        ck_assert(!instance_may_become(INSTANCE_BUSY, INSTANCE_FROZEN));
        ck_assert(!instance_may_become(INSTANCE_FROZEN, INSTANCE_IDLE));
}
TEST_END

TEST(a_call_takes_the_newest_idle_instance_of_its_own_home_first)
{
        start(2);
        struct pool_instance *old = stock(0, 1), *new = stock(0, 2), *foreign = stock(1, 3);

        ck_assert_ptr_eq(take(0, 4, TAKE_RUNNING)->instance, new);
        ck_assert_ptr_eq(take(0, 4, TAKE_RUNNING)->instance, old);
        ck_assert_ptr_eq(take(0, 4, TAKE_RUNNING)->instance, foreign);
        ck_assert_uint_eq(foreign->home, 0);
        take(0, 4, TAKE_WAITING);
}
TEST_END

TEST(idle_stock_of_another_home_is_better_than_frozen_stock)
{
        start(2);
        struct pool_instance *frozen = stock(0, 1), *foreign = stock(1, 2);

        ck_assert_ptr_eq(pool_freeze_one(&pool, 1), frozen);
        struct pool_call *first = take(0, 3, TAKE_RUNNING), *second = take(0, 3, TAKE_RUNNING);
        ck_assert_ptr_eq(first->instance, foreign);
        ck_assert_int_eq(first->start, START_WARM);
        ck_assert_ptr_eq(second->instance, frozen);
        ck_assert_int_eq(second->start, START_THAWED);
}
TEST_END

TEST(the_longest_waiter_gets_what_comes_free_whatever_its_home)
{
        start(3);
        struct pool_instance *instance = stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING);
        struct pool_call *first = take(2, 1, TAKE_WAITING), *second = take(0, 2, TAKE_WAITING);

        ck_assert_ptr_eq(release(running, 3, RELEASE_HANDED), first);
        ck_assert_int_eq(first->start, START_STOLEN);
        ck_assert_uint_eq(instance->home, 2);
        ck_assert_ptr_eq(release(first, 4, RELEASE_HANDED), second);
        ck_assert_uint_eq(instance->home, 0);
        release(second, 5, RELEASE_IDLE);
}
TEST_END

TEST(a_call_that_was_given_a_new_instance_started_cold)
{
        start(1);
        struct pool_call *waiter = take(0, 0, TAKE_WAITING), *next = NULL;

        ck_assert_int_eq(pool_ready(&pool, boot(), 5, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, waiter);
        ck_assert_int_eq(next->start, START_COLD);
}
TEST_END

TEST(a_waiter_may_give_up_and_a_running_call_may_not)
{
        start(1);
        stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING), *waiter = take(0, 0, TAKE_WAITING);

        ck_assert(pool_cancel(&pool, waiter));
        ck_assert(!pool_cancel(&pool, waiter));
        ck_assert(!pool_cancel(&pool, running));
        release(running, 1, RELEASE_IDLE);
}
TEST_END

TEST(waiters_are_popped_the_longest_first_to_be_refused)
{
        start(2);
        struct pool_call *first = take(1, 0, TAKE_WAITING), *second = take(0, 0, TAKE_WAITING);

        ck_assert_ptr_eq(pool_pop(&pool), first);
        ck_assert_int_eq(first->state, CALL_OUT);
        ck_assert_ptr_eq(pool_pop(&pool), second);
        ck_assert_ptr_null(pool_pop(&pool));
        ck_assert_uint_eq(pool.waiting_count, 0);
}
TEST_END

TEST(quick_calls_are_put_ahead_into_a_busy_instance_of_their_home_before_another_is_woken)
{
        start(2);
        stock_that_took(0, 10 * US);
        stock(0, 20 * US);
        struct pool_call *first = take(0, 30 * US, TAKE_RUNNING);

        for (unsigned n = 0; n < POOL_RATHER_AHEAD_NS / (10 * US) - 1; n++) {
                struct pool_call *ahead = take(0, 30 * US, TAKE_AHEAD);
                ck_assert_ptr_eq(ahead->instance, first->instance);
                ck_assert_int_eq(ahead->start, START_WARM);
        }
        struct pool_call *other = take(0, 30 * US, TAKE_RUNNING);
        ck_assert_ptr_ne(other->instance, first->instance);
        take(1, 30 * US, TAKE_WAITING); /* another thread does not write to them */
}
TEST_END

TEST(no_more_is_put_ahead_than_the_budget_and_the_bound_allow)
{
        static const struct {
                uint64_t run_ns;
                unsigned ahead;
        } cases[] = {{1 * US, 64}, {10 * US, 64}, {99 * US, 10}, {240 * US, 4}, {260 * US, 0}};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                start(1);
                stock_that_took(0, cases[i].run_ns);
                take(0, MS, TAKE_RUNNING);
                for (unsigned n = 0; n < cases[i].ahead; n++)
                        take(0, MS, TAKE_AHEAD);
                take(0, MS, TAKE_WAITING);
        }
}
TEST_END

TEST(nothing_is_put_ahead_while_the_run_time_is_unknown)
{
        start(1);
        stock(0, 0);
        take(0, 0, TAKE_RUNNING);
        take(0, 0, TAKE_WAITING);
}
TEST_END

TEST(a_call_that_streams_shares_its_instance_with_nobody)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *streaming = call_from(0), *second = call_from(0);
        streaming->alone = second->alone = true;

        ck_assert_int_eq(pool_take(&pool, streaming, 20 * US), TAKE_RUNNING);
        struct pool_call *behind = take(0, 20 * US, TAKE_WAITING);
        ck_assert_ptr_eq(release(streaming, 30 * US, RELEASE_HANDED), behind);
        ck_assert_int_eq(pool_take(&pool, second, 30 * US), TAKE_WAITING);
        ck_assert_ptr_null(pool_put_ahead(&pool, behind->instance, 0));
}
TEST_END

TEST(a_release_starts_the_call_ahead_and_waiters_fill_up_behind_it)
{
        start(2);
        stock_that_took(0, 240 * US);
        struct pool_call *running = take(0, MS, TAKE_RUNNING), *ahead[4], *waiters[3];
        for (int i = 0; i < 4; i++)
                ahead[i] = take(0, MS, TAKE_AHEAD);
        for (unsigned i = 0; i < 3; i++)
                waiters[i] = take(i == 2, MS, TAKE_WAITING);

        struct pool_instance *instance = running->instance;
        ck_assert_ptr_eq(release(running, MS + 200 * US, RELEASE_NEXT), ahead[0]);
        ck_assert_int_eq(ahead[0]->state, CALL_RUNNING);
        ck_assert_ptr_eq(pool_put_ahead(&pool, instance, 0), waiters[0]);
        ck_assert_int_eq(waiters[0]->start, START_STOLEN);
        ck_assert_ptr_null(pool_put_ahead(&pool, instance, 0)); /* the budget is used up */
        release(ahead[0], MS + 400 * US, RELEASE_NEXT);
        ck_assert_ptr_eq(pool_put_ahead(&pool, instance, 0), waiters[1]);
        release(ahead[1], MS + 600 * US, RELEASE_NEXT);
        ck_assert_ptr_null(pool_put_ahead(&pool, instance, 0)); /* the third is of another home */
        ck_assert_uint_eq(pool.waiting_count, 1);
}
TEST_END

TEST(calls_taken_back_wait_in_front_in_the_order_they_had)
{
        start(1);
        stock_that_took(0, 240 * US);
        /* One turn of the loop, so all have the same time; the waiter's thread is even behind. */
        struct pool_call *running = take(0, MS, TAKE_RUNNING), *ahead[4];
        for (int i = 0; i < 4; i++)
                ahead[i] = take(0, MS, TAKE_AHEAD);
        struct pool_call *waiter = take(0, MS - 1, TAKE_WAITING);

        for (int i = 0; i < 4; i++)
                pool_take_back(&pool, ahead[i]);
        for (int i = 0; i < 4; i++)
                ck_assert_ptr_eq(running = release(running, 5 * MS, RELEASE_HANDED), ahead[i]);
        ck_assert_ptr_eq(release(running, 5 * MS, RELEASE_HANDED), waiter);
}
TEST_END

TEST(an_instance_that_ends_keeps_its_calls_until_each_is_taken_off)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *running = take(0, MS, TAKE_RUNNING), *ahead = take(0, MS, TAKE_AHEAD);
        struct pool_instance *instance = running->instance;

        pool_end(&pool, instance);
        pool_end(&pool, instance); /* asked for twice: a kill, then its death */
        ck_assert_uint_eq(pool.ending_count, 1);
        pool_fail(&pool, running);
        pool_take_back(&pool, ahead);
        ck_assert_int_eq(running->state, CALL_OUT);
        ck_assert_int_eq(ahead->state, CALL_WAITING);
        pool_remove(&pool, instance);
        ck_assert_uint_eq(pool.ending_count, 0);
        ck_assert_uint_eq(pool_live_count(&pool), 0);
}
TEST_END

TEST(a_boot_may_end_before_it_is_ready)
{
        start(1);
        struct pool_instance *instance = boot();

        pool_end(&pool, instance);
        ck_assert_uint_eq(pool.booting_count, 0);
        pool_remove(&pool, instance);
}
TEST_END

TEST(freezing_takes_the_oldest_idle_instance_of_all_homes_once_its_grace_is_over)
{
        start(3);
        struct pool_instance *b = stock(1, 2), *a = stock(2, 1), *c = stock(0, 3);

        ck_assert_ptr_null(pool_freeze_one(&pool, 0));
        ck_assert_ptr_eq(pool_freeze_one(&pool, 2), a);
        ck_assert_ptr_eq(pool_freeze_one(&pool, 2), b);
        ck_assert_ptr_null(pool_freeze_one(&pool, 2));
        ck_assert_ptr_eq(pool_freeze_one(&pool, 3), c);
        ck_assert_ptr_null(pool_freeze_one(&pool, UINT64_MAX));
}
TEST_END

TEST(expiry_takes_the_stock_that_was_idle_longest_frozen_or_not)
{
        start(2);
        struct pool_instance *a = stock(0, 1), *b = stock(1, 2), *c = stock(0, 3);

        pool_freeze_one(&pool, 1);
        pool_freeze_one(&pool, 2);
        ck_assert_ptr_null(pool_expire_one(&pool, 0));
        ck_assert_ptr_eq(pool_expire_one(&pool, UINT64_MAX), a);
        ck_assert_ptr_eq(pool_expire_one(&pool, UINT64_MAX), b);
        ck_assert_ptr_eq(pool_expire_one(&pool, UINT64_MAX), c);
        ck_assert_ptr_null(pool_expire_one(&pool, UINT64_MAX));
        ck_assert_int_eq(c->state, INSTANCE_ENDING);
}
TEST_END

TEST(a_draining_pool_serves_who_waits_and_keeps_no_stock)
{
        start(1);
        stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING), *waiter = take(0, 0, TAKE_WAITING);
        struct pool_instance *late = boot();
        struct pool_call *next = NULL;

        pool.draining = true;
        ck_assert_ptr_eq(release(running, 1, RELEASE_HANDED), waiter);
        release(waiter, 2, RELEASE_END);
        ck_assert_int_eq(pool_ready(&pool, late, 3, &next), RELEASE_END);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 4, 5, 10), 0);
}
TEST_END

TEST(a_single_use_instance_serves_one_call_and_ends_though_others_wait)
{
        start(1);
        pool.single_use = true;
        stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING), *waiter = take(0, 0, TAKE_WAITING);
        struct pool_call *next = NULL;

        release(running, 1, RELEASE_END);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 1, 0, 10), 1);
        ck_assert_int_eq(pool_ready(&pool, boot(), 2, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, waiter);
        ck_assert_ptr_null(pool_put_ahead(&pool, next->instance, 0));
}
TEST_END

TEST(the_minimum_is_made_up_for_and_the_maximum_is_kept)
{
        start(1);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 3, 10), 3);
        stock(0, 0);
        boot();
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 3, 10), 1);
        take(0, 0, TAKE_RUNNING);
        for (int i = 0; i < 20; i++)
                take(0, 0, TAKE_WAITING);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 3, 10), 8);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 0, 2), 0);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 0, 0, 1), 0);
}
TEST_END

TEST(the_time_of_a_boot_is_learned_from_the_boots)
{
        struct pool_call *next = NULL;

        start(1);
        for (int i = 0; i < 3; i++) {
                struct pool_instance *instance = &instances[i];
                pool_instance_init(instance);
                pool_add_booting(&pool, instance, 100 * MS);
                pool_ready(&pool, instance, 140 * MS, &next);
                ck_assert_uint_ge(pool.boot_ns, 39 * MS); /* from the first on, not a guess */
                ck_assert_uint_le(pool.boot_ns, 41 * MS);
        }
}
TEST_END

TEST(a_thread_whose_clock_is_a_turn_behind_does_not_spoil_the_averages)
{
        struct pool_call *next = NULL;

        start(2);
        struct pool_instance *instance = boot();
        instance->boot_since_ns = 5 * MS;
        pool_ready(&pool, instance, 4 * MS, &next);
        release(take(0, 7 * MS, TAKE_RUNNING), 6 * MS, RELEASE_IDLE);
        ck_assert_uint_le(pool.boot_ns, 1);
        ck_assert_uint_le(pool.run_ns, 1);
}
TEST_END

TEST(nothing_is_put_ahead_behind_a_call_that_has_become_slow)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *slow = take(0, MS, TAKE_RUNNING);

        take(0, MS + POOL_HEAD_PATIENCE_NS, TAKE_AHEAD);
        ck_assert(!pool_head_is_slow(slow->instance, MS + POOL_HEAD_PATIENCE_NS));
        ck_assert(pool_head_is_slow(slow->instance, MS + POOL_HEAD_PATIENCE_NS + 1));
        take(0, MS + POOL_HEAD_PATIENCE_NS + 1, TAKE_WAITING);
}
TEST_END

TEST(one_slow_or_streaming_call_does_not_keep_others_from_being_put_ahead)
{
        start(1);
        for (int i = 0; i < 3; i++)
                stock_that_took(0, 10 * US);
        struct pool_call *slow = take(0, 0, TAKE_RUNNING), *quick = take(0, 6 * MS, TAKE_RUNNING);
        struct pool_call *streaming = call_from(0);
        streaming->alone = true;
        ck_assert_int_eq(pool_take(&pool, streaming, 6 * MS), TAKE_RUNNING);

        ck_assert(pool_head_is_slow(slow->instance, 6 * MS));
        for (int i = 0; i < 15; i++)
                ck_assert_ptr_eq(take(0, 6 * MS, TAKE_AHEAD)->instance, quick->instance);
}
TEST_END

TEST(calls_taken_back_go_on_in_the_stock_that_came_meanwhile)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *slow = take(0, MS, TAKE_RUNNING), *ahead[3];
        for (int i = 0; i < 3; i++)
                ahead[i] = take(0, MS, TAKE_AHEAD);
        struct pool_instance *frozen = stock(0, MS), *idle = stock(0, 2 * MS);
        pool_freeze_one(&pool, MS);

        ck_assert_ptr_null(pool_match(&pool, 3 * MS));
        for (int i = 0; i < 3; i++)
                pool_take_back(&pool, ahead[i]);
        ck_assert_ptr_eq(pool_match(&pool, 3 * MS), ahead[0]);
        ck_assert_ptr_eq(ahead[0]->instance, idle);
        ck_assert_int_eq(ahead[0]->start, START_STOLEN);
        ck_assert_ptr_eq(pool_match(&pool, 3 * MS), ahead[1]);
        ck_assert_ptr_eq(ahead[1]->instance, frozen);
        ck_assert_int_eq(ahead[1]->start, START_THAWED);
        ck_assert_ptr_null(pool_match(&pool, 3 * MS));
        ck_assert_ptr_eq(release(slow, 4 * MS, RELEASE_HANDED), ahead[2]);
}
TEST_END

TEST(the_time_of_a_streaming_call_says_nothing_about_the_function)
{
        start(1);
        stock_that_took(0, 10 * US);
        for (uint64_t i = 1; i <= 20; i++) { /* uploads over a slow line */
                struct pool_call *streaming = call_from(0);
                streaming->alone = true;
                pool_take(&pool, streaming, i * 60 * S);
                release(streaming, (i + 1) * 60 * S, RELEASE_IDLE);
        }
        ck_assert_uint_lt(pool.run_ns, 20 * US);
}
TEST_END

TEST(nothing_more_is_put_ahead_while_a_response_streams)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *streaming = take(0, MS, TAKE_RUNNING), *ahead = take(0, MS, TAKE_AHEAD);

        streaming->instance->exclusive = true; /* its response turned out to have no end yet */
        struct pool_call *waiter = take(0, MS, TAKE_WAITING);
        ck_assert_ptr_null(pool_put_ahead(&pool, streaming->instance, 0));
        ck_assert_ptr_eq(release(streaming, 2 * MS, RELEASE_NEXT), ahead);
        ck_assert_ptr_eq(pool_put_ahead(&pool, ahead->instance, 0), waiter);
}
TEST_END

TEST(what_the_instance_measured_counts_more_than_what_the_pool_saw)
{
        start(1);
        stock(0, 0);
        struct pool_call *call = take(0, 0, TAKE_RUNNING);

        call->ran_ns = 30 * US;
        release(call, 10 * MS, RELEASE_IDLE);
        ck_assert_uint_le(pool.run_ns, 31 * US);
}
TEST_END

TEST(where_output_must_be_told_apart_call_by_call_nothing_is_put_ahead)
{
        start(1);
        pool.never_ahead = true;
        stock_that_took(0, 10 * US);
        struct pool_call *running = take(0, MS, TAKE_RUNNING);

        take(0, MS, TAKE_WAITING);
        ck_assert_ptr_null(pool_put_ahead(&pool, running->instance, 0));
}
TEST_END

TEST(a_pool_that_yields_ends_the_next_instance_that_comes_free_though_calls_wait)
{
        start(1);
        stock(0, 0);
        stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING), *other = take(0, 0, TAKE_RUNNING);
        struct pool_call *first = take(0, 0, TAKE_WAITING), *next = NULL;
        struct pool_instance *booting = boot();

        pool.yielding = true;
        ck_assert_ptr_null(pool_put_ahead(&pool, running->instance, 0));
        ck_assert_int_eq(pool_ready(&pool, booting, 1, &next),
                         RELEASE_HANDED); /* not what is new */
        ck_assert_ptr_eq(next, first);
        struct pool_call *second = take(0, 1, TAKE_WAITING);
        release(running, 2, RELEASE_END);
        ck_assert_uint_eq(pool.ending_count, 1);
        ck_assert_ptr_eq(release(other, 3, RELEASE_HANDED), second); /* one, and no more */
}
TEST_END

TEST(without_stealing_a_line_waits_for_its_boots_and_takes_what_returns_when_there_are_none)
{
        start(1);
        pool.stealing = false;
        stock(0, 0);
        struct pool_call *running = take(0, 0, TAKE_RUNNING), *first = take(0, 0, TAKE_WAITING);
        struct pool_call *second = take(0, 0, TAKE_WAITING), *next = NULL;
        struct pool_instance *booting = boot();

        release(running, 1, RELEASE_IDLE);
        running = take(0, 2, TAKE_RUNNING); /* passes those in line by, as it is without stealing */
        ck_assert_int_eq(pool_ready(&pool, booting, 3, &next), RELEASE_HANDED);
        ck_assert_ptr_eq(next, first);
        ck_assert_uint_eq(pool_wanted_boots(&pool, 3, 0, 2), 0); /* the maximum is reached */
        ck_assert_ptr_eq(release(running, 4, RELEASE_HANDED), second);
}
TEST_END

TEST(an_instance_whose_running_call_was_never_received_is_stock_again)
{
        start(1);
        stock_that_took(0, 10 * US);
        struct pool_call *running = take(0, MS, TAKE_RUNNING), *ahead = take(0, MS, TAKE_AHEAD);
        struct pool_instance *instance = running->instance;

        pool_take_back(&pool,
                       running); /* its process got no processor: all frames are still there */
        ck_assert_int_eq(ahead->state, CALL_RUNNING);
        pool_take_back(&pool, ahead);
        ck_assert_int_eq(instance->state, INSTANCE_IDLE);
        ck_assert_ptr_eq(pool_match(&pool, 3 * MS), running);
        ck_assert_ptr_eq(release(running, 4 * MS, RELEASE_HANDED), ahead);
        release(ahead, 5 * MS, RELEASE_IDLE);
}
TEST_END

TEST_MAIN("pool", every_state_and_every_start_has_its_own_name,
          nothing_leaves_ending_and_nothing_returns_to_booting,
          a_call_takes_the_newest_idle_instance_of_its_own_home_first,
          idle_stock_of_another_home_is_better_than_frozen_stock,
          the_longest_waiter_gets_what_comes_free_whatever_its_home,
          a_call_that_was_given_a_new_instance_started_cold,
          a_waiter_may_give_up_and_a_running_call_may_not,
          waiters_are_popped_the_longest_first_to_be_refused,
          quick_calls_are_put_ahead_into_a_busy_instance_of_their_home_before_another_is_woken,
          no_more_is_put_ahead_than_the_budget_and_the_bound_allow,
          nothing_is_put_ahead_while_the_run_time_is_unknown,
          a_call_that_streams_shares_its_instance_with_nobody,
          a_release_starts_the_call_ahead_and_waiters_fill_up_behind_it,
          calls_taken_back_wait_in_front_in_the_order_they_had,
          an_instance_that_ends_keeps_its_calls_until_each_is_taken_off,
          a_boot_may_end_before_it_is_ready,
          freezing_takes_the_oldest_idle_instance_of_all_homes_once_its_grace_is_over,
          expiry_takes_the_stock_that_was_idle_longest_frozen_or_not,
          a_draining_pool_serves_who_waits_and_keeps_no_stock,
          a_single_use_instance_serves_one_call_and_ends_though_others_wait,
          the_minimum_is_made_up_for_and_the_maximum_is_kept,
          the_time_of_a_boot_is_learned_from_the_boots,
          a_thread_whose_clock_is_a_turn_behind_does_not_spoil_the_averages,
          nothing_is_put_ahead_behind_a_call_that_has_become_slow,
          one_slow_or_streaming_call_does_not_keep_others_from_being_put_ahead,
          calls_taken_back_go_on_in_the_stock_that_came_meanwhile,
          an_instance_whose_running_call_was_never_received_is_stock_again,
          the_time_of_a_streaming_call_says_nothing_about_the_function,
          nothing_more_is_put_ahead_while_a_response_streams,
          what_the_instance_measured_counts_more_than_what_the_pool_saw,
          where_output_must_be_told_apart_call_by_call_nothing_is_put_ahead,
          a_pool_that_yields_ends_the_next_instance_that_comes_free_though_calls_wait,
          without_stealing_a_line_waits_for_its_boots_and_takes_what_returns_when_there_are_none)
