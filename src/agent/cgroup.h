/* The control groups of the sandboxes, whatever layout the host has.
 *
 * The v2 hierarchy always carries membership, freezing and killing: it exists on every kernel this
 * runs on, even where no controller is attached to it. Memory, process and CPU limits are set by
 * its controllers where it has them, else in the v1 hierarchy that holds the controller. So one
 * code path serves pure v2, pure v1 and every hybrid; docs/adr/0005-cgroup-layouts.md.
 *
 * In every hierarchy used there is one parent group a data directory, "magpie-<hash>", and below
 * it one group a sandbox, named in v1 hierarchies by its slot's number and in v2 by a number that no
 * sandbox has had before.
 *
 * The group in the v2 hierarchy is made for each sandbox and removed behind it: what anybody holds
 * open of it (to freeze it, say) is then good for nothing more, and that it could be removed proves
 * that nobody is left. Those in v1 hierarchies stay with the slot for its next sandbox, because
 * making and removing them is what costs; see struct cgroup.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_controller { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_CONTROLLER_COUNT };

struct cgroup_tree {
        char name[32];  /* of the parent group, the same in every hierarchy */
        int unified_fd; /* the parent group in the v2 hierarchy */
        /* The parent group in the controller's v1 hierarchy; -1: the controller is v2's. */
        int v1_fd[CGROUP_CONTROLLER_COUNT];
        bool has_cpu;
        uint64_t next_number; /* see struct cgroup */
};

struct cgroup_limits {
        uint64_t memory_bytes;
        uint32_t process_max;
        uint32_t cpu_millis; /* 0: no limit */
};

struct cgroup_usage {
        uint64_t memory_peak; /* bytes; 0 where the kernel does not tell (v2 before 5.19) */
        uint64_t oom_kills;
};

/* A slot's groups. What the next sandbox must not notice of the one before is the memory that was
 * charged and has stayed (page cache of files that it was the first to read): where there is more
 * than a little of it the groups are made anew. The peak is set back, and the counter is compared
 * with what it was. */
struct cgroup {
        uint32_t slot;   /* names its v1 groups */
        uint64_t number; /* names its v2 group, in this life of an agent or any other; 0: none */
        bool has_v1;
        bool is_spoilt; /* nobody knows its limits: it does not stay */
        /* What has been set; while no sandbox is there, of v1's groups only. */
        struct cgroup_limits limits;
        uint64_t oom_kills; /* counted before this sandbox */
};

/* cgroup_layout.c: finds the hierarchies, makes the parent groups and passes the controllers down.
 * -EBUSY: another agent holds this data directory's groups. */
int cgroup_tree_open(struct cgroup_tree *tree, const char *name, struct err *err);
void cgroup_tree_close(struct cgroup_tree *tree);
/* Kills whatever an earlier life left, waits until it is gone, removes its groups. */
int cgroup_tree_sweep(struct cgroup_tree *tree, struct err *err);
/* Removes the parent groups, where they are empty. */
void cgroup_tree_remove(struct cgroup_tree *tree);

/* Makes the groups for a sandbox with its limits, or those that are not there yet. `oom_fd`, where it
 * is not -1, is an eventfd that counts from now on when the v1 memory limit is hit (and once when
 * the group is removed). Nothing is left on failure. */
int cgroup_make(struct cgroup_tree *tree, struct cgroup *group, const struct cgroup_limits *limits,
                int oom_fd, struct err *err);
/* Other limits for a sandbox. */
int cgroup_change_limits(const struct cgroup_tree *tree, struct cgroup *group,
                         const struct cgroup_limits *limits, struct err *err);
/* The sandbox has ended: what stays is for the next one. 0; -EBUSY while a process is in it; gone
 * already is fine. */
int cgroup_leave(const struct cgroup_tree *tree, struct cgroup *group);
/* The same, and nothing stays. */
int cgroup_remove(const struct cgroup_tree *tree, struct cgroup *group);

/* SIGKILL for every process in the group, whatever it forks meanwhile, frozen or not. */
int cgroup_kill(const struct cgroup_tree *tree, const struct cgroup *group);
/* For whoever may freeze sandboxes: the folder of all in the v2 hierarchy, where each has the file
 * NUMBER/cgroup.freeze, and the right to write to that of one. */
int cgroup_open_parent(const struct cgroup_tree *tree);
int cgroup_let_freeze(const struct cgroup_tree *tree, const struct cgroup *group, uid_t user);
/* The group's folder in the v2 hierarchy (for CLONE_INTO_CGROUP). A descriptor or a negative
 * errno. */
int cgroup_open_group(const struct cgroup_tree *tree, const struct cgroup *group);
/* Readiness is EPOLLPRI, whenever the group gets empty (or is frozen, or thawed). */
int cgroup_open_events(const struct cgroup_tree *tree, const struct cgroup *group);
/* The list of the threads that are in it. Likewise. */
int cgroup_open_threads(const struct cgroup_tree *tree, const struct cgroup *group);
/* The files by which a process joins the group's v1 hierarchies by itself, into ret_fds, -1 where there
 * is none. 0 or a negative errno, and then nothing is open. */
int cgroup_open_tasks(const struct cgroup_tree *tree, const struct cgroup *group,
                      int ret_fds[CGROUP_CONTROLLER_COUNT]);
/* Does nobody but the agent end the rest, when the kernel has killed a process for want of memory? So
 * it is with v1; v2 kills the whole group by itself (memory.oom.group). */
bool cgroup_tells_oom(const struct cgroup_tree *tree);
/* How many processes of this sandbox the kernel has killed for want of memory. */
uint64_t cgroup_oom_kills(const struct cgroup_tree *tree, const struct cgroup *group);
/* Once, when it has ended. */
void cgroup_read_usage(const struct cgroup_tree *tree, struct cgroup *group,
                       struct cgroup_usage *ret_usage);
