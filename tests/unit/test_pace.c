/* How often is often; core/pool/pace.h. */
#include "base/clock.h"
#include "core/pool/pace.h"
#include "testing.h"

#define MS NS_PER_MS
#define S NS_PER_S

/* `count` calls, one each `gap_ns`, the first at `from_ns`. The time of the one that comes next. */
static uint64_t call(struct pace *pace, size_t count, uint64_t gap_ns, uint64_t from_ns)
{
        for (size_t i = 0; i < count; i++)
                pace_call(pace, from_ns + i * gap_ns);
        return from_ns + count * gap_ns;
}

TEST(a_thousand_a_second_are_often_when_a_tenth_of_it_has_gone_by)
{
        struct pace pace = {0};
        uint64_t next_ns = call(&pace, 100, MS, S);

        ck_assert(!pace.is_often);
        pace_call(&pace, next_ns);
        ck_assert(pace.is_often);
}
TEST_END

TEST(a_few_less_are_not)
{
        struct pace pace = {0};

        (void)call(&pace, 10000, MS + MS / 50, S);
        ck_assert(!pace.is_often);
}
TEST_END

TEST(a_crowd_that_comes_once_is_not)
{
        struct pace pace = {0};
        uint64_t next_ns = call(&pace, 5000, 0, S);

        ck_assert(!pace.is_often);
        (void)call(&pace, 1, 0, next_ns + 10 * S);
        ck_assert(!pace.is_often);
}
TEST_END

TEST(it_is_so_until_a_second_went_by_with_fewer)
{
        struct pace pace = {0};
        uint64_t since_ns = call(&pace, 100, MS, S);

        (void)call(&pace, 999, MS, since_ns);
        pace_call(&pace, since_ns + S - 1);
        ck_assert(pace.is_often);
        pace_call(&pace, since_ns + S); /* a thousand in that second */
        ck_assert(pace.is_often);
        (void)call(&pace, 998, MS, since_ns + S + MS);
        ck_assert(pace.is_often);
        pace_call(&pace, since_ns + 2 * S); /* one too few */
        ck_assert(!pace.is_often);
}
TEST_END

TEST(the_first_call_behind_a_pause_ends_it)
{
        struct pace pace = {0};
        uint64_t since_ns = call(&pace, 2000, MS / 10, S);

        ck_assert(pace.is_often);
        pace_call(&pace, since_ns + 60 * S);
        ck_assert(!pace.is_often);
}
TEST_END

TEST(a_thread_whose_clock_is_behind_changes_nothing)
{
        struct pace pace = {0};
        uint64_t next_ns = call(&pace, 101, MS, S);

        ck_assert(pace.is_often);
        pace_call(&pace, S);
        ck_assert(pace.is_often);
        ck_assert_uint_eq(pace.since_ns, next_ns - MS);
}
TEST_END

TEST_MAIN("pace", a_thousand_a_second_are_often_when_a_tenth_of_it_has_gone_by, a_few_less_are_not,
          a_crowd_that_comes_once_is_not, it_is_so_until_a_second_went_by_with_fewer,
          the_first_call_behind_a_pause_ends_it, a_thread_whose_clock_is_behind_changes_nothing)
