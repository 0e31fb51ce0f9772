/* Who may have memory, and who must give some back, told with three users on a machine of twelve GiB. */
#include "core/provisioner/accounts.h"

#include "testing.h"

#include <stdio.h>

#define GIB (1ull << 30)
#define ANN "01ANN"
#define BEN "01BEN"
#define CYD "01CYD"

static struct accounts accounts;

static void start(void)
{
        accounts_init(&accounts, 12 * GIB);
}

TEST(while_nobody_waits_everybody_may_have_what_is_there)
{
        start();
        accounts_take(&accounts, ANN, 11 * GIB);
        ck_assert(accounts_may_take(&accounts, ANN, GIB));
        ck_assert(accounts_may_take(&accounts, BEN, GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_alone_waits_may_have_what_is_there)
{
        start();
        accounts_take(&accounts, ANN, 11 * GIB);
        accounts_take(&accounts, BEN, GIB);
        accounts_wait(&accounts, ANN);
        ck_assert(accounts_may_take(&accounts, ANN, GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_holds_more_than_an_even_share_gets_no_more_while_somebody_with_less_waits)
{
        start();
        accounts_take(&accounts, ANN, 8 * GIB);
        accounts_take(&accounts, BEN, 2 * GIB);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, BEN);
        ck_assert(!accounts_may_take(&accounts, ANN, 1));
        ck_assert(accounts_may_take(&accounts, BEN, 2 * GIB));
        accounts_wait_no_more(&accounts, BEN);
        ck_assert(accounts_may_take(&accounts, ANN, 2 * GIB));
        accounts_deinit(&accounts);
}
TEST_END

static void wait_with(const char *owner, size_t instances, uint64_t bytes)
{
        accounts_wait_with(&accounts, owner, &(struct holding){instances, bytes});
}

static bool comes_after_another(const char *owner, size_t instances, uint64_t bytes,
                                uint64_t free_bytes)
{
        return accounts_another_comes_first(&accounts, owner, &(struct holding){instances, bytes},
                                            true, free_bytes);
}

static bool may_give(size_t instances, uint64_t bytes, size_t of_taker, uint64_t bytes_of_taker,
                     uint64_t free_bytes)
{
        return accounts_may_give(&(struct holding){instances, bytes},
                                 &(struct holding){of_taker, bytes_of_taker}, free_bytes);
}

TEST(of_ones_functions_that_wait_those_with_the_least_come_first)
{
        start();
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, ANN);
        ck_assert(!comes_after_another(ANN, 9, GIB, 0));
        wait_with(ANN, 2, GIB);
        wait_with(ANN, 7, GIB);
        ck_assert(comes_after_another(ANN, 4, GIB, 0));
        ck_assert(comes_after_another(ANN, 3, GIB, GIB));
        ck_assert(!comes_after_another(ANN, 2, GIB, GIB));
        ck_assert(!comes_after_another(BEN, 4, GIB, 0));
        wait_with(ANN, 0, 5 * GIB);
        ck_assert(comes_after_another(ANN, 1, GIB, 2 * GIB));
        ck_assert(!comes_after_another(ANN, 0, GIB, 2 * GIB));
        accounts_begin_look(&accounts);
        ck_assert(!comes_after_another(ANN, 1, GIB, 0));
        wait_with(ANN, 7, GIB);
        ck_assert(comes_after_another(ANN, 9, GIB, 0));
        accounts_wait_no_more(&accounts, ANN);
        accounts_wait_no_more(&accounts, ANN);
        ck_assert(!comes_after_another(ANN, 9, GIB, 0));
        wait_with(ANN, 0, GIB); /* there is no account any more */
        ck_assert(!comes_after_another(ANN, 9, GIB, 0));
        accounts_deinit(&accounts);
}
TEST_END

TEST(a_function_gives_another_one_as_long_as_it_has_no_less_afterwards)
{
        ck_assert(may_give(4, GIB, 2, GIB, 0));
        ck_assert(!may_give(3, GIB, 2, GIB, 0));
        ck_assert(may_give(3, GIB, 2, GIB, GIB)); /* and need not */
        ck_assert(may_give(2, GIB, 0, 9 * GIB, 0));
        ck_assert(!may_give(1, GIB, 0, GIB, 0));
        ck_assert(!may_give(0, GIB, 0, GIB, 9 * GIB));
}
TEST_END

TEST(what_would_not_do_for_a_larger_one_is_not_given_and_not_kept_for_it)
{
        ck_assert(may_give(6, GIB, 1, 2 * GIB, 0));
        ck_assert(!may_give(5, GIB, 1, 2 * GIB, 0));
        ck_assert(may_give(5, GIB, 1, 2 * GIB, GIB)); /* one is there already */
        ck_assert(!may_give(1, GIB, 1, 9 * GIB, 0));

        start();
        accounts_wait(&accounts, ANN);
        wait_with(ANN, 1, 2 * GIB);
        ck_assert(!comes_after_another(ANN, 3, GIB, GIB)); /* it could never give the other */
        ck_assert(comes_after_another(ANN, 5, GIB, GIB));
        /* Nor for what cannot be given, or only where it is there. */
        ck_assert(!accounts_another_comes_first(&accounts, ANN, &(struct holding){5, GIB}, false,
                                                GIB));
        ck_assert(accounts_another_comes_first(&accounts, ANN, &(struct holding){5, GIB}, false,
                                               2 * GIB));
        accounts_wait_no_more(&accounts, ANN);
        accounts_deinit(&accounts);
}
TEST_END

TEST(boots_are_counted_by_user_and_an_account_stays_while_one_is_under_way)
{
        start();
        ck_assert_uint_eq(accounts_boots(&accounts, ANN), 0);
        accounts_take(&accounts, ANN, GIB);
        accounts_boot_began(&accounts, ANN);
        accounts_boot_began(&accounts, ANN);
        accounts_boot_began(&accounts, BEN);
        accounts_give(&accounts, ANN, GIB); /* it died, and its boot's end is told later */
        ck_assert_uint_eq(accounts_boots(&accounts, ANN), 2);
        accounts_boot_ended(&accounts, ANN);
        ck_assert_uint_eq(accounts_boots(&accounts, ANN), 1);
        ck_assert_uint_eq(accounts_boots(&accounts, BEN), 1);
        accounts_boot_ended(&accounts, ANN);
        accounts_boot_ended(&accounts, ANN);
        accounts_boot_ended(&accounts, CYD);
        ck_assert_uint_eq(accounts_boots(&accounts, ANN) + accounts_boots(&accounts, CYD), 0);
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_does_not_wait_yet_is_counted_when_he_asks)
{
        start();
        accounts_take(&accounts, ANN, 6 * GIB);
        accounts_wait(&accounts, BEN);
        ck_assert(!accounts_may_take(&accounts, ANN, 1));
        accounts_give(&accounts, ANN, GIB);
        ck_assert(accounts_may_take(&accounts, ANN, GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(several_functions_of_one_user_have_one_share)
{
        start();
        accounts_take(&accounts, ANN, 7 * GIB);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, BEN);
        ck_assert_uint_eq(accounts.waiting_users, 2);
        ck_assert(accounts_may_take(&accounts, BEN, 6 * GIB));
        ck_assert(!accounts_may_take(&accounts, ANN, GIB));
        accounts_wait_no_more(&accounts, ANN);
        ck_assert_uint_eq(accounts.waiting_users, 2);
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_is_beyond_his_share_ends_what_he_uses_for_who_stays_within_it)
{
        start();
        accounts_take(&accounts, ANN, 12 * GIB);
        accounts_wait(&accounts, BEN);
        ck_assert(accounts_must_yield(&accounts, ANN, BEN, GIB));
        ck_assert(!accounts_must_yield(&accounts, BEN, ANN, GIB));
        ck_assert(!accounts_must_yield(&accounts, ANN, ANN, GIB));
        ck_assert(!accounts_must_yield(&accounts, ANN, BEN, 7 * GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(what_somebody_within_his_share_has_is_spared_although_he_does_not_wait)
{
        start();
        accounts_take(&accounts, ANN, 11 * GIB);
        accounts_take(&accounts, BEN, GIB);
        accounts_wait(&accounts, ANN);
        ck_assert(accounts_is_spared(&accounts, BEN, ANN, GIB));
        ck_assert(!accounts_is_spared(&accounts, ANN, BEN, GIB));
        ck_assert(!accounts_is_spared(&accounts, ANN, ANN, GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_is_within_his_share_may_have_what_another_within_his_has_in_stock)
{
        start();
        accounts_take(&accounts, ANN, 5 * GIB);
        accounts_take(&accounts, BEN, 6 * GIB);
        ck_assert(!accounts_is_spared(&accounts, BEN, ANN, GIB));
        ck_assert(accounts_is_spared(&accounts, BEN, ANN, 2 * GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(who_sought_memory_in_vain_need_not_look_for_as_much_again_before_the_next_search)
{
        start();
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, BEN);
        ck_assert(!accounts_would_be_in_vain(&accounts, ANN, GIB));
        accounts_sought_in_vain(&accounts, ANN, GIB);
        ck_assert(accounts_would_be_in_vain(&accounts, ANN, GIB));
        ck_assert(accounts_would_be_in_vain(&accounts, ANN, 2 * GIB));
        ck_assert(!accounts_would_be_in_vain(&accounts, ANN, GIB - 1));
        ck_assert(!accounts_would_be_in_vain(&accounts, BEN, GIB));
        accounts_begin_search(&accounts);
        ck_assert(!accounts_would_be_in_vain(&accounts, ANN, 2 * GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(it_ends_where_all_have_the_same)
{
        uint64_t ann = 12, ben = 0;

        start();
        accounts_take(&accounts, ANN, ann * GIB);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, BEN);
        while (accounts_must_yield(&accounts, ANN, BEN, GIB)) {
                accounts_give(&accounts, ANN, GIB);
                ck_assert(!accounts_may_take(&accounts, ANN, GIB) || ann <= 6);
                ck_assert(accounts_may_take(&accounts, BEN, GIB));
                accounts_take(&accounts, BEN, GIB);
                ann--;
                ben++;
        }
        ck_assert_uint_eq(ann, 6);
        ck_assert_uint_eq(ben, 6);
        ck_assert(!accounts_must_yield(&accounts, BEN, ANN, GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(a_third_who_comes_takes_from_both)
{
        start();
        accounts_take(&accounts, ANN, 6 * GIB);
        accounts_take(&accounts, BEN, 6 * GIB);
        accounts_wait(&accounts, ANN);
        accounts_wait(&accounts, BEN);
        ck_assert(!accounts_must_yield(&accounts, ANN, CYD, 5 * GIB));
        ck_assert(accounts_must_yield(&accounts, ANN, CYD, GIB));
        ck_assert(accounts_must_yield(&accounts, BEN, CYD, 4 * GIB));
        accounts_deinit(&accounts);
}
TEST_END

TEST(an_account_is_forgotten_when_nothing_is_in_it)
{
        char owner[ID_LENGTH + 1];

        start();
        for (int i = 0; i < 5000; i++) {
                (void)snprintf(owner, sizeof(owner), "01USER%d", i);
                accounts_take(&accounts, owner, GIB);
                accounts_wait(&accounts, owner);
                ck_assert_uint_eq(accounts_used(&accounts, owner), GIB);
                accounts_wait_no_more(&accounts, owner);
                accounts_give(&accounts, owner, GIB);
                ck_assert_uint_eq(accounts_used(&accounts, owner), 0);
        }
        ck_assert_uint_eq(accounts.waiting_users, 0);
        for (size_t i = 0; i < ACCOUNTS_BUCKETS; i++)
                ck_assert(list_is_empty(&accounts.buckets[i]));
        accounts_wait_no_more(&accounts, ANN);
        accounts_give(&accounts, ANN, GIB);
        ck_assert_uint_eq(accounts_used(&accounts, ANN), 0);
}
TEST_END

TEST_MAIN("accounts", while_nobody_waits_everybody_may_have_what_is_there,
          who_alone_waits_may_have_what_is_there,
          who_holds_more_than_an_even_share_gets_no_more_while_somebody_with_less_waits,
          of_ones_functions_that_wait_those_with_the_least_come_first,
          a_function_gives_another_one_as_long_as_it_has_no_less_afterwards,
          what_would_not_do_for_a_larger_one_is_not_given_and_not_kept_for_it,
          boots_are_counted_by_user_and_an_account_stays_while_one_is_under_way,
          who_does_not_wait_yet_is_counted_when_he_asks,
          several_functions_of_one_user_have_one_share,
          who_is_beyond_his_share_ends_what_he_uses_for_who_stays_within_it,
          what_somebody_within_his_share_has_is_spared_although_he_does_not_wait,
          who_is_within_his_share_may_have_what_another_within_his_has_in_stock,
          who_sought_memory_in_vain_need_not_look_for_as_much_again_before_the_next_search,
          it_ends_where_all_have_the_same, a_third_who_comes_takes_from_both,
          an_account_is_forgotten_when_nothing_is_in_it)
