/* The child's half of making a sandbox: from the clone to magpie-init. */
#pragma once

#include "agent/slots.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

/* The descriptors that parent and child agree on. The child shares the parent's table at first and
 * then keeps a copy of these alone, so that a cold start costs the same however many descriptors
 * the agent holds. Those up to ZONE_INIT are put there once, the rest by each spawn. */
enum zone {
        ZONE_NULL = 0,      /* /dev/null: the sandbox's standard input */
        ZONE_LOG = 1,       /* in the child only: standard output ... */
        ZONE_ERROR = 2,     /* ... and error */
        ZONE_WORKER = 3,    /* in the child only: the worker socket */
        ZONE_TEMPLATE = 4,  /* the template's mount namespace */
        ZONE_AGENT = 5,     /* the agent's own pidfd */
        ZONE_HIERARCHY = 6, /* three, by controller: the parent group in its v1 hierarchy, if any */
        ZONE_EMPTY = 9,     /* the mount namespace for images */
        ZONE_INIT = 10,     /* magpie-init */
        ZONE_NEW_LOG = 11,
        ZONE_NEW_WORKER = 12,
        ZONE_USER = 13,    /* the slot's user namespace */
        ZONE_NETWORK = 14, /* and network namespace */
        ZONE_END = 15,
};

/* Written by the parent, read by the child through the memory they share, and back. */
struct child_plan {
        uint32_t slot;
        uint32_t hierarchies;    /* v1 hierarchies to join: bit i for ZONE_HIERARCHY + i */
        bool for_image;          /* its root is to be empty */
        struct slot_ids ids;     /* the function's, inside */
        const char *tmp_options; /* for the tmpfs on /tmp */
        const struct sock_fprog *filter;
        const char *const *arguments; /* magpie-init's */
        const char *const *environment;

        const char *failed_step;                      /* out: NULL where magpie-init runs */
        int error;                                    /* out: negative errno */
        uint64_t started_ns, mounted_ns, finished_ns; /* out */
};

/* Does not return. `argument` is a struct child_plan. */
void child_run(void *argument);
