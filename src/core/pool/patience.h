/* How long a line may be before who comes is sent away: a rule on sojourn times.
 *
 * A line is good where it takes up a burst, and of no use where it only stands: then everybody waits
 * for as long as it is, and no more are served. Its length does not tell the two apart, but the time
 * that calls spend in it does (CoDel: Nichols and Jacobson, "Controlling queue delay", 2012): where
 * none that was taken out to be served had been there for less than the target, for an interval, the
 * line stands. From then on it *sheds*: a call that comes is refused where the line holds what is
 * served within the target already, so those who are in it wait about that long and no longer.
 *
 * Unlike CoDel nothing is dropped from the line: a router cannot know beforehand how long a packet
 * will wait, but who refuses a call at once lets it go elsewhere, and has not made it wait in vain.
 *
 * How many are served within the target is counted, not reckoned from run times: so it is right for
 * instances that run several calls, for calls that hang, and where processors or the gateway itself
 * are what is short. The count is of the last one or two intervals. Where a place serves too few calls
 * in that time to be counted well (above half the target each), PATIENCE_SHORT_PER_PLACE says more
 * than the count does.
 *
 * Pure, and not locked: it is part of its pool. Times are monotonic nanoseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATIENCE_INTERVAL 4 /* targets */
/* A line of so many is never too long, nor one of so many for each place. */
#define PATIENCE_SHORT 32
#define PATIENCE_SHORT_PER_PLACE 2

/* What was served out of the line from `since_ns` on, not counting the first. */
struct patience_count {
        uint64_t since_ns, lasted_ns;
        size_t served;
};

struct patience {
        uint64_t target_ns;           /* 0: it never ends */
        uint64_t above_since_ns;      /* all sojourns have been above it since then; 0: not all */
        bool shedding;                /* the line stands */
        size_t instances;             /* the most that there were since the line began */
        struct patience_count before; /* the last full interval, and */
        struct patience_count now;    /* what has come since */
};

/* Somebody waits where nobody did, and there are so many instances. */
void patience_begin(struct patience *patience, size_t instances);
/* A call was taken out of the line to be served, and others wait still. */
void patience_served(struct patience *patience, uint64_t sojourn_ns, uint64_t now_ns);
/* There are so many instances. More than ever: what was seen before tells nothing. */
void patience_grew(struct patience *patience, size_t instances);
/* A call has come and would wait; the longest has waited for `head_ns`. Does the line shed? */
bool patience_is_over(struct patience *patience, uint64_t head_ns, uint64_t now_ns);
/* Where it sheds: how many may be in line, where they wait for so many places. */
size_t patience_most(const struct patience *patience, size_t places, uint64_t now_ns);
/* How long a line of `count` lasts, by what was served lately; 0: unknown. */
uint64_t patience_drain_ns(const struct patience *patience, size_t count, uint64_t now_ns);
