/* When requests of an open loop are to begin, whatever became of those before.
 *
 * Constant: at equal distances. Poisson: as many independent people ask, by exponential distances.
 * Both follow the plan's rate, ramps included, and share it among threads: together they make the
 * same process as one.
 */
#pragma once

#include "lab/plan.h"
#include "lab/random.h"

enum arrivals_kind { ARRIVALS_CONSTANT, ARRIVALS_POISSON };

struct arrivals {
        const struct plan *plan; /* the caller's, a PLAN_RATE */
        enum arrivals_kind kind;
        struct random random;
        double starts;    /* of the next one: how many of all threads' begin before it */
        double step;      /* threads */
        uint64_t next_ns; /* when the next one begins; UINT64_MAX where the plan has no more */
};

/* For thread `index` of `count`. */
void arrivals_init(struct arrivals *arrivals, const struct plan *plan, enum arrivals_kind kind,
                   uint64_t seed, unsigned index, unsigned count);
/* Goes on to the one after the next. */
void arrivals_pop(struct arrivals *arrivals);
