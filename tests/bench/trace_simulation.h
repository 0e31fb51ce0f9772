/* One function's calls on virtual time, with the core's own pool and keep-alive.
 *
 * The part of the gateway is played here as in src/gateway/scheduler_tick.c: calls take an instance or
 * wait, boots take a fixed time, a tick ends what is not worth its memory and boots ahead. The machine
 * has room for everything.
 */
#pragma once

#include "core/provisioner/keep_alive.h"

struct trace_call {
        uint64_t begin_ns, run_ns;
};

struct trace {
        double memory_mib;              /* of each instance */
        uint64_t end_ns;                /* nothing is counted after it */
        const struct trace_call *calls; /* by `begin_ns` */
        size_t call_count;
};

struct policy {
        const char *name;
        uint64_t keep_alive_ns; /* fixed; where it is learned: of instances above the places */
        bool is_learned;
        /* Reads another plan from the histogram than magpie does; NULL: magpie's. */
        void (*make_plan)(const struct idle_times *times, uint64_t *ret_warm);
};

struct tally {
        uint64_t calls, cold, stolen; /* by how their instance was found */
        uint64_t ahead, ahead_unused; /* boots ahead of calls */
        double memory_mib_s;          /* from the order of an instance to its end */
        double busy_mib_s;            /* while a call ran */
};

/* Adds to `tally`. Ends the process without memory. */
void trace_simulate(const struct trace *trace, const struct policy *policy, uint64_t boot_ns,
                    struct tally *tally);
