/* How a sandbox's processes wake up. The kernel lets whoever wakes up take the processor of another that
 * has had more of it. A function that is called often should not: the gateway wakes it in the middle of
 * sending it more, and each call would cost two switches. One that is called seldom should, or it waits for
 * the next tick behind somebody busy. What is changed is SCHED_OTHER into SCHED_BATCH and back; shares of the
 * processor stay as they are (sched(7)). Whoever chose another than these two for himself keeps it. ADR 0004. */
#pragma once

#include "agent/cgroup.h"

#include <stdbool.h>

/* For all threads that are in the group now; those that they make later have what they have. 0, also where
 * it is just ending, or a negative errno: -EPERM without CAP_SYS_NICE. */
int courtesy_set(const struct cgroup_tree *tree, const struct cgroup *group, bool polite);
