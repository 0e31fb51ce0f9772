/* How long idle instances of one function are worth their memory, and when to boot ahead of a call:
 * `keepAlive: auto`, learned from the function's own idle times.
 *
 * As in the hybrid histogram policy (Shahrad et al., "Serverless in the Wild", USENIX ATC 2020) a
 * function has a histogram of its idle times: 240 bins of a minute. What is read from it differs;
 * docs/adr/0010-keep-alive-that-learns.md says why. The paper keeps from the 5th to the 99th
 * percentile. Here each bin is asked for itself: of those idle times that have lasted so long, how
 * many end in this bin? Where that is more than the price of the memory, an instance is to be there
 * (keep_plan.c). So an instance may be kept for a while, be let go, and another be booted shortly
 * before the call that comes an hour later.
 *
 * Idle times are those of *places*: place k is wanted while more than k instances are. As the stock
 * is last in, first out, that is what the k-th instance's idle time is, and it goes on being known
 * when the instance has been let go. All places of a function share one histogram.
 *
 * Pure, of fixed size, and not locked: it belongs to the function's pool. Times are monotonic
 * nanoseconds, and those of several threads: a moment may lie before the last one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEP_ALIVE_BINS 240
#define KEEP_ALIVE_BIN_NS 60000000000ull /* what a bin is wide unless somebody says otherwise */
#define KEEP_ALIVE_PLACES 16             /* instances above these are kept for a fixed time */
#define KEEP_ALIVE_FIXED_BINS 10         /* ... of so many bins */

/* Counts are fixed point, so that old ones can fade by halves. */
#define IDLE_SAMPLE 256u

struct idle_times {
        uint16_t near, far;             /* ended within the first bin, or not; fade quickly */
        uint16_t bins[KEEP_ALIVE_BINS]; /* of those that did not: where they ended; [0] unused */
        uint16_t beyond;                /* ... after the last bin */
        uint32_t total;                 /* sum of `bins` and `beyond` */
};

struct keep_alive {
        uint64_t bin_ns;
        size_t demand;                        /* instances wanted at present */
        size_t places;                        /* the most that ever were, no more than the array */
        uint64_t since_ns[KEEP_ALIVE_PLACES]; /* [demand .. places): idle since */
        struct idle_times times;
        uint64_t warm[(KEEP_ALIVE_BINS + 63) / 64]; /* the plan: a bit a bin */
        bool is_stale;                              /* the plan is older than the times */
};

void keep_alive_init(struct keep_alive *keep, uint64_t bin_ns);
/* So many instances are wanted from now on: those that run calls. Cheap enough for every one. */
void keep_alive_observe(struct keep_alive *keep, size_t demand, uint64_t now_ns);
/* How many instances are to be there besides those that `demand` counts. */
size_t keep_alive_spare(struct keep_alive *keep, uint64_t now_ns);

/* Are there enough of them that what has not been seen is no matter of chance? */
static inline bool idle_times_are_known(const struct idle_times *times)
{
        return times->near + times->far >= 8 * IDLE_SAMPLE;
}

/* keep_plan.c: a bit for each bin in which an instance is to be there. */
void keep_plan_make(const struct idle_times *times, uint64_t *ret_warm);
