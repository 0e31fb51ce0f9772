/* The parent's half of making a sandbox. */
#pragma once

#include "agent/cgroup.h"
#include "agent/filter.h"
#include "agent/slots.h"
#include "agent/template.h"
#include "base/err.h"
#include "wire/agent_protocol.h"

#include <sys/types.h>

#define SPAWN_STACK_SIZE 65536

/* What every spawn needs; made once, in spawner_init(). */
struct spawner {
        struct cgroup_tree cgroups;
        struct template template;
        struct slots slots;
        struct sock_fprog filter; /* the small one, filter.h */
        struct sock_filter filter_instructions[FILTER_CHILD_MAX];
        int proc_fd; /* the host's /proc */
        _Alignas(16) char stack[SPAWN_STACK_SIZE];
};

struct spawned {
        uint32_t slot;
        pid_t pid;
        int pid_fd;              /* owned by who asked, like the others */
        int oom_fd;              /* -1 where the kernel acts by itself; cgroup_open_oom_event() */
        int fds[AGENT_FD_COUNT]; /* for the gateway */
        uint32_t phase_us[AGENT_PHASE_COUNT]; /* all but AGENT_PHASE_TOTAL */
};

/* Sweeps what an earlier life left, takes the descriptors of `enum zone`, and confines the process
 * itself for good: out of the host's file system, behind the system call filter. */
int spawner_init(struct spawner *spawner, const char *data_dir, struct err *err);
/* No sandbox may be left. */
void spawner_deinit(struct spawner *spawner);

/* Returns when magpie-init runs in its sandbox, or with nothing left behind. */
int spawner_spawn(struct spawner *spawner, const struct agent_spawn *request,
                  struct spawned *ret_spawned, struct err *err);
/* Ends the sandbox at once and waits for it: only for one that cannot be watched. */
void spawner_undo(struct spawner *spawner, struct spawned *spawned);
/* Closes the descriptors for the gateway. */
void spawned_close_fds(struct spawned *spawned);
