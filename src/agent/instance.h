/* One sandbox from its making to EXITED.
 *
 *     PARKED -> RUNNING -> EMPTYING -> gone
 *
 * PARKED: it has no function yet. RUNNING: it has one. EMPTYING: it has been reaped, and its control
 * group is being waited for. Nothing here waits: a pidfd tells of the first process's end,
 * cgroup.events of the last's. */
#pragma once

#include "agent/spawn.h"
#include "base/list.h"
#include "base/loop.h"

struct gateway;

enum instance_state { INSTANCE_PARKED, INSTANCE_RUNNING, INSTANCE_EMPTYING };

struct instance {
        struct list by_gateway; /* on its gateway's list, while that is there; parked: its kind's */
        struct list by_id;      /* on a list of the agent's table */
        struct list by_shard;   /* oom.c's */
        struct list all;
        struct agent *agent;
        struct gateway *gateway; /* who asked for it; NULL once that is gone */
        uint64_t id;             /* the gateway's */
        enum instance_state state;
        struct spawned made;
        int events_fd;
        struct loop_source exit, events;
        bool kill_asked;
        uint32_t cause, code; /* valid when EMPTYING; enum agent_exit_cause */
        uint64_t memory_peak; /* likewise, bytes */
        struct list by_birth; /* on the stock's list while it waits for a fork of the nursery */
        uint64_t birth;       /* the number under which that was asked for */
        uint64_t heirloom;    /* the number of what it has taken over; 0: nothing */
        uint64_t fills;       /* the number of what it is to leave to the others; 0: nothing */
};

/* Makes a sandbox without a function and watches it. It belongs to whoever has it in a list. */
int instance_park(struct agent *agent, const struct parking *parking,
                  struct instance **ret_instance, struct err *err);
/* Gives this gateway a sandbox as asked, from stock or new. What its layers bring is added to the
 * request's environment. The descriptors in ret_instance->made are to be closed when they have been
 * sent. */
int instance_spawn(struct agent *agent, struct gateway *gateway, struct agent_spawn *request,
                   struct instance **ret_instance, struct err *err);
/* Asks for the end; gateway_send_exited() follows. */
void instance_kill(struct instance *instance);
