/* Who may begin in a turn, told as what is begun: letters are functions' items, a bar ends a turn. Ann, Ben
 * and Cyd are functions of an owner of their own each where nothing else is said. */
#include "core/fairness/turns.h"

#include "testing.h"

#include <stdio.h>
#include <string.h>

#define ITEMS_MAX 4096
#define ANN 7
#define BEN 8
#define CYD 9

static struct turns turns;
static struct turns_item items[ITEMS_MAX];
static size_t item_count;
static uint64_t turn;
static char story[ITEMS_MAX];

static void tell(char letter)
{
        size_t length = strlen(story);

        ck_assert_uint_lt(length + 1, sizeof(story));
        story[length] = letter;
        story[length + 1] = '\0';
}

static char letter_of(uint16_t place)
{
        return place == TURNS_NOBODY ? '-' : (char)('a' + place - ANN);
}

static void start(int quantum)
{
        turns_init(&turns, quantum, 8);
        item_count = 0;
        turn = 1;
        story[0] = '\0';
}

/* Somebody asks: it is begun, or parked. */
static struct turns_item *ask(uint16_t place)
{
        struct turns_item *item = &items[item_count++];

        ck_assert_uint_le(item_count, ITEMS_MAX);
        turns_item_init(item);
        item->place = place;
        if (turns_begin(&turns, item, turn))
                tell(letter_of(place));
        else
                turns_park(&turns, item);
        return item;
}

static void ask_often(uint16_t place, int count)
{
        while (count-- > 0)
                (void)ask(place);
}

/* What may go on at the end of the turn does, and the next turn begins. */
static void end_turn(void)
{
        struct turns_item *item;

        while ((item = turns_next(&turns, turn))) {
                ck_assert(!turns_item_is_parked(item));
                tell(letter_of(item->place));
        }
        tell('|');
        turn++;
}

TEST(who_asks_once_does_not_wait_for_who_asks_a_thousand_times)
{
        start(4);
        ask_often(ANN, 1000);
        end_turn();
        (void)ask(BEN);
        end_turn();
        ck_assert_str_eq(story, "aaaa|baaaa|");
}
TEST_END

TEST(a_turn_begins_no_more_of_anybodys_than_the_quantum)
{
        start(2);
        ask_often(ANN, 5);
        ask_often(BEN, 3);
        end_turn();
        end_turn();
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aabb|aba|a||");
}
TEST_END

TEST(those_who_wait_are_served_in_rotation)
{
        start(3);
        ask_often(ANN, 6);
        ask_often(BEN, 6);
        ask_often(CYD, 6);
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aaabbbccc|abcabcabc|");
        ck_assert(!turns_are_due(&turns));
}
TEST_END

TEST(nobody_overtakes_what_he_has_parked_himself)
{
        struct turns_item *first, *second;

        start(1);
        (void)ask(ANN);
        first = ask(ANN);
        turn++;
        second = ask(ANN);
        ck_assert(turns_item_is_parked(second));
        ck_assert_ptr_eq(turns_next(&turns, turn), first);
        ck_assert_ptr_eq(turns_next(&turns, turn), NULL);
        ck_assert_ptr_eq(turns_next(&turns, turn + 1), second);
}
TEST_END

TEST(a_turn_carries_no_more_answers_of_anybodys_than_it_may)
{
        start(4);
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, turn), 8);
        turns_answered(&turns, ANN, 5);
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, turn), 3);
        turns_answered(&turns, ANN, 31);
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, turn), 0);
        ck_assert_uint_eq(turns_answers_left(&turns, BEN, turn), 8);
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, ++turn), 8);
}
TEST_END

TEST(nothing_waits_while_there_is_a_share_that_nobody_else_wants)
{
        start(5);
        ask_often(ANN, 23);
        for (int i = 0; i < 5; i++)
                end_turn();
        ck_assert_str_eq(story, "aaaaa|aaaaa|aaaaa|aaaaa|aaa|");
}
TEST_END

TEST(what_was_not_used_of_a_turn_is_not_kept_for_the_next)
{
        start(3);
        (void)ask(ANN);
        end_turn();
        end_turn();
        ask_often(ANN, 7);
        end_turn();
        ck_assert_str_eq(story, "a||aaa|");
}
TEST_END

TEST(work_that_turns_out_dearer_is_paid_from_the_turns_to_come)
{
        start(2);
        ask_often(ANN, 6);
        turns_charge(&turns, ANN, 3);
        end_turn();
        ask_often(BEN, 3);
        end_turn();
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aa|bb|ab|aa|");
}
TEST_END

TEST(what_is_nobodys_takes_turns_like_a_tenants)
{
        start(2);
        ask_often(TURNS_NOBODY, 5);
        ask_often(ANN, 3);
        end_turn();
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "--aa|-a-|-|");
        ck_assert(!turns_are_due(&turns));
}
TEST_END

TEST(who_goes_away_while_parked_is_not_served_and_holds_up_nobody)
{
        struct turns_item *gone, *gone_too;

        start(1);
        (void)ask(ANN);
        gone = ask(ANN);
        (void)ask(ANN);
        (void)ask(BEN);
        gone_too = ask(BEN);
        turns_forget(&turns, gone);
        turns_forget(&turns, gone_too);
        turns_forget(&turns, gone_too);
        turn++;
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aba||");
        ck_assert(!turns_are_due(&turns));
}
TEST_END

TEST(turns_are_taken_while_several_are_active_and_not_by_one_alone)
{
        start(1);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, ANN, ANN, 5);
        ck_assert(!turns_are_taken(&turns));
        turns_see(&turns, BEN, BEN, 5);
        ck_assert(turns_are_taken(&turns));
        turns_see(&turns, ANN, ANN, TURNS_ACTIVE_FOR_NS);
        turns_expire(&turns, TURNS_ACTIVE_FOR_NS + 4);
        ck_assert(turns_are_taken(&turns));
        turns_expire(&turns, TURNS_ACTIVE_FOR_NS + 5);
        ck_assert(!turns_are_taken(&turns));
        turns_expire(&turns, 2 * TURNS_ACTIVE_FOR_NS);
        ck_assert_uint_eq(turns.active_count, 0);
}
TEST_END

TEST(functions_of_one_owner_share_a_quantum_while_another_owner_is_active)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 0);
        turns_see(&turns, CYD, CYD, 0);
        turns_see(&turns, CYD + 1, CYD + 1, 0); /* who asks nothing now */
        ask_often(ANN, 4);
        ask_often(BEN, 4);
        ask_often(CYD, 8);
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aaaacccc|bcbcbcbc|");
}
TEST_END

TEST(nobody_overtakes_what_a_sister_has_parked_while_they_share)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 0);
        turns_see(&turns, CYD, CYD, 0);
        ask_often(ANN, 4);
        (void)ask(BEN);
        for (int i = 0; i < 3; i++) { /* there are always four of Ann's in a turn */
                end_turn();
                ask_often(ANN, 4);
        }
        ck_assert_str_eq(story, "aaaa|baaa|aaaa|");
}
TEST_END

TEST(who_waits_for_a_sister_is_not_heavy)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 0);
        turns_see(&turns, CYD, CYD, 0);
        for (int i = 0; i < 2 * TURNS_HEAVY; i++) {
                ask_often(ANN, 5);
                (void)ask(BEN);
                end_turn();
        }
        ck_assert(turns.places[ANN].is_heavy);
        ck_assert(!turns.places[BEN].is_heavy);
}
TEST_END

TEST(functions_of_an_owner_who_is_alone_have_a_quantum_each)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 0);
        turns_see(&turns, CYD, ANN, 0);
        ck_assert(turns_are_taken(&turns));
        ask_often(ANN, 5);
        ask_often(BEN, 5);
        end_turn();
        end_turn();
        ck_assert_str_eq(story, "aaaabbbb|ab|");
}
TEST_END

TEST(an_owner_with_more_functions_than_the_quantum_has_no_more_than_that_in_any_turn)
{
        const uint16_t first = 100, others = 99, count = 12;
        size_t begun[TURNS_PLACES] = {0};
        struct turns_item *item;

        start(4);
        for (uint16_t i = 0; i < count; i++)
                turns_see(&turns, first + i, ANN, 0);
        turns_see(&turns, others, BEN, 0);
        turns_see(&turns, first + count, CYD, 0); /* who asks little, so that turns are short */
        for (int j = 0; j < 150; j++)
                for (uint16_t i = 0; i <= count; i++) {
                        item = &items[item_count++];
                        turns_item_init(item);
                        item->place = others + i;
                        turns_park(&turns, item);
                }
        for (turn = 1; turn <= 30; turn++) {
                int of_ann = 0;
                while ((item = turns_next(&turns, turn))) {
                        begun[item->place]++;
                        of_ann += item->place != others;
                }
                ck_assert_int_eq(of_ann, 4);
                ck_assert_uint_eq(begun[others], turn * 4);
        }
        for (uint16_t i = 0; i < count; i++)
                ck_assert_uint_eq(begun[first + i], 30 * 4 / count);
}
TEST_END

TEST(functions_of_one_owner_share_the_answers_too)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 0);
        turns_answered(&turns, ANN, turns_answers_left(&turns, ANN, turn));
        ck_assert_uint_eq(turns_answers_left(&turns, BEN, turn), 8);
        turns_see(&turns, CYD, CYD, 0);
        turn++;
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, turn), 8);
        turns_answered(&turns, ANN, 5);
        ck_assert_uint_eq(turns_answers_left(&turns, BEN, turn), 3);
        ck_assert_uint_eq(turns_answers_left(&turns, CYD, turn), 8);
        ck_assert_uint_eq(turns_answers_left(&turns, BEN, ++turn), 8);
}
TEST_END

TEST(who_is_not_active_any_more_has_no_part_of_his_owners_quantum)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, ANN, 5);
        turns_see(&turns, CYD, CYD, 5);
        turns_expire(&turns, TURNS_ACTIVE_FOR_NS);
        ask_often(BEN, 9);
        end_turn();
        ck_assert_str_eq(story, "bbbb|");
        turns_expire(&turns, TURNS_ACTIVE_FOR_NS + 5);
        ck_assert_uint_eq(turns.active_count, 1);
        ck_assert_uint_eq(turns.owner_count, 1);
}
TEST_END

/* How many of `place` a turn begins where there is no end of them. */
static int begun_in_a_turn(uint16_t place)
{
        size_t begun = 0;

        ask_often(place, 2 * TURNS_LONG);
        end_turn();
        for (const char *at = story; *at; at++)
                begun += *at == letter_of(place);
        for (size_t i = 0; i < item_count; i++)
                turns_forget(&turns, &items[i]);
        item_count = 0;
        story[0] = '\0';
        return (int)begun;
}

TEST(turns_are_long_where_all_are_asked_for_more_than_their_shares)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, BEN, 0);
        ck_assert_int_eq(begun_in_a_turn(ANN), 4);
        ck_assert(turns_are_short(&turns)); /* for Ben */
        ck_assert_int_eq(begun_in_a_turn(BEN), 4);
        ck_assert(!turns_are_short(&turns));
        ck_assert_int_eq(begun_in_a_turn(ANN), TURNS_LONG / 2);
        ck_assert_int_eq(begun_in_a_turn(BEN), TURNS_LONG / 2);
        ck_assert_uint_eq(turns_answers_left(&turns, ANN, ++turn), 8 * TURNS_LONG / 2 / 4);
        turns_see(&turns, CYD, ANN, 0);
        ck_assert(turns_are_short(&turns));
        ck_assert_int_eq(begun_in_a_turn(BEN), 4);
        ck_assert_int_eq(begun_in_a_turn(CYD), 4);
        ck_assert_int_eq(begun_in_a_turn(BEN), TURNS_LONG / 2);
        ck_assert_int_eq(begun_in_a_turn(CYD), TURNS_LONG / 2);
}
TEST_END

TEST(who_was_not_parked_for_a_second_is_helped_by_short_turns_again)
{
        start(4);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, BEN, 0);
        (void)begun_in_a_turn(ANN);
        (void)begun_in_a_turn(BEN);
        turns_expire(&turns, 1); /* they were, in the second that ends */
        ck_assert(!turns_are_short(&turns));
        (void)begun_in_a_turn(ANN);
        turns_expire(&turns, 2);
        ck_assert(turns_are_short(&turns)); /* for Ben */
        turns_expire(&turns, TURNS_ACTIVE_FOR_NS);
        ck_assert_uint_eq(turns.heavy_count, 0);
        ck_assert(!turns_are_short(&turns)); /* nobody is there */
}
TEST_END

TEST(a_function_with_something_parked_is_active_however_long_it_waits)
{
        start(1);
        turns_see(&turns, ANN, ANN, 0);
        turns_see(&turns, BEN, BEN, 0);
        ask_often(ANN, 2);
        turns_expire(&turns, 100 * TURNS_ACTIVE_FOR_NS);
        ck_assert_uint_eq(turns.active_count, 1);
        end_turn();
        end_turn();
        turns_expire(&turns, 100 * TURNS_ACTIVE_FOR_NS);
        ck_assert_uint_eq(turns.active_count, 0);
        turns_see(&turns, ANN, ANN, 100 * TURNS_ACTIVE_FOR_NS);
        ck_assert_uint_eq(turns.active_count, 1);
}
TEST_END

TEST(a_turn_is_shared_while_calls_of_several_are_under_way_in_it)
{
        start(4);
        turns_call_begins(&turns, ANN);
        ck_assert(!turns_are_shared(&turns, turn));
        turns_call_begins(&turns, BEN);
        turns_call_begins(&turns, BEN);
        ck_assert(turns_are_shared(&turns, turn));
        turns_call_ends(&turns, ANN, turn);
        ck_assert(turns_are_shared(&turns, turn));
        end_turn();
        ck_assert(!turns_are_shared(&turns, turn));
        turns_call_ends(&turns, BEN, turn);
        turns_call_ends(&turns, BEN, turn);
        ck_assert(!turns_are_shared(&turns, turn));
}
TEST_END

TEST(those_whose_last_calls_end_in_one_turn_have_shared_it)
{
        start(4);
        turns_call_begins(&turns, ANN);
        turns_call_begins(&turns, BEN);
        turns_call_ends(&turns, ANN, turn);
        turns_call_ends(&turns, BEN, turn);
        ck_assert(turns_are_shared(&turns, turn));
        turns_call_begins(&turns, BEN);
        ck_assert(turns_are_shared(&turns, turn)); /* Ann's has been answered in it */
        turns_call_begins(&turns, ANN);
        turns_call_ends(&turns, ANN, turn);
        end_turn();
        ck_assert(!turns_are_shared(&turns, turn));
        turns_call_ends(&turns, BEN, turn);
        ck_assert(!turns_are_shared(&turns, turn));
}
TEST_END

TEST(who_ends_a_call_and_begins_the_next_is_not_two)
{
        start(4);
        turns_call_begins(&turns, ANN);
        turns_call_ends(&turns, ANN, turn);
        turns_call_begins(&turns, ANN);
        ck_assert(!turns_are_shared(&turns, turn));
}
TEST_END

TEST(whatever_is_asked_is_begun_once_within_as_many_turns_as_it_is_worth)
{
        static const uint16_t places[] = {ANN, BEN, CYD};
        unsigned chance = 1;

        for (int round = 0; round < 200; round++) {
                int quantum = 1 + round % 9, asked[3] = {0}, most = 0;
                size_t begun[3] = {0};

                start(quantum);
                for (int i = 0; i < 300; i++) {
                        chance = chance * 1103515245u + 12345u;
                        asked[(chance >> 16) % 5 % 3]++;
                        (void)ask(places[(chance >> 16) % 5 % 3]);
                }
                for (int i = 0; i < 3; i++)
                        most = asked[i] > most ? asked[i] : most;
                for (int i = 0; i < (most + quantum - 1) / quantum; i++)
                        end_turn();
                for (const char *at = story; *at; at++)
                        if (*at != '|')
                                begun[*at - 'a']++;
                for (int i = 0; i < 3; i++)
                        ck_assert_uint_eq(begun[i], (size_t)asked[i]);
                ck_assert(!turns_are_due(&turns));
        }
}
TEST_END

TEST_MAIN("turns", who_asks_once_does_not_wait_for_who_asks_a_thousand_times,
          a_turn_begins_no_more_of_anybodys_than_the_quantum, those_who_wait_are_served_in_rotation,
          nobody_overtakes_what_he_has_parked_himself,
          a_turn_carries_no_more_answers_of_anybodys_than_it_may,
          nothing_waits_while_there_is_a_share_that_nobody_else_wants,
          what_was_not_used_of_a_turn_is_not_kept_for_the_next,
          work_that_turns_out_dearer_is_paid_from_the_turns_to_come,
          what_is_nobodys_takes_turns_like_a_tenants,
          who_goes_away_while_parked_is_not_served_and_holds_up_nobody,
          turns_are_taken_while_several_are_active_and_not_by_one_alone,
          functions_of_one_owner_share_a_quantum_while_another_owner_is_active,
          nobody_overtakes_what_a_sister_has_parked_while_they_share,
          who_waits_for_a_sister_is_not_heavy,
          functions_of_an_owner_who_is_alone_have_a_quantum_each,
          an_owner_with_more_functions_than_the_quantum_has_no_more_than_that_in_any_turn,
          functions_of_one_owner_share_the_answers_too,
          who_is_not_active_any_more_has_no_part_of_his_owners_quantum,
          turns_are_long_where_all_are_asked_for_more_than_their_shares,
          who_was_not_parked_for_a_second_is_helped_by_short_turns_again,
          a_function_with_something_parked_is_active_however_long_it_waits,
          a_turn_is_shared_while_calls_of_several_are_under_way_in_it,
          those_whose_last_calls_end_in_one_turn_have_shared_it,
          who_ends_a_call_and_begins_the_next_is_not_two,
          whatever_is_asked_is_begun_once_within_as_many_turns_as_it_is_worth)
