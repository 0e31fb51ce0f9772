/* Is a function called often? So often that who is woken by a call had better not take the processor of
 * whoever sends the next one; seldom calls had better. It is as soon as it has had PACE_OFTEN calls a second
 * for PACE_RISE_NS, and until a second went by with fewer.
 *
 * Pure, and not locked: it is part of its pool. Times are monotonic nanoseconds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_OFTEN 1000ull /* calls a second */
#define PACE_RISE_NS 100000000ull
#define PACE_FALL_NS 1000000000ull

struct pace {
        uint64_t since_ns, calls; /* so many have come since */
        bool is_often;
};

/* A call comes. */
void pace_call(struct pace *pace, uint64_t now_ns);
