/* A boot begins only within memory, within the number of boots at once, and not while the function
 * backs off. */
#include "core/provisioner/provisioner.h"

#include "base/clock.h"
#include "testing.h"

#define MIB (1024ull * 1024)

static struct provisioner provisioner;

static void start(uint64_t budget_bytes, size_t boots_max)
{
        provisioner_init(&provisioner, budget_bytes, boots_max);
}

static enum boot_answer ask(const struct boot_record *record, uint64_t memory_bytes,
                            uint64_t now_ns)
{
        return provisioner_ask(&provisioner, record, 0, memory_bytes, now_ns);
}

TEST(memory_is_promised_up_to_the_last_byte_and_no_further)
{
        struct boot_record record = {0};

        start(256 * MIB, 10);
        ck_assert_int_eq(ask(&record, 256 * MIB, 0), BOOT_NOW);
        provisioner_boot_began(&provisioner, 128 * MIB);
        ck_assert_int_eq(ask(&record, 128 * MIB + 1, 0), BOOT_NO_MEMORY);
        ck_assert_int_eq(ask(&record, 128 * MIB, 0), BOOT_NOW);
}
TEST_END

TEST(memory_comes_back_when_the_instance_is_gone_and_not_before)
{
        struct boot_record record = {0};

        start(128 * MIB, 10);
        provisioner_boot_began(&provisioner, 128 * MIB);
        provisioner_boot_failed(&provisioner, &record, 0);
        record = (struct boot_record){0};
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_NO_MEMORY);
        provisioner_gone(&provisioner, 128 * MIB);
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_NOW);
}
TEST_END

TEST(what_would_not_fit_into_an_empty_machine_is_told_apart_from_what_must_wait)
{
        struct boot_record record = {0};

        start(128 * MIB, 1);
        ck_assert_int_eq(ask(&record, 128 * MIB + 1, 0), BOOT_TOO_LARGE);
        ck_assert_int_eq(ask(&record, UINT64_MAX, 0), BOOT_TOO_LARGE);
        ck_assert_int_eq(ask(&record, 128 * MIB, 0), BOOT_NOW);
}
TEST_END

TEST(only_so_many_boots_are_under_way_at_once)
{
        struct boot_record record = {0};

        start(1024 * MIB, 2);
        provisioner_boot_began(&provisioner, MIB);
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_NOW);
        provisioner_boot_began(&provisioner, MIB);
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_LATER);
        /* No instance need end as long as the boot would have to wait anyway. */
        ck_assert_int_eq(ask(&record, 1024 * MIB, 0), BOOT_LATER);
        provisioner_boot_ready(&provisioner, &record);
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_NOW);
}
TEST_END

TEST(one_owner_has_all_boots_but_the_last_which_is_somebody_elses)
{
        struct boot_record record = {0};

        start(1024 * MIB, 3);
        provisioner_boot_began(&provisioner, MIB);
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 1, MIB, 0), BOOT_NOW);
        provisioner_boot_began(&provisioner, MIB);
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 2, MIB, 0), BOOT_LATER);
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 2, 1024 * MIB, 0), BOOT_LATER);
        ck_assert(!provisioner_may_boot_ahead(&provisioner, &record, 2, MIB, 0));
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 0, MIB, 0), BOOT_NOW);
}
TEST_END

TEST(where_there_is_one_boot_at_once_it_is_anybodys)
{
        struct boot_record record = {0};

        start(1024 * MIB, 1);
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 0, MIB, 0), BOOT_NOW);
        provisioner_boot_began(&provisioner, MIB);
        ck_assert_int_eq(provisioner_ask(&provisioner, &record, 0, MIB, 0), BOOT_LATER);
}
TEST_END

TEST(each_failed_boot_doubles_the_pause_up_to_the_longest)
{
        struct boot_record record = {0};
        uint64_t now_ns = 0, pause_ns = BOOT_BACKOFF_FIRST_NS;

        start(1024 * MIB, 1);
        for (int i = 0; i < 100; i++) {
                ck_assert_int_eq(ask(&record, MIB, now_ns), BOOT_NOW);
                provisioner_boot_began(&provisioner, MIB);
                provisioner_boot_failed(&provisioner, &record, now_ns);
                provisioner_gone(&provisioner, MIB);
                ck_assert_int_eq(ask(&record, MIB, now_ns + pause_ns - 1), BOOT_BACKING_OFF);
                now_ns += pause_ns;
                pause_ns = pause_ns * 2 < BOOT_BACKOFF_MAX_NS ? pause_ns * 2 : BOOT_BACKOFF_MAX_NS;
        }
        ck_assert_uint_eq(pause_ns, BOOT_BACKOFF_MAX_NS);
}
TEST_END

TEST(boots_that_began_together_and_fail_are_one_failure)
{
        struct boot_record record = {0};

        start(1024 * MIB, 8);
        for (int i = 0; i < 8; i++)
                provisioner_boot_began(&provisioner, MIB);
        for (unsigned i = 0; i < 8; i++)
                provisioner_boot_failed(&provisioner, &record, i);
        ck_assert_uint_eq(record.failures, 1);
        ck_assert_int_eq(ask(&record, MIB, BOOT_BACKOFF_FIRST_NS), BOOT_NOW);
        ck_assert_uint_eq(provisioner.boots, 0);
}
TEST_END

TEST(one_boot_that_succeeds_ends_the_patience_with_a_function)
{
        struct boot_record record = {0};

        start(1024 * MIB, 2);
        for (int i = 0; i < 5; i++) {
                provisioner_boot_began(&provisioner, MIB);
                provisioner_boot_failed(&provisioner, &record, record.not_before_ns);
        }
        ck_assert_int_eq(ask(&record, MIB, NS_PER_S), BOOT_BACKING_OFF);
        provisioner_boot_began(&provisioner, MIB);
        provisioner_boot_ready(&provisioner, &record);
        ck_assert_int_eq(ask(&record, MIB, 0), BOOT_NOW);
        ck_assert_uint_eq(record.failures, 0);
}
TEST_END

TEST(a_function_that_backs_off_holds_up_no_other)
{
        struct boot_record broken = {0}, healthy = {0};

        start(1024 * MIB, 1);
        provisioner_boot_began(&provisioner, MIB);
        provisioner_boot_failed(&provisioner, &broken, 0);
        ck_assert_int_eq(ask(&broken, MIB, 0), BOOT_BACKING_OFF);
        ck_assert_int_eq(ask(&healthy, MIB, 0), BOOT_NOW);
}
TEST_END

TEST(a_boot_ahead_begins_only_where_there_is_room_and_the_last_boot_did_not_fail)
{
        struct boot_record record = {0};

        start(256 * MIB, 1);
        ck_assert(provisioner_may_boot_ahead(&provisioner, &record, 0, 256 * MIB, 0));
        ck_assert(!provisioner_may_boot_ahead(&provisioner, &record, 0, 257 * MIB, 0));
        provisioner_boot_began(&provisioner, 128 * MIB);
        ck_assert(!provisioner_may_boot_ahead(&provisioner, &record, 0, 64 * MIB, 0));
        provisioner_boot_failed(&provisioner, &record, 0);
        ck_assert(!provisioner_may_boot_ahead(&provisioner, &record, 0, 64 * MIB,
                                              BOOT_BACKOFF_MAX_NS));
        provisioner_boot_began(&provisioner, 64 * MIB);
        provisioner_boot_ready(&provisioner, &record);
        ck_assert(provisioner_may_boot_ahead(&provisioner, &record, 0, 64 * MIB, 0));
        ck_assert(!provisioner_may_boot_ahead(&provisioner, &record, 0, 128 * MIB, 0));
}
TEST_END

TEST_MAIN("provisioner", memory_is_promised_up_to_the_last_byte_and_no_further,
          memory_comes_back_when_the_instance_is_gone_and_not_before,
          what_would_not_fit_into_an_empty_machine_is_told_apart_from_what_must_wait,
          only_so_many_boots_are_under_way_at_once,
          one_owner_has_all_boots_but_the_last_which_is_somebody_elses,
          where_there_is_one_boot_at_once_it_is_anybodys,
          each_failed_boot_doubles_the_pause_up_to_the_longest,
          boots_that_began_together_and_fail_are_one_failure,
          one_boot_that_succeeds_ends_the_patience_with_a_function,
          a_function_that_backs_off_holds_up_no_other,
          a_boot_ahead_begins_only_where_there_is_room_and_the_last_boot_did_not_fail)
