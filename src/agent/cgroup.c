/* One sandbox's control groups; see cgroup.h. */
#include "agent/cgroup.h"

#include "agent/file.h"
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_LENGTH 64
#define CPU_PERIOD_US 100000
/* What may stay charged for the next sandbox. The kernel charges ahead, 64 pages a processor
 * (MEMCG_CHARGE_BATCH in its mm/memcontrol.c), and takes that back when it is needed. */
#define LEFT_CHARGED_MAX (1u << 20)

/* One group in one hierarchy. */
struct place {
        int parent_fd;
        uint64_t name;
};

static struct place in_v2(const struct cgroup_tree *tree, const struct cgroup *group)
{
        return (struct place){tree->unified_fd, group->number};
}

/* Where the group has this controller. */
static struct place place_of(const struct cgroup_tree *tree, const struct cgroup *group,
                             enum cgroup_controller which)
{
        if (tree->v1_fd[which] < 0)
                return in_v2(tree, group);
        return (struct place){tree->v1_fd[which], group->slot};
}

static int make_folder(struct place place)
{
        char name[24];

        (void)snprintf(name, sizeof(name), "%" PRIu64, place.name);
        return mkdirat(place.parent_fd, name, 0755) < 0 ? -errno : 0;
}

/* 0 also where there is none. */
static int remove_folder(struct place place)
{
        char name[24];

        (void)snprintf(name, sizeof(name), "%" PRIu64, place.name);
        return unlinkat(place.parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_attribute(struct place place, const char *attribute, int flags)
{
        char path[PATH_MAX_LENGTH];
        int fd;

        (void)snprintf(path, sizeof(path), "%" PRIu64 "/%s", place.name, attribute);
        fd = openat(place.parent_fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

static int write_text(struct place place, const char *attribute, const char *text)
{
        char path[PATH_MAX_LENGTH];

        (void)snprintf(path, sizeof(path), "%" PRIu64 "/%s", place.name, attribute);
        return file_write_at(place.parent_fd, path, text);
}

static int write_number(struct place place, const char *attribute, uint64_t number)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "%" PRIu64, number);
        return write_text(place, attribute, text);
}

static void read_text(struct place place, const char *attribute, char *ret_text, size_t capacity)
{
        char path[PATH_MAX_LENGTH];

        (void)snprintf(path, sizeof(path), "%" PRIu64 "/%s", place.name, attribute);
        if (file_read_at(place.parent_fd, path, ret_text, capacity) < 0)
                ret_text[0] = '\0';
}

/* The number after `key` at the start of a line, 0 where there is none. */
static uint64_t find_number(const char *text, const char *key)
{
        size_t length = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, key, length) == 0 && line[length] == ' ')
                        return strtoull(line + length, NULL, 10);
        }
        return 0;
}

/* Where swap accounting is off its file is missing, and swap is then bounded by nothing else. That
 * is the host's choice. */
static int optional(int r)
{
        return r == -ENOENT ? 0 : r;
}

/* v1's limit of memory and swap together is never below that of memory alone: raised, it goes first;
 * lowered, it comes last. */
static int limit_memory_v1(struct place place, uint64_t old_bytes, uint64_t bytes)
{
        static const char memory[] = "memory.limit_in_bytes",
                          both[] = "memory.memsw.limit_in_bytes";
        bool raised = old_bytes != 0 && bytes > old_bytes;
        int r = raised ? optional(write_number(place, both, bytes)) : 0;

        if (r == 0)
                r = write_number(place, memory, bytes);
        return r < 0 || raised ? r : optional(write_number(place, both, bytes));
}

static int limit_memory_v2(struct place place, uint64_t bytes)
{
        int r = write_number(place, "memory.max", bytes);

        if (r == 0)
                r = optional(write_number(place, "memory.swap.max", 0));
        return r < 0 ? r : write_number(place, "memory.oom.group", 1);
}

/* `old_bytes`: 0 where there was no limit. */
static int limit_memory(const struct cgroup_tree *tree, const struct cgroup *group,
                        uint64_t old_bytes, uint64_t bytes)
{
        struct place place = place_of(tree, group, CGROUP_MEMORY);

        return tree->v1_fd[CGROUP_MEMORY] >= 0 ? limit_memory_v1(place, old_bytes, bytes)
                                               : limit_memory_v2(place, bytes);
}

static int limit_cpu_v1(struct place place, uint32_t millis, uint64_t quota_us)
{
        int r = write_number(place, "cpu.cfs_period_us", CPU_PERIOD_US);

        if (r < 0)
                return r;
        return millis == 0 ? write_text(place, "cpu.cfs_quota_us", "-1")
                           : write_number(place, "cpu.cfs_quota_us", quota_us);
}

static int limit_cpu(const struct cgroup_tree *tree, const struct cgroup *group, uint32_t millis)
{
        struct place place = place_of(tree, group, CGROUP_CPU);
        uint64_t quota_us = (uint64_t)millis * CPU_PERIOD_US / 1000;
        char text[48];

        if (!tree->has_cpu)
                return -ENOTSUP;
        if (tree->v1_fd[CGROUP_CPU] >= 0)
                return limit_cpu_v1(place, millis, quota_us);
        if (millis == 0)
                return write_text(place, "cpu.max", "max");
        (void)snprintf(text, sizeof(text), "%" PRIu64 " %d", quota_us, CPU_PERIOD_US);
        return write_text(place, "cpu.max", text);
}

static int remove_v1(const struct cgroup_tree *tree, struct cgroup *group)
{
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
                int r = tree->v1_fd[i] < 0
                                ? 0
                                : remove_folder((struct place){tree->v1_fd[i], group->slot});
                if (r < 0)
                        return r;
        }
        group->has_v1 = group->is_spoilt = false;
        group->limits = (struct cgroup_limits){0};
        return 0;
}

/* Tells `oom_fd` when the group meets its limit of memory: cgroups-v1/memory.rst of the kernel's
 * documentation, "OOM Control". */
static int register_oom_event(struct place place, int oom_fd)
{
        AUTO(fd_close) int control_fd = open_attribute(place, "memory.oom_control", O_RDONLY);
        char text[32];

        if (control_fd < 0)
                return control_fd;
        (void)snprintf(text, sizeof(text), "%d %d", oom_fd, control_fd);
        return write_text(place, "cgroup.event_control", text);
}

static int make_v1(const struct cgroup_tree *tree, struct cgroup *group, int oom_fd)
{
        group->has_v1 = true;
        group->limits = (struct cgroup_limits){0};
        group->oom_kills = 0;
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
                int r = tree->v1_fd[i] < 0
                                ? 0
                                : make_folder((struct place){tree->v1_fd[i], group->slot});
                /* Two controllers may share a hierarchy, so the second finds the folder made. */
                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return oom_fd < 0 ? 0 : register_oom_event(place_of(tree, group, CGROUP_MEMORY), oom_fd);
}

/* What is left of another sandbox's life: the peak, set back, is what is there now. */
static uint64_t left_charged(struct place place)
{
        AUTO(fd_close) int fd = open_attribute(place, "memory.max_usage_in_bytes", O_RDWR);
        char text[32] = "";

        if (fd < 0 || write(fd, "0", 1) < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0)
                return UINT64_MAX;
        return strtoull(text, NULL, 10);
}

static int prepare_v1(const struct cgroup_tree *tree, struct cgroup *group, int oom_fd)
{
        struct place place = place_of(tree, group, CGROUP_MEMORY);
        bool has_memory = tree->v1_fd[CGROUP_MEMORY] >= 0;
        int r = 0;

        if (group->has_v1 &&
            (group->is_spoilt || (has_memory && left_charged(place) > LEFT_CHARGED_MAX)))
                r = remove_v1(tree, group);
        return r < 0 || group->has_v1 ? r : make_v1(tree, group, oom_fd);
}

static int make_v2(struct cgroup_tree *tree, struct cgroup *group)
{
        /* A spawn that failed late may have left the folder, because its process was still on the
         * way out. */
        int r = group->number == 0 ? 0 : cgroup_leave(tree, group);

        if (r < 0)
                return r;
        group->number = tree->next_number++;
        r = make_folder(in_v2(tree, group));
        if (r < 0)
                group->number = 0;
        return r;
}

/* What does not change is not written. */
static int change_limits(const struct cgroup_tree *tree, const struct cgroup *group,
                         const struct cgroup_limits *limits, struct err *err)
{
        const struct cgroup_limits *old = &group->limits;
        int r = 0;

        if (limits->memory_bytes != old->memory_bytes)
                r = limit_memory(tree, group, old->memory_bytes, limits->memory_bytes);
        if (r < 0)
                return err_errno(err, r, "limiting its memory");
        if (limits->process_max != old->process_max)
                r = write_number(place_of(tree, group, CGROUP_PIDS), "pids.max",
                                 limits->process_max);
        if (r < 0)
                return err_errno(err, r, "limiting its processes");
        if (limits->cpu_millis != old->cpu_millis)
                r = limit_cpu(tree, group, limits->cpu_millis);
        return r < 0 ? err_errno(err, r, "limiting its CPU time") : 0;
}

int cgroup_change_limits(const struct cgroup_tree *tree, struct cgroup *group,
                         const struct cgroup_limits *limits, struct err *err)
{
        int r = change_limits(tree, group, limits, err);

        group->is_spoilt = r < 0;
        group->limits = *limits;
        return r;
}

int cgroup_make(struct cgroup_tree *tree, struct cgroup *group, const struct cgroup_limits *limits,
                int oom_fd, struct err *err)
{
        int r = make_v2(tree, group);

        if (r == 0)
                r = prepare_v1(tree, group, oom_fd);
        if (r < 0)
                (void)err_errno(err, r, "making its control group");
        else
                r = cgroup_change_limits(tree, group, limits, err);
        if (r < 0)
                (void)cgroup_remove(tree, group);
        return r;
}

int cgroup_leave(const struct cgroup_tree *tree, struct cgroup *group)
{
        int r = group->number == 0 ? 0 : remove_folder(in_v2(tree, group));

        if (r < 0)
                return r;
        group->number = 0;
        if (tree->v1_fd[CGROUP_MEMORY] < 0)
                group->limits.memory_bytes = 0;
        if (tree->v1_fd[CGROUP_PIDS] < 0)
                group->limits.process_max = 0;
        if (tree->v1_fd[CGROUP_CPU] < 0)
                group->limits.cpu_millis = 0;
        /* Nobody is left in them. Where they stay for all that, nothing would ever tell us to try
         * again: prepare_v1() does, for the next sandbox. */
        if (group->is_spoilt)
                (void)remove_v1(tree, group);
        return 0;
}

int cgroup_remove(const struct cgroup_tree *tree, struct cgroup *group)
{
        int r = cgroup_leave(tree, group);

        return r < 0 ? r : remove_v1(tree, group);
}

int cgroup_kill(const struct cgroup_tree *tree, const struct cgroup *group)
{
        return write_text(in_v2(tree, group), "cgroup.kill", "1");
}

int cgroup_open_parent(const struct cgroup_tree *tree)
{
        int fd = openat(tree->unified_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int cgroup_let_freeze(const struct cgroup_tree *tree, const struct cgroup *group, uid_t user)
{
        char path[PATH_MAX_LENGTH];

        (void)snprintf(path, sizeof(path), "%" PRIu64 "/cgroup.freeze", group->number);
        return fchownat(tree->unified_fd, path, user, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
                                                                                          : 0;
}

int cgroup_open_group(const struct cgroup_tree *tree, const struct cgroup *group)
{
        return open_attribute(in_v2(tree, group), "", O_PATH | O_DIRECTORY);
}

int cgroup_open_events(const struct cgroup_tree *tree, const struct cgroup *group)
{
        return open_attribute(in_v2(tree, group), "cgroup.events", O_RDONLY);
}

int cgroup_open_threads(const struct cgroup_tree *tree, const struct cgroup *group)
{
        return open_attribute(in_v2(tree, group), "cgroup.threads", O_RDONLY);
}

int cgroup_open_tasks(const struct cgroup_tree *tree, const struct cgroup *group,
                      int ret_fds[CGROUP_CONTROLLER_COUNT])
{
        int r = 0;

        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
                ret_fds[i] = -1;
                if (tree->v1_fd[i] < 0 || r < 0)
                        continue;
                ret_fds[i] = open_attribute((struct place){tree->v1_fd[i], group->slot}, "tasks",
                                            O_WRONLY);
                if (ret_fds[i] < 0)
                        r = ret_fds[i];
        }
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT && r < 0; i++)
                fd_close(&ret_fds[i]);
        return r;
}

bool cgroup_tells_oom(const struct cgroup_tree *tree)
{
        return tree->v1_fd[CGROUP_MEMORY] >= 0;
}

/* Since the group was made. */
static uint64_t read_oom_kills(const struct cgroup_tree *tree, const struct cgroup *group)
{
        char text[512];

        read_text(place_of(tree, group, CGROUP_MEMORY),
                  cgroup_tells_oom(tree) ? "memory.oom_control" : "memory.events", text,
                  sizeof(text));
        return find_number(text, "oom_kill");
}

uint64_t cgroup_oom_kills(const struct cgroup_tree *tree, const struct cgroup *group)
{
        uint64_t all = read_oom_kills(tree, group);

        return all > group->oom_kills ? all - group->oom_kills : 0;
}

void cgroup_read_usage(const struct cgroup_tree *tree, struct cgroup *group,
                       struct cgroup_usage *ret_usage)
{
        bool is_v1 = tree->v1_fd[CGROUP_MEMORY] >= 0;
        char text[32];

        read_text(place_of(tree, group, CGROUP_MEMORY),
                  is_v1 ? "memory.max_usage_in_bytes" : "memory.peak", text, sizeof(text));
        ret_usage->memory_peak = strtoull(text, NULL, 10);
        ret_usage->oom_kills = cgroup_oom_kills(tree, group);
        /* A v2 group is counted from 0 again. */
        group->oom_kills = is_v1 ? group->oom_kills + ret_usage->oom_kills : 0;
}
