/* Every outcome has an answer of its own, and the answers are those that the contracts promise. */
#include "core/invoker/outcome.h"

#include "testing.h"

#include <string.h>

TEST(every_outcome_has_a_status_a_reason_and_a_title)
{
        for (int i = 0; i < OUTCOME_COUNT; i++) {
                const struct outcome_answer *answer = outcome_answer((enum outcome)i);
                ck_assert_int_ge(answer->status, 200);
                ck_assert_int_lt(answer->status, 600);
                ck_assert_ptr_nonnull(answer->reason);
                ck_assert_ptr_nonnull(answer->title);
                ck_assert_uint_gt(strlen(answer->title), 0);
        }
}
TEST_END

TEST(a_reason_is_a_stable_word_and_no_two_outcomes_share_one)
{
        for (int i = 0; i < OUTCOME_COUNT; i++) {
                const char *reason = outcome_answer((enum outcome)i)->reason;
                ck_assert_uint_eq(strspn(reason, "abcdefghijklmnopqrstuvwxyz._"), strlen(reason));
                for (int j = 0; j < i; j++)
                        ck_assert_str_ne(reason, outcome_answer((enum outcome)j)->reason);
        }
}
TEST_END

TEST(the_caller_sees_the_status_that_the_contracts_promise)
{
        static const struct {
                enum outcome outcome;
                int status;
                const char *reason;
        } promised[] = {
                {OUTCOME_FUNCTION_ERROR, 502, "function.error"},
                {OUTCOME_FUNCTION_EXITED, 502, "function.exited"},
                {OUTCOME_FUNCTION_OUT_OF_MEMORY, 502, "function.out_of_memory"},
                {OUTCOME_FUNCTION_TIMEOUT, 504, "function.timeout"},
                {OUTCOME_THROTTLED, 429, "throttled"},
                {OUTCOME_OVERLOADED, 503, "overloaded"},
                {OUTCOME_DRAINING, 503, "draining"},
        };

        for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++) {
                const struct outcome_answer *answer = outcome_answer(promised[i].outcome);
                ck_assert_int_eq(answer->status, promised[i].status);
                ck_assert_str_eq(answer->reason, promised[i].reason);
        }
}
TEST_END

TEST(a_refusal_says_when_to_come_again_and_a_failure_of_the_function_does_not)
{
        for (int i = 0; i < OUTCOME_COUNT; i++) {
                const struct outcome_answer *answer = outcome_answer((enum outcome)i);
                if (answer->status == 429 || answer->status == 503)
                        ck_assert_uint_gt(answer->retry_after_s, 0);
                if (strncmp(answer->reason, "function.", 9) == 0 && answer->status != 503)
                        ck_assert_uint_eq(answer->retry_after_s, 0);
        }
}
TEST_END

TEST_MAIN("outcome", every_outcome_has_a_status_a_reason_and_a_title,
          a_reason_is_a_stable_word_and_no_two_outcomes_share_one,
          the_caller_sees_the_status_that_the_contracts_promise,
          a_refusal_says_when_to_come_again_and_a_failure_of_the_function_does_not)
