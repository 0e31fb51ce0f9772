/* Which of the stock ends, and what is booted ahead of calls. */
#include "core/provisioner/keep_alive.h"
#include "pool_fixture.h"

#define MINUTE KEEP_ALIVE_BIN_NS

static struct keep_alive learned;
static struct pool_bounds bounds;

static void start_with(size_t min_instances, size_t max_instances)
{
        start(1);
        bounds = (struct pool_bounds){min_instances, max_instances, 10 * MINUTE};
}

static void start_learning(size_t min_instances, size_t max_instances)
{
        start_with(min_instances, max_instances);
        keep_alive_init(&learned, MINUTE);
        pool.learned = &learned;
}

/* One instance, called every hour until the end of `hour`, which is idle since then. */
static void call_hourly_until(uint64_t hour)
{
        stock(0, 0);
        for (uint64_t i = 0; i <= hour; i++)
                release(take(0, i * 60 * MINUTE, TAKE_RUNNING), i * 60 * MINUTE, RELEASE_IDLE);
}

static size_t expire_all(uint64_t now_ns)
{
        size_t count = 0;

        while (pool_expire_excess(&pool, &bounds, now_ns))
                count++;
        return count;
}

TEST(with_a_fixed_keep_alive_each_instance_ends_when_its_own_is_over)
{
        start_with(0, 10);
        stock(0, 1 * MINUTE);
        stock(0, 3 * MINUTE);
        ck_assert_uint_eq(expire_all(10 * MINUTE), 0);
        ck_assert_uint_eq(expire_all(11 * MINUTE), 1);
        ck_assert_uint_eq(expire_all(12 * MINUTE), 0);
        ck_assert_uint_eq(expire_all(13 * MINUTE), 1);
}
TEST_END

TEST(with_a_fixed_keep_alive_nothing_is_booted_ahead)
{
        start_with(0, 10);
        call_hourly_until(9);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, 10 * 60 * MINUTE), 0);
}
TEST_END

TEST(the_minimum_stays_whatever_was_learned)
{
        start_learning(1, 10);
        stock(0, 0);
        call_hourly_until(9);
        ck_assert_uint_eq(expire_all(9 * 60 * MINUTE + 20 * MINUTE), 1);
        ck_assert_uint_eq(pool_live_count(&pool), 1);
}
TEST_END

TEST(who_comes_every_hour_has_no_instance_in_between_and_one_shortly_before)
{
        uint64_t last_ns = 9 * 60 * MINUTE;

        start_learning(0, 10);
        call_hourly_until(9);
        ck_assert_uint_eq(expire_all(last_ns + 5 * MINUTE), 1);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, last_ns + 30 * MINUTE), 0);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, last_ns + 59 * MINUTE), 1);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, last_ns + 90 * MINUTE), 0);
}
TEST_END

TEST(what_is_there_or_boots_is_not_booted_ahead_once_more)
{
        uint64_t soon_ns = 9 * 60 * MINUTE + 59 * MINUTE;
        struct pool_call *next = NULL;
        struct pool_instance *instance;

        start_learning(0, 10);
        call_hourly_until(9);
        ck_assert_uint_eq(expire_all(soon_ns - 20 * MINUTE), 1);
        instance = boot();
        instance->is_ahead = true;
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, soon_ns), 0);
        ck_assert_int_eq(pool_ready(&pool, instance, soon_ns, &next), RELEASE_IDLE);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, soon_ns), 0);
        ck_assert_uint_eq(expire_all(soon_ns), 0);
}
TEST_END

TEST(a_boot_ahead_that_nobody_came_for_is_no_idle_time)
{
        uint64_t last_ns = 9 * 60 * MINUTE;
        struct pool_call *next = NULL;
        struct pool_instance *instance;
        uint32_t samples;

        start_learning(0, 10);
        call_hourly_until(9);
        samples = learned.times.total;
        ck_assert_uint_eq(expire_all(last_ns + 20 * MINUTE), 1);
        instance = boot();
        instance->is_ahead = true;
        ck_assert_int_eq(pool_ready(&pool, instance, last_ns + 59 * MINUTE, &next), RELEASE_IDLE);
        ck_assert_uint_eq(expire_all(last_ns + 90 * MINUTE), 1);
        ck_assert_uint_eq(learned.times.total, samples);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, last_ns + 100 * MINUTE), 0);
}
TEST_END

TEST(a_boot_that_somebody_waited_for_and_did_not_need_stays_like_one_that_was_used)
{
        struct pool_call *first;

        start_learning(0, 10);
        stock(0, 0);
        first = take(0, 0, TAKE_RUNNING);
        take(0, 0, TAKE_WAITING);
        boot();
        release(release(first, MS, RELEASE_HANDED), 2 * MS, RELEASE_IDLE);
        ck_assert_int_eq(pool_ready(&pool, &instances[1], 3 * MS, &(struct pool_call *){NULL}),
                         RELEASE_IDLE);
        ck_assert_uint_eq(expire_all(MINUTE), 0);
        ck_assert_uint_eq(pool_live_count(&pool), 2);
}
TEST_END

TEST(while_calls_wait_nothing_is_booted_ahead_and_nothing_ends)
{
        uint64_t soon_ns = 9 * 60 * MINUTE + 59 * MINUTE;

        start_learning(0, 10);
        call_hourly_until(9);
        ck_assert_uint_eq(expire_all(soon_ns - 20 * MINUTE), 1);
        take(0, soon_ns, TAKE_WAITING);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, soon_ns), 0);
        ck_assert_uint_eq(pool_wanted_boots(&pool, soon_ns, 0, 10), 1);
        ck_assert_uint_eq(expire_all(soon_ns), 0);
}
TEST_END

TEST(a_pool_that_drains_expects_nobody)
{
        uint64_t soon_ns = 9 * 60 * MINUTE + 59 * MINUTE;

        start_learning(0, 10);
        call_hourly_until(9);
        pool.draining = true;
        ck_assert_uint_eq(expire_all(soon_ns), 1);
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, soon_ns), 0);
}
TEST_END

TEST(no_more_than_the_maximum_is_booted_ahead)
{
        struct pool_call *running[4];

        start_learning(0, 3);
        for (size_t i = 0; i < 4; i++)
                stock(0, 0);
        for (size_t i = 0; i < 4; i++)
                running[i] = take(0, 0, TAKE_RUNNING);
        for (size_t i = 0; i < 4; i++)
                release(running[i], MS, RELEASE_IDLE);
        while (pool_expire_one(&pool, UINT64_MAX)) {
        }
        ck_assert_uint_eq(pool_wanted_ahead(&pool, &bounds, MINUTE), 3);
}
TEST_END

TEST(instances_above_the_places_are_kept_for_the_fixed_time)
{
        struct pool_call *running[KEEP_ALIVE_PLACES + 4];
        size_t count = sizeof(running) / sizeof(running[0]);

        start_learning(0, 100);
        for (size_t i = 0; i < count; i++)
                stock(0, 0);
        for (size_t i = 0; i < count; i++)
                running[i] = take(0, 0, TAKE_RUNNING);
        for (size_t i = 0; i < count; i++)
                release(running[i], MS, RELEASE_IDLE);
        ck_assert_uint_eq(expire_all(9 * MINUTE), 0);
        ck_assert_uint_eq(expire_all(10 * MINUTE + MS), count);
}
TEST_END

TEST_MAIN("pool_keeping", with_a_fixed_keep_alive_each_instance_ends_when_its_own_is_over,
          with_a_fixed_keep_alive_nothing_is_booted_ahead, the_minimum_stays_whatever_was_learned,
          who_comes_every_hour_has_no_instance_in_between_and_one_shortly_before,
          what_is_there_or_boots_is_not_booted_ahead_once_more,
          a_boot_ahead_that_nobody_came_for_is_no_idle_time,
          a_boot_that_somebody_waited_for_and_did_not_need_stays_like_one_that_was_used,
          while_calls_wait_nothing_is_booted_ahead_and_nothing_ends,
          a_pool_that_drains_expects_nobody, no_more_than_the_maximum_is_booted_ahead,
          instances_above_the_places_are_kept_for_the_fixed_time)
