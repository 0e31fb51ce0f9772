/* A hierarchical timer wheel: adding, moving and removing a timer is O(1), whatever their number.
 *
 * Pure: the wheel knows no clock; wheel_advance() is told the time. Resolution is a millisecond,
 * the horizon 64^4 ms (about 4.6 h); later timers wait in the last level and are placed again.
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP'87).
 */
#pragma once

#include "base/list.h"

#include <stdint.h>

#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 64

struct timer {
        struct list link;
        uint64_t due_ms; /* valid while set */
        uint8_t level, slot;
        void (*on_due)(struct timer *timer); /* may set, remove or free this or any other timer */
};

struct wheel {
        uint64_t now_ms;
        uint64_t occupied[WHEEL_LEVELS]; /* a bit a slot */
        struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer));
bool timer_is_set(const struct timer *timer);

/* Sets or moves. A time that has passed is due at the next advance. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms);
void wheel_remove(struct wheel *wheel, struct timer *timer);

/* Runs every timer due at or before `now_ms`. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

/* Milliseconds that may be slept before the next advance: 0 when something is due, at most
 * `most_ms`. It may be early (a cascade), never late. */
uint64_t wheel_sleep_ms(const struct wheel *wheel, uint64_t most_ms);
