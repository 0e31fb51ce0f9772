/* Slots: what a sandbox borrows while it lives. A slot's number names its control group and gives
 * it a host user of its own; no two sandboxes have one at the same time. Several agents on a host
 * (one a data directory) draw their users from different ranges, chosen by a hash.
 *
 * What can be used again is made when the slot is taken and not there yet, and kept for the next
 * sandbox:
 * - the user namespace that maps the function's user to the slot's: entering it costs 3 us, making it
 *   100. An image may name any user; the next sandbox of another one gets another namespace (ADR 0017
 *   says why a slot has one host user and not 65536);
 * - its control groups in v1 hierarchies (cgroup.h);
 * - a network namespace with nothing but a loopback: 3 us, and 450. No process can stay in it, a
 *   socket ends with the last descriptor of it, and none waits out its time (TIME_WAIT is off): the
 *   next sandbox finds it as it was. Nearly: a socket that was sent to the gateway over descriptor 3
 *   ends when the gateway, which never takes one, closes its end. It holds its port until then, and
 *   nobody can read from it; that is why the slot that has been free for longest is taken first. One
 *   that had a way out is given up: egress.h.
 */
#pragma once

#include "agent/cgroup.h"
#include "agent/egress_link.h"
#include "base/err.h"

#include <stdint.h>

#define SLOT_COUNT 16384
#define SLOT_UID_FIRST 2000000000u
#define SLOT_UID_RANGES 8192u /* of SLOT_COUNT users each; the last ends below 2^31 */
#define SLOT_UID_INSIDE 1000u
/* What so many free slots have is kept (0.25 MiB each, most of it the network namespace's); what a
 * crowd leaves behind beyond that is given up. */
#define SLOT_KEPT_MAX 256
/* Slots share what costs a descriptor and can be shared. */
#define SLOT_SHARD 16
#define SLOT_SHARDS (SLOT_COUNT / SLOT_SHARD)

/* Who the function is, seen from inside. */
struct slot_ids {
        uint32_t user, group;
};

/* The one given back first at the bottom. */
struct slot_stack {
        uint32_t count;
        uint32_t *numbers;
};

struct slots {
        int proc_fd;                       /* borrowed: the host's /proc */
        int network_fd;                    /* the agent's own network namespace */
        uint32_t uid_first;                /* slot 0's host user */
        const struct cgroup_tree *cgroups; /* borrowed */
        uint32_t used_count;               /* slots that were ever taken: 0 .. used_count - 1 */
        struct slot_stack kept;            /* free, with all that can be used again */
        struct slot_stack bare;            /* free, with nothing */
        struct slot *slots;
};

/* Lent to whoever has taken it. */
struct slot {
        uint32_t number;
        int user_fd, network_fd; /* namespaces; -1: not made yet */
        struct slot_ids ids;     /* that user_fd maps to the slot's host user */
        struct egress_link link; /* its way out of network_fd, if it has one */
        struct cgroup group;     /* whoever has the slot makes it, leaves it or removes it */
};

/* `hash` chooses the range of users. */
int slots_init(struct slots *slots, const struct cgroup_tree *cgroups, int proc_fd, uint64_t hash);
/* Gives up whatever is kept. */
void slots_deinit(struct slots *slots);

/* For a function that is `ids` inside. 0; -EBUSY: all are taken. What it brings stays the pool's. */
int slots_take(struct slots *slots, struct slot_ids ids, struct slot **ret_slot, struct err *err);
/* The function's user, and its group, as the host sees them. */
uint32_t slots_host_user(const struct slots *slots, const struct slot *slot);
void slots_give_back(struct slots *slots, struct slot *slot);
