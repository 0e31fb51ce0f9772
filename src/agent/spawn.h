/* The parent's half of making a sandbox, which has two steps. Parked: whatever does not depend on the
 * function but who it is inside, up to a process that waits for a BOOT frame. Assigned: the function's
 * limits, its code at /code or its image as the root, and that frame. */
#pragma once

#include "agent/cgroup.h"
#include "agent/egress.h"
#include "agent/filter.h"
#include "agent/heirlooms.h"
#include "agent/slots.h"
#include "agent/template.h"
#include "base/err.h"
#include "wire/agent_protocol.h"
#include "wire/worker_protocol.h"

#include <sys/types.h>

#define SPAWN_STACK_SIZE 65536

/* What every spawn needs; made once, in spawner_init(). */
struct spawner {
        struct cgroup_tree cgroups;
        struct template template;
        struct slots slots;
        struct egress egress;
        int oom_fds
                [SLOT_SHARDS]; /* eventfds for cgroup_make(), one for each SLOT_SHARD slots; -1 */
        struct sock_fprog filter; /* the small one, filter.h */
        struct sock_filter filter_instructions[FILTER_CHILD_MAX];
        int proc_fd;                 /* the host's /proc */
        char boot[WORKER_FRAME_MAX]; /* assign.c's */
        _Alignas(16) char stack[SPAWN_STACK_SIZE];
};

/* What a sandbox is parked with. */
struct parking {
        enum agent_runtime runtime; /* its interpreter is started, where that can park; for an image
                                        the root is empty; or 0 */
        bool adopts;                /* the interpreter comes from the nursery instead */
        struct slot_ids ids;        /* the function's, inside */
        struct cgroup_limits limits; /* can be changed later, at a cost */
        uint64_t tmp_bytes;          /* likewise */
        const char *const *early;    /* environment of the interpreter, lent */
        size_t early_count;
};

struct spawned {
        struct slot *slot;
        pid_t pid;
        int pid_fd;                 /* owned by who asked, like the others */
        int mount_fd;               /* its mount namespace, while it is parked */
        int adopted_log_fd;         /* the log pipe's other end, for a process that is to come */
        int fds[AGENT_FD_COUNT];    /* for the gateway */
        bool has_interpreter;       /* BOOT goes to that, and else to magpie-init */
        enum agent_runtime runtime; /* what it is parked for; 0: magpie-init alone */
        bool from_nursery;          /* the interpreter is a fork of the nursery of now */
        uint64_t tmp_bytes;
        uint32_t phase_us[AGENT_PHASE_COUNT]; /* all but AGENT_PHASE_TOTAL */
};

/* Sweeps what an earlier life left, takes the descriptors of `enum zone`, and confines the process
 * itself for good: out of the host's file system, behind the system call filter. */
int spawner_init(struct spawner *spawner, const char *data_dir, struct egress_settings *egress,
                 struct err *err);
/* No sandbox may be left. */
void spawner_deinit(struct spawner *spawner);

/* Returns when magpie-init runs in its sandbox, or with nothing left behind. */
int spawner_park(struct spawner *spawner, const struct parking *parking,
                 struct spawned *ret_spawned, struct err *err);
/* assign.c. `code_fd` is template_open_code()'s, or of an image's template_open_image()'s, and
 * `layers_fd`, where there are layers (else -1), another of the former; the code's `heirloom` goes with
 * it. On failure the sandbox is good for nothing more. */
int spawner_assign(struct spawner *spawner, struct spawned *spawned,
                   const struct agent_spawn *request, int code_fd, int layers_fd,
                   const struct heirloom_lent *heirloom, struct err *err);
/* Ends the sandbox, soon. */
void spawner_kill(const struct spawner *spawner, const struct spawned *spawned);
/* Its sandbox is gone: what it had for itself alone is given up. */
void spawner_give_back(struct spawner *spawner, struct slot *slot);
/* Ends the sandbox at once and waits for it: only for one that cannot be watched. */
void spawner_undo(struct spawner *spawner, struct spawned *spawned);
/* Closes the descriptors for the gateway, and what only a parked one needs. */
void spawned_close_fds(struct spawned *spawned);
/* The tmpfs's options for so many bytes. */
#define TMP_OPTIONS_MAX 96
void tmp_options_make(char ret_options[TMP_OPTIONS_MAX], uint64_t bytes);
