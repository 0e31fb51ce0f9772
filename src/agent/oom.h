/* Sandboxes that run out of memory under the v1 memory controller. There the kernel kills one process
 * and leaves the others to us; v2 kills all by itself, and nothing of this is used.
 *
 * The kernel tells by an eventfd. Sixteen slots share one, since descriptors bound how many sandboxes
 * an agent can have; whose limit it was is told by the counters of kills. They lag behind: the
 * kernel tells before it kills. So the counters are looked at again a few times.
 */
#pragma once

#include "agent/slots.h"
#include "base/list.h"
#include "base/loop.h"

struct agent;
struct instance;

struct oom_shard {
        struct agent *agent;   /* NULL: not in use yet */
        struct list instances; /* those whose first process lives */
        struct loop_source source;
        struct timer timer;
        uint64_t delay_ms; /* to the next look */
};

/* From now on, while it is in its shard's list, this one is killed as a whole. 0 or a negative errno. */
int oom_watch(struct instance *instance);
