/* Constant and Poisson arrivals; see arrivals.h. */
#include "lab/arrivals.h"

#include <math.h>

static double distance(struct arrivals *arrivals)
{
        switch (arrivals->kind) {
        case ARRIVALS_CONSTANT:
                return arrivals->step;
        case ARRIVALS_POISSON:
                return -log(random_unit(&arrivals->random)) * arrivals->step;
        }
        return arrivals->step;
}

void arrivals_init(struct arrivals *arrivals, const struct plan *plan, enum arrivals_kind kind,
                   uint64_t seed, unsigned index, unsigned count)
{
        *arrivals = (struct arrivals){.plan = plan, .kind = kind, .step = count};
        random_init(&arrivals->random, seed + index);
        arrivals->starts = kind == ARRIVALS_CONSTANT ? index : distance(arrivals);
        arrivals->next_ns = plan_time_of(plan, arrivals->starts);
}

void arrivals_pop(struct arrivals *arrivals)
{
        arrivals->starts += distance(arrivals);
        arrivals->next_ns = plan_time_of(arrivals->plan, arrivals->starts);
}
