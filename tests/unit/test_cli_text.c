/* What the command line makes of words and numbers. */
#include "base/auto.h"
#include "cli/human.h"
#include "cli/text.h"
#include "testing.h"

#include <stdio.h>

static const char *const verbs[] = {"deploy", "doctor", "ls", "logs", "login", "rm", NULL};

TEST(the_nearest_word_is_found_for_a_slip_of_the_fingers)
{
        ck_assert_str_eq(text_nearest("depoly", verbs), "deploy");
        ck_assert_str_eq(text_nearest("doktor", verbs), "doctor");
        ck_assert_str_eq(text_nearest("lgos", verbs), "logs");
        ck_assert_str_eq(text_nearest("sl", verbs), "ls");
        ck_assert_str_eq(text_nearest("dep", verbs), "deploy");
}
TEST_END

TEST(nothing_is_suggested_for_a_word_that_is_far_from_all)
{
        ck_assert_ptr_null(text_nearest("bananas", verbs));
        ck_assert_ptr_null(text_nearest("x", verbs));
        ck_assert_ptr_null(text_nearest("", verbs));
        ck_assert_ptr_null(
                text_nearest("a-word-that-is-longer-than-anything-one-would-ever-type-as-"
                             "a-verb-of-a-command-line",
                             verbs));
}
TEST_END

static void expect_age(const char *expected, const char *time, time_t now)
{
        AUTO(memory_free) char *age = human_age(time, now);
        ck_assert_str_eq(age, expected);
}

TEST(an_age_is_said_in_its_largest_unit)
{
        const time_t now = 1000000000; /* 2001-09-09T01:46:40Z */

        expect_age("just now", "2001-09-09T01:46:40.123Z", now);
        expect_age("40 s ago", "2001-09-09T01:46:00Z", now);
        expect_age("6 min ago", "2001-09-09T01:40:00Z", now);
        expect_age("1 h ago", "2001-09-09T00:40:00Z", now);
        expect_age("2 d ago", "2001-09-07T00:40:00Z", now);
        expect_age("just now", "2001-09-09T02:00:00Z", now);
        expect_age("yesterday", "yesterday", now);
}
TEST_END

TEST(bytes_and_instances_read_well)
{
        AUTO(memory_free) char *bytes = human_bytes(512);
        AUTO(memory_free) char *kib = human_bytes(1536);
        AUTO(memory_free) char *mib = human_bytes(300.0 * 1024 * 1024);
        AUTO(memory_free) char *some = human_instances(1, 2, 0, 0);
        AUTO(memory_free) char *none = human_instances(0, 0, 0, 0);

        ck_assert_str_eq(bytes, "512 bytes");
        ck_assert_str_eq(kib, "1.5 KiB");
        ck_assert_str_eq(mib, "300 MiB");
        ck_assert_str_eq(some, "1 busy, 2 idle");
        ck_assert_str_eq(none, "none");
}
TEST_END

TEST_MAIN("cli text", the_nearest_word_is_found_for_a_slip_of_the_fingers,
          nothing_is_suggested_for_a_word_that_is_far_from_all, an_age_is_said_in_its_largest_unit,
          bytes_and_instances_read_well)
