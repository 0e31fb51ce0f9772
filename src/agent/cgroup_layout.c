/* Which hierarchy holds which controller on this host, and our parent group in each; see cgroup.h.
 *
 * /proc/self/cgroup (cgroups(7)) lists every hierarchy in use: "0::PATH" is v2, "N:LIST:PATH" a v1
 * hierarchy with the controllers of LIST. A hierarchy that the host has mounted is used where it
 * is; one that it has not is mounted here, attached to no path. The host's mount is preferred
 * because mounting v2 again would reset its options (nsdelegate, memory_recursiveprot) for all.
 */
#include "agent/cgroup.h"
#include "agent/file.h"
#include "base/auto.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 3000
#define LOCK_STEP_MS 5
#define SWEEP_DEADLINE_MS 10000
#define CPU_SHARES_ONE 1024 /* what a process weighs: v1, and v2 */
#define CPU_WEIGHT_ONE 100
#define CPU_WEIGHT_MOST 10000

static const char *const controller_names[CGROUP_CONTROLLER_COUNT] = {
        [CGROUP_MEMORY] = "memory",
        [CGROUP_PIDS] = "pids",
        [CGROUP_CPU] = "cpu",
};

/* Is `word` one of the words of `list`, which `separators` part? */
static bool list_has(const char *list, const char *separators, const char *word)
{
        size_t length = strlen(word);

        while (*list) {
                size_t span = strcspn(list, separators);
                if (span == length && strncmp(list, word, length) == 0)
                        return true;
                list += span;
                list += *list != '\0';
        }
        return false;
}

/* The controllers that share a v1 hierarchy with `controller`, as /proc/self/cgroup lists them.
 * False: no v1 hierarchy has it. */
static bool find_v1_controllers(const char *controller, char *ret_list, size_t capacity)
{
        AUTO(file_close) FILE *file = fopen("/proc/self/cgroup", "re");
        AUTO(memory_free) char *line = NULL;
        size_t line_capacity = 0;

        while (file && getline(&line, &line_capacity, file) > 0) {
                char *rest = line;
                (void)strsep(&rest, ":");
                char *list = strsep(&rest, ":");
                if (!list || !rest || !list_has(list, ",", controller))
                        continue;
                (void)snprintf(ret_list, capacity, "%s", list);
                return true;
        }
        return false;
}

/* The host's own mount of a hierarchy: v2 (NULL) or the v1 one with `controller`. A descriptor, or
 * -ENOENT. Fields as in proc_pid_mountinfo(5). */
static int open_host_mount(const char *controller)
{
        AUTO(file_close) FILE *file = fopen("/proc/self/mountinfo", "re");
        AUTO(memory_free) char *line = NULL;
        size_t line_capacity = 0;
        const char *type = controller ? "cgroup" : "cgroup2";

        while (file && getline(&line, &line_capacity, file) > 0) {
                char root[8], point[256], found_type[16], options[256];
                const char *dash = strstr(line, " - ");
                int fd;

                line[strcspn(line, "\n")] = '\0';
                if (!dash || sscanf(line, "%*d %*d %*s %7s %255s", root, point) != 2 ||
                    sscanf(dash, " - %15s %*s %255s", found_type, options) != 2)
                        continue;
                if (strcmp(found_type, type) != 0 || strcmp(root, "/") != 0)
                        continue;
                if (controller && !list_has(options, ",", controller))
                        continue;
                fd = open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
                /* Something else may be mounted over it. */
                if (fd >= 0 && faccessat(fd, "cgroup.procs", F_OK, 0) == 0)
                        return fd;
                fd_close(&fd);
        }
        return -ENOENT;
}

/* Mounts a hierarchy at no path. `v1_list` as for find_v1_controllers(), NULL: v2. */
static int open_own_mount(const char *v1_list)
{
        AUTO(fd_close) int context = fsopen(v1_list ? "cgroup" : "cgroup2", FSOPEN_CLOEXEC);
        char words[128] = "", *rest = words, *word;
        int fd;

        if (context < 0)
                return -errno;
        if (v1_list)
                (void)snprintf(words, sizeof(words), "%s", v1_list);
        while (v1_list && (word = strsep(&rest, ",")))
                if (fsconfig(context, FSCONFIG_SET_FLAG, word, NULL, 0) < 0)
                        return -errno;
        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        return fd < 0 ? -errno : fd;
}

/* Opens, and makes where it is missing, the group `name` at the top of a hierarchy. */
static int open_parent(int root_fd, const char *name)
{
        int fd;

        if (mkdirat(root_fd, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

static int open_v1_parent(const char *controller, const char *list, const char *name)
{
        AUTO(fd_close) int root_fd = open_host_mount(controller);

        if (root_fd < 0)
                root_fd = open_own_mount(list);
        return root_fd < 0 ? root_fd : open_parent(root_fd, name);
}

/* In a container the "root" group of the hierarchy is an ordinary one for the kernel: it cannot
 * both hold processes and pass controllers down (cgroups(7), "no internal processes"). So whoever
 * is in it moves to a group beside ours. */
static int vacate(int root_fd)
{
        AUTO(file_close) FILE *file = NULL;
        AUTO(memory_free) char *line = NULL;
        size_t line_capacity = 0;
        int fd;

        if (mkdirat(root_fd, "magpie-host", 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(root_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        file = fdopen(fd, "re");
        if (!file) {
                fd_close(&fd);
                return -ENOMEM;
        }
        while (getline(&line, &line_capacity, file) > 0)
                /* One that has ended meanwhile, or that lives outside of this container and
                 * reads as 0, does not matter: enabling tells. */
                (void)file_write_at(root_fd, "magpie-host/cgroup.procs", line);
        return 0;
}

/* Passes a v2 controller down from the group `fd` to its children. */
static int enable(int fd, const char *controller)
{
        char text[16];
        int r;

        (void)snprintf(text, sizeof(text), "+%s", controller);
        r = file_write_at(fd, "cgroup.subtree_control", text);
        if (r == -EBUSY) {
                r = vacate(fd);
                if (r == 0)
                        r = file_write_at(fd, "cgroup.subtree_control", text);
        }
        return r;
}

/* Decides where `controller` lives, and prepares the parent group there. */
static int open_controller(struct cgroup_tree *tree, enum cgroup_controller which, int root_fd,
                           const char *available, const char *name, struct err *err)
{
        const char *controller = controller_names[which];
        char list[128];
        int r;

        if (find_v1_controllers(controller, list, sizeof(list))) {
                r = open_v1_parent(controller, list, name);
                if (r < 0)
                        return err_errno(err, r, "using the v1 control group hierarchy '%s'", list);
                tree->v1_fd[which] = r;
                return 0;
        }
        if (!list_has(available, " \n", controller))
                return err_set(err, -ENOTSUP,
                               "the kernel offers no '%s' controller (is it disabled by "
                               "cgroup_disable=?)",
                               controller);
        r = enable(root_fd, controller);
        if (r == 0)
                r = enable(tree->unified_fd, controller);
        if (r < 0)
                return err_errno(err, r, "enabling the '%s' controller", controller);
        return 0;
}

/* An agent that was killed lets go only when the kernel has closed all that it held, which may be
 * after the next one has been started. */
static int lock_parent(int parent_fd, struct err *err)
{
        for (int waited_ms = 0; flock(parent_fd, LOCK_EX | LOCK_NB) < 0;
             waited_ms += LOCK_STEP_MS) {
                if (errno != EWOULDBLOCK)
                        return err_errno(err, -errno, "locking the control group");
                if (waited_ms >= LOCK_WAIT_MS)
                        return err_set(err, -EBUSY,
                                       "another magpie-agent serves this data directory");
                (void)poll(NULL, 0, LOCK_STEP_MS);
        }
        return 0;
}

static int open_unified(struct cgroup_tree *tree, const char *name, int *ret_root_fd,
                        struct err *err)
{
        int root_fd = open_host_mount(NULL);

        if (root_fd < 0)
                root_fd = open_own_mount(NULL);
        if (root_fd < 0)
                return err_errno(err, root_fd, "mounting the cgroup v2 hierarchy");
        *ret_root_fd = root_fd;
        tree->unified_fd = open_parent(root_fd, name);
        if (tree->unified_fd < 0)
                return err_errno(err, tree->unified_fd, "making the control group '%s'", name);
        return lock_parent(tree->unified_fd, err);
}

/* All sandboxes together weigh as much as one process on each processor. As a group among processes they
 * would weigh as much as one process on all of them, and be starved by whoever asks them, the gateway
 * itself among others. Where it cannot be set it stays as it is. */
static void weigh(const struct cgroup_tree *tree)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        char text[24];

        if (processors < 1)
                return;
        if (tree->v1_fd[CGROUP_CPU] >= 0) {
                (void)snprintf(text, sizeof(text), "%ld", processors * CPU_SHARES_ONE);
                (void)file_write_at(tree->v1_fd[CGROUP_CPU], "cpu.shares", text);
                return;
        }
        if (processors > CPU_WEIGHT_MOST / CPU_WEIGHT_ONE)
                processors = CPU_WEIGHT_MOST / CPU_WEIGHT_ONE;
        (void)snprintf(text, sizeof(text), "%ld", processors * CPU_WEIGHT_ONE);
        (void)file_write_at(tree->unified_fd, "cpu.weight", text);
}

int cgroup_tree_open(struct cgroup_tree *tree, const char *name, struct err *err)
{
        AUTO(fd_close) int root_fd = -1;
        /* Nobody makes a sandbox a microsecond, so no life meets the numbers of the one before. */
        struct cgroup_tree opened = {
                .unified_fd = -1, .v1_fd = {-1, -1, -1}, .next_number = clock_now_ns() / 1000};
        char available[256];
        int r = open_unified(&opened, name, &root_fd, err);

        (void)snprintf(opened.name, sizeof(opened.name), "%s", name);
        if (r == 0 && file_read_at(root_fd, "cgroup.controllers", available, sizeof(available)) < 0)
                available[0] = '\0';
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT && r == 0; i++) {
                r = open_controller(&opened, (enum cgroup_controller)i, root_fd, available, name,
                                    err);
                /* A function without a CPU limit runs on a host that cannot set one. */
                if (i == CGROUP_CPU) {
                        opened.has_cpu = r == 0;
                        r = 0;
                }
        }
        if (r < 0) {
                cgroup_tree_close(&opened);
                return r;
        }
        if (opened.has_cpu)
                weigh(&opened);
        *tree = opened;
        return 0;
}

void cgroup_tree_close(struct cgroup_tree *tree)
{
        fd_close(&tree->unified_fd);
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
                fd_close(&tree->v1_fd[i]);
}

void cgroup_tree_remove(struct cgroup_tree *tree)
{
        char path[sizeof(tree->name) + 3];

        (void)snprintf(path, sizeof(path), "../%s", tree->name);
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
                if (tree->v1_fd[i] >= 0)
                        (void)unlinkat(tree->v1_fd[i], path, AT_REMOVEDIR);
        (void)unlinkat(tree->unified_fd, path, AT_REMOVEDIR);
}

static bool is_populated(int group_fd)
{
        char text[128];

        return file_read_at(group_fd, "cgroup.events", text, sizeof(text)) > 0 &&
               strstr(text, "populated 1") != NULL;
}

/* Waits until no process is left anywhere below the group. */
static int await_empty(int group_fd)
{
        AUTO(fd_close) int fd = openat(group_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
        uint64_t deadline_ns = clock_now_ns() + SWEEP_DEADLINE_MS * NS_PER_MS;
        struct pollfd wait = {.fd = fd, .events = POLLPRI};
        char byte;

        if (fd < 0)
                return -errno;
        /* kernfs reports a change since the file was last read. */
        while (pread(fd, &byte, 1, 0) >= 0 && is_populated(group_fd)) {
                uint64_t now_ns = clock_now_ns();
                if (now_ns >= deadline_ns)
                        return -ETIMEDOUT;
                (void)poll(&wait, 1, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1);
        }
        return 0;
}

static int remove_children(int parent_fd)
{
        AUTO(directory_close) DIR *directory = NULL;
        struct dirent *entry;
        int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        directory = fdopendir(fd);
        if (!directory) {
                fd_close(&fd);
                return -ENOMEM;
        }
        while ((entry = readdir(directory)))
                if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
                    unlinkat(parent_fd, entry->d_name, AT_REMOVEDIR) < 0)
                        return -errno;
        return 0;
}

int cgroup_tree_sweep(struct cgroup_tree *tree, struct err *err)
{
        int r = file_write_at(tree->unified_fd, "cgroup.kill", "1");

        if (r < 0)
                return err_errno(err, r, "killing the sandboxes of an earlier life");
        r = await_empty(tree->unified_fd);
        if (r < 0)
                return err_errno(err, r, "waiting for the sandboxes of an earlier life to die");
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT && r == 0; i++)
                if (tree->v1_fd[i] >= 0)
                        r = remove_children(tree->v1_fd[i]);
        if (r == 0)
                r = remove_children(tree->unified_fd);
        return r < 0 ? err_errno(err, r, "removing the control groups of an earlier life") : 0;
}
