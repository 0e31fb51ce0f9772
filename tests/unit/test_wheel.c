/* The timer wheel keeps its promises: never early, never lost, whatever the distance. */
#include "base/wheel.h"

#include "testing.h"

static struct wheel wheel;

struct probe {
        struct timer timer;
        uint64_t fired_at_ms;
        int fired;
};

static void probe_fire(struct timer *timer)
{
        struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
        probe->fired_at_ms = wheel.now_ms;
        probe->fired++;
}

TEST(a_timer_fires_once_in_its_own_millisecond_at_every_distance)
{
        static const uint64_t distances[] = {
                1,    2,      63,     64,     65,     127,      128,      4095,     4096,    4097,
                8191, 262143, 262144, 262145, 999999, 16777215, 16777216, 16777217, 40000000};

        for (uint64_t start = 0; start < 200; start += 7) {
                for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
                        struct probe probe = {0};
                        wheel_init(&wheel, start);
                        timer_init(&probe.timer, probe_fire);
                        wheel_set(&wheel, &probe.timer, start + distances[i]);
                        wheel_advance(&wheel, start + distances[i] - 1);
                        ck_assert_int_eq(probe.fired, 0);
                        wheel_advance(&wheel, start + distances[i] + 100);
                        ck_assert_int_eq(probe.fired, 1);
                        ck_assert_uint_eq(probe.fired_at_ms, start + distances[i]);
                }
        }
}
TEST_END

TEST(a_timer_beyond_the_horizon_fires_in_its_own_millisecond_from_any_start)
{
        static const uint64_t starts[] = {63, 4095, 262143, 262144, 16777215, 16777216, 33816575};

        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
                for (uint64_t distance = 16777214; distance < 34000000; distance += 5592403) {
                        struct probe probe = {0};
                        wheel_init(&wheel, starts[i]);
                        timer_init(&probe.timer, probe_fire);
                        wheel_set(&wheel, &probe.timer, starts[i] + distance);
                        wheel_advance(&wheel, starts[i] + distance + 7);
                        ck_assert_int_eq(probe.fired, 1);
                        ck_assert_uint_eq(probe.fired_at_ms, starts[i] + distance);
                }
        }
}
TEST_END

TEST(sleeping_as_long_as_the_wheel_says_is_never_too_long)
{
        uint64_t chance = 42;

        for (int round = 0; round < 2000; round++) {
                struct probe probe = {0};
                chance = chance * 6364136223846793005ull + 1442695040888963407ull;
                uint64_t start = chance >> 40, distance = 1 + ((chance >> 8) % 600000);
                wheel_init(&wheel, start);
                timer_init(&probe.timer, probe_fire);
                wheel_set(&wheel, &probe.timer, start + distance);
                for (int turns = 0; !probe.fired; turns++) {
                        uint64_t sleep = wheel_sleep_ms(&wheel, 60000);
                        ck_assert_uint_gt(sleep, 0);
                        ck_assert_int_lt(turns, 100);
                        wheel_advance(&wheel, wheel.now_ms + sleep);
                }
                ck_assert_uint_eq(probe.fired_at_ms, start + distance);
        }
}
TEST_END

TEST(a_removed_timer_does_not_fire_and_the_wheel_sleeps_on)
{
        struct probe probe = {0};

        wheel_init(&wheel, 5);
        timer_init(&probe.timer, probe_fire);
        wheel_set(&wheel, &probe.timer, 50);
        wheel_remove(&wheel, &probe.timer);
        ck_assert(!timer_is_set(&probe.timer));
        ck_assert_uint_eq(wheel_sleep_ms(&wheel, 1234), 1234);
        wheel_advance(&wheel, 1000);
        ck_assert_int_eq(probe.fired, 0);
}
TEST_END

static struct probe second;

static void fire_and_set_second(struct timer *timer)
{
        probe_fire(timer);
        wheel_set(&wheel, &second.timer, 1); /* long past */
}

TEST(a_timer_set_for_the_past_while_another_fires_is_due_a_millisecond_later)
{
        struct probe probe = {0};

        wheel_init(&wheel, 0);
        timer_init(&probe.timer, fire_and_set_second);
        timer_init(&second.timer, probe_fire);
        wheel_set(&wheel, &probe.timer, 63);
        wheel_advance(&wheel, 70);
        ck_assert_int_eq(probe.fired, 1);
        ck_assert_int_eq(second.fired, 1);
        ck_assert_uint_eq(second.fired_at_ms, 64);
}
TEST_END

TEST_MAIN("wheel", a_timer_fires_once_in_its_own_millisecond_at_every_distance,
          a_timer_beyond_the_horizon_fires_in_its_own_millisecond_from_any_start,
          sleeping_as_long_as_the_wheel_says_is_never_too_long,
          a_removed_timer_does_not_fire_and_the_wheel_sleeps_on,
          a_timer_set_for_the_past_while_another_fires_is_due_a_millisecond_later)
