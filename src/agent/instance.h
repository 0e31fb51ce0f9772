/* One sandbox from SPAWNED to EXITED.
 *
 *     RUNNING -> EMPTYING -> gone
 *
 * RUNNING: magpie-init lives. EMPTYING: it has been reaped, and the control group is being waited
 * for. Nothing here waits: a pidfd tells of the first process's end, cgroup.events of the last's.
 */
#pragma once

#include "agent/spawn.h"
#include "base/list.h"
#include "base/loop.h"

struct gateway;

enum instance_state { INSTANCE_RUNNING, INSTANCE_EMPTYING };

struct instance {
        struct list by_gateway; /* on its gateway's list, while that is there */
        struct list by_id;      /* on a list of the agent's table */
        struct list all;
        struct agent *agent;
        struct gateway *gateway; /* who asked for it; NULL once that is gone */
        uint64_t id;             /* the gateway's */
        enum instance_state state;
        uint32_t slot;
        pid_t pid;
        int pid_fd, oom_fd, events_fd;
        struct loop_source exit, oom, events;
        bool kill_asked, out_of_memory;
        uint32_t cause, code; /* valid when EMPTYING; enum agent_exit_cause */
        uint64_t memory_peak; /* likewise, bytes */
};

/* Makes a sandbox as asked and watches it. The descriptors for the gateway stay the caller's, in
 * `ret_spawned`. On failure nothing is left behind. */
int instance_spawn(struct agent *agent, struct gateway *gateway, const struct agent_spawn *request,
                   struct spawned *ret_spawned, struct err *err);
/* Asks for the end; gateway_send_exited() follows. */
void instance_kill(struct instance *instance);
