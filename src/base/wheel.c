/* The timer wheel; see wheel.h.
 *
 * Level L covers 64^(L+1) ms in slots of 64^L ms. A timer lies in the lowest level whose span
 * covers its distance; when the lower level's hand wraps round, the next slot above is spread out.
 */
#include "base/wheel.h"

#include <assert.h>

#define WHEEL_BITS 6
#define WHEEL_MASK (WHEEL_SLOTS - 1)
#define WHEEL_HORIZON_MS (1ull << (WHEEL_BITS * WHEEL_LEVELS))

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
        wheel->now_ms = now_ms;
        for (int level = 0; level < WHEEL_LEVELS; level++) {
                wheel->occupied[level] = 0;
                for (int slot = 0; slot < WHEEL_SLOTS; slot++)
                        list_init(&wheel->slots[level][slot]);
        }
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
        *timer = (struct timer){.on_due = on_due};
        list_init(&timer->link);
}

bool timer_is_set(const struct timer *timer)
{
        return !list_is_empty(&timer->link);
}

/* Not before `earliest_ms`: the next tick, or this one while a slot is being spread. */
static void wheel_place(struct wheel *wheel, struct timer *timer, uint64_t earliest_ms)
{
        uint64_t at = timer->due_ms > earliest_ms ? timer->due_ms : earliest_ms;
        int level = 0;

        if (at - wheel->now_ms >= WHEEL_HORIZON_MS)
                at = wheel->now_ms + WHEEL_HORIZON_MS - 1;
        /* The lowest level at which the hand and the timer differ in no higher digit. */
        while (level < WHEEL_LEVELS - 1 &&
               (at >> (WHEEL_BITS * (level + 1))) != (wheel->now_ms >> (WHEEL_BITS * (level + 1))))
                level++;

        timer->level = (uint8_t)level;
        timer->slot = (uint8_t)((at >> (WHEEL_BITS * level)) & WHEEL_MASK);
        wheel->occupied[level] |= 1ull << timer->slot;
        list_push_back(&wheel->slots[level][timer->slot], &timer->link);
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms)
{
        wheel_remove(wheel, timer);
        timer->due_ms = due_ms;
        wheel_place(wheel, timer, wheel->now_ms + 1);
}

void wheel_remove(struct wheel *wheel, struct timer *timer)
{
        if (!timer_is_set(timer))
                return;
        list_remove(&timer->link);
        if (list_is_empty(&wheel->slots[timer->level][timer->slot]))
                wheel->occupied[timer->level] &= ~(1ull << timer->slot);
}

/* Takes the timers of a slot out and places them again, one level or more below. */
static void wheel_spread(struct wheel *wheel, int level)
{
        uint64_t slot = (wheel->now_ms >> (WHEEL_BITS * level)) & WHEEL_MASK;
        struct list *from = &wheel->slots[level][slot];
        struct list waiting;

        list_init(&waiting);
        while (!list_is_empty(from))
                list_push_back(&waiting, list_pop_front(from));
        wheel->occupied[level] &= ~(1ull << slot);
        while (!list_is_empty(&waiting))
                wheel_place(wheel, CONTAINER_OF(list_pop_front(&waiting), struct timer, link),
                            wheel->now_ms);
}

/* The distance to the next occupied slot of the lowest level, or to its wrap-around. */
static uint64_t wheel_next_step(const struct wheel *wheel)
{
        uint64_t hand = wheel->now_ms & WHEEL_MASK;
        uint64_t ahead = hand == WHEEL_MASK ? 0 : wheel->occupied[0] >> (hand + 1);

        return ahead ? (uint64_t)__builtin_ctzll(ahead) + 1 : WHEEL_SLOTS - hand;
}

static bool wheel_is_empty(const struct wheel *wheel)
{
        for (int level = 0; level < WHEEL_LEVELS; level++)
                if (wheel->occupied[level])
                        return false;
        return true;
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
        while (wheel->now_ms < now_ms) {
                if (wheel_is_empty(wheel)) {
                        wheel->now_ms = now_ms;
                        return;
                }
                uint64_t step = wheel_next_step(wheel);
                if (step > now_ms - wheel->now_ms) {
                        wheel->now_ms = now_ms;
                        return;
                }
                wheel->now_ms += step;

                /* From the top, so that what falls two levels is spread twice. */
                int wrapped = 0;
                while (wrapped < WHEEL_LEVELS - 1 &&
                       (wheel->now_ms & ((1ull << (WHEEL_BITS * (wrapped + 1))) - 1)) == 0)
                        wrapped++;
                for (int level = wrapped; level > 0; level--)
                        wheel_spread(wheel, level);

                uint64_t slot = wheel->now_ms & WHEEL_MASK;
                struct list *due = &wheel->slots[0][slot];
                while (!list_is_empty(due)) {
                        struct timer *timer =
                                CONTAINER_OF(list_peek_front(due), struct timer, link);
                        wheel_remove(wheel, timer);
                        /* One beyond the horizon lies in the last level, which spreads it by its
                         * true time as often as it takes. */
                        assert(timer->due_ms <= wheel->now_ms);
                        timer->on_due(timer);
                }
        }
}

uint64_t wheel_sleep_ms(const struct wheel *wheel, uint64_t most_ms)
{
        uint64_t sleep = most_ms;

        for (int level = 0; level < WHEEL_LEVELS; level++) {
                uint64_t span = 1ull << (WHEEL_BITS * level);
                uint64_t hand = (wheel->now_ms >> (WHEEL_BITS * level)) & WHEEL_MASK;
                uint64_t ahead = hand == WHEEL_MASK ? 0 : wheel->occupied[level] >> (hand + 1);
                uint64_t distance;

                if (ahead)
                        distance = ((uint64_t)__builtin_ctzll(ahead) + 1) * span;
                else if (wheel->occupied[level])
                        distance = (WHEEL_SLOTS - hand) * span; /* only after a wrap-around */
                else
                        continue;
                distance -= wheel->now_ms & (span - 1);
                if (distance < sleep)
                        sleep = distance;
        }
        return sleep;
}
