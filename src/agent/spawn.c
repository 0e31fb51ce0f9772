/* Making a sandbox; see spawn.h. */
#include "agent/spawn.h"

#include "agent/child.h"
#include "agent/clone.h"
#include "agent/environment.h"
#include "agent/runtime.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BYTES_PER_INODE 4096 /* of /tmp */
#define INODES_MIN 1024

static int put(int fd, enum zone place)
{
        return dup3(fd, (int)place, O_CLOEXEC) < 0 ? -errno : 0;
}

/* Whatever was inherited beyond the control socket goes; standard input and the reserved places
 * become /dev/null, so that nothing else gets them. */
static int reserve_zone(void)
{
        int fd, r = 0;

        if (close_range(ZONE_TEMPLATE, ~0u, 0) < 0)
                return -errno;
        fd = open("/dev/null", O_RDWR); /* at most ZONE_TEMPLATE */
        if (fd < 0 || (fd != ZONE_NULL && dup2(fd, ZONE_NULL) < 0))
                return -errno;
        for (int place = ZONE_TEMPLATE; place < ZONE_END && r == 0; place++)
                r = put(ZONE_NULL, (enum zone)place);
        return r;
}

static int fill_zone(const struct spawner *spawner)
{
        AUTO(fd_close) int agent_fd = pidfd_open(getpid(), 0);
        int r = agent_fd < 0 ? -errno : put(agent_fd, ZONE_AGENT);

        if (r == 0)
                r = put(spawner->template.namespace_fd, ZONE_TEMPLATE);
        if (r == 0)
                r = put(spawner->template.empty_fd, ZONE_EMPTY);
        if (r == 0)
                r = put(spawner->template.init_fd, ZONE_INIT);
        for (int i = 0; i < CGROUP_CONTROLLER_COUNT && r == 0; i++)
                if (spawner->cgroups.v1_fd[i] >= 0)
                        r = put(spawner->cgroups.v1_fd[i], (enum zone)(ZONE_HIERARCHY + i));
        return r;
}

static int open_cgroups(struct spawner *spawner, uint64_t hash, struct err *err)
{
        char name[32];
        int r;

        (void)snprintf(name, sizeof(name), "magpie-%016" PRIx64, hash);
        r = cgroup_tree_open(&spawner->cgroups, name, err);
        return r < 0 ? r : cgroup_tree_sweep(&spawner->cgroups, err);
}

/* Set here for all, because a call each costs every cold start a few microseconds. */
static int set_inherited_limits(void)
{
        static const struct {
                __rlimit_resource_t resource;
                struct rlimit limit;
        } limits[] = {
                {RLIMIT_CORE, {0, 0}},     {RLIMIT_MEMLOCK, {65536, 65536}},
                {RLIMIT_MSGQUEUE, {0, 0}}, {RLIMIT_SIGPENDING, {4096, 4096}},
                {RLIMIT_RTPRIO, {0, 0}},   {RLIMIT_NICE, {0, 0}},
        };
        struct rlimit files;

        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
                if (setrlimit(limits[i].resource, &limits[i].limit) < 0)
                        return -errno;
        (void)umask(022);
        /* The agent's own: three descriptors a sandbox, as many as there may be. */
        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return -errno;
        files.rlim_cur = files.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

static int init(struct spawner *spawner, const char *data_dir, struct egress_settings *egress,
                struct err *err)
{
        char resolved[PATH_MAX];
        uint64_t hash;
        int r = reserve_zone();

        if (r < 0)
                return err_errno(err, r, "taking over descriptors");
        r = set_inherited_limits();
        if (r < 0)
                return err_errno(err, r, "setting resource limits");
        if (!realpath(data_dir, resolved))
                return err_errno(err, -errno, "finding the data directory '%s'", data_dir);
        spawner->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (spawner->proc_fd < 0)
                return err_errno(err, -errno, "opening /proc");
        hash = hash_bytes(resolved, strlen(resolved), 0);
        r = slots_init(&spawner->slots, &spawner->cgroups, spawner->proc_fd, hash);
        if (r < 0)
                return err_errno(err, r, "making the slots");
        egress->hash = hash;
        egress_init(&spawner->egress, egress, resolved, spawner->slots.network_fd,
                    spawner->proc_fd);
        r = open_cgroups(spawner, hash, err);
        if (r == 0) /* the host's files are out of reach afterwards */
                r = template_make(&spawner->template, resolved, spawner->proc_fd, err);
        if (r < 0)
                return r;
        r = fill_zone(spawner);
        if (r < 0)
                return err_errno(err, r, "placing descriptors");
        filter_make_child_program(spawner->filter_instructions, &spawner->filter);
        return filter_install(err);
}

int spawner_init(struct spawner *spawner, const char *data_dir, struct egress_settings *egress,
                 struct err *err)
{
        int r;

        *spawner = (struct spawner){
                .cgroups = {.unified_fd = -1, .v1_fd = {-1, -1, -1}},
                .template = {.namespace_fd = -1,
                             .empty_fd = -1,
                             .init_fd = -1,
                             .own_fd = -1,
                             .code_fd = -1,
                             .staging_fd = -1,
                             .images_fd = -1,
                             .cache_fds = {-1, -1},
                             .cache_read_fd = -1},
                .egress = {.keeper_fd = -1, .router = {.namespace_fd = -1, .route_fd = -1}},
                .proc_fd = -1,
        };
        for (size_t i = 0; i < SLOT_SHARDS; i++)
                spawner->oom_fds[i] = -1;
        r = init(spawner, data_dir, egress, err);
        if (r < 0)
                spawner_deinit(spawner);
        return r;
}

void spawner_deinit(struct spawner *spawner)
{
        slots_deinit(&spawner->slots);
        egress_deinit(&spawner->egress);
        for (size_t i = 0; i < SLOT_SHARDS; i++)
                fd_close(&spawner->oom_fds[i]);
        if (spawner->cgroups.unified_fd >= 0)
                cgroup_tree_remove(&spawner->cgroups);
        cgroup_tree_close(&spawner->cgroups);
        template_close(&spawner->template);
        fd_close(&spawner->proc_fd);
}

/* Socket pair and log pipe: the gateway's ends into `spawned`, the sandbox's into the zone. */
static int make_channels(struct spawned *spawned)
{
        AUTO(fd_close) int log_end = -1;
        int pair[2], ends[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        spawned->fds[AGENT_FD_SOCKET] = pair[0];
        spawned->fds[AGENT_FD_WORKER] = pair[1];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        spawned->fds[AGENT_FD_LOG] = ends[0];
        log_end = ends[1];
        if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = put(pair[1], ZONE_NEW_WORKER);
        return r < 0 ? r : put(log_end, ZONE_NEW_LOG);
}

/* What the child got is the child's alone: while the agent held it too, nobody would see an end. */
static void release_zone(void)
{
        for (int place = ZONE_NEW_LOG; place < ZONE_END; place++)
                (void)put(ZONE_NULL, (enum zone)place);
}

static uint32_t span_us(uint64_t from_ns, uint64_t to_ns)
{
        return (uint32_t)((to_ns - from_ns) / 1000);
}

static int run_child(struct spawner *spawner, struct child_plan *plan, struct spawned *spawned,
                     struct err *err)
{
        AUTO(fd_close) int group_fd = cgroup_open_group(&spawner->cgroups, &spawned->slot->group);
        AUTO(fd_close) int pid_fd = -1;
        struct clone_args args = {
                .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | CLONE_INTO_CGROUP |
                         CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
                .pidfd = (uintptr_t)&pid_fd,
                .exit_signal = SIGCHLD,
                .stack = (uintptr_t)spawner->stack,
                .stack_size = sizeof(spawner->stack),
                .cgroup = (unsigned int)group_fd,
        };
        uint64_t begun_ns = clock_now_ns();
        siginfo_t info;

        if (group_fd < 0)
                return err_errno(err, group_fd, "opening its control group");
        spawned->pid = clone_and_run(&args, child_run, plan);
        if (spawned->pid < 0)
                return err_errno(err, spawned->pid, "cloning its first process");
        if (plan->failed_step) {
                (void)waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED);
                return err_errno(err, plan->error, "%s", plan->failed_step);
        }
        spawned->phase_us[AGENT_PHASE_CLONE] = span_us(begun_ns, plan->started_ns);
        spawned->phase_us[AGENT_PHASE_MOUNT] = span_us(plan->started_ns, plan->mounted_ns);
        spawned->phase_us[AGENT_PHASE_CONFINE] = span_us(plan->mounted_ns, plan->finished_ns);
        spawned->phase_us[AGENT_PHASE_EXEC] = span_us(plan->finished_ns, clock_now_ns());
        spawned->pid_fd = fd_steal(&pid_fd);
        return 0;
}

/* The first process's death is that of all in its namespace, and takes no descriptor, which may be what
 * there is none of. */
void spawner_kill(const struct spawner *spawner, const struct spawned *spawned)
{
        if (cgroup_kill(&spawner->cgroups, &spawned->slot->group) < 0 && spawned->pid_fd >= 0)
                (void)pidfd_send_signal(spawned->pid_fd, SIGKILL, NULL, 0);
}

static void kill_and_wait(const struct spawner *spawner, const struct spawned *spawned)
{
        siginfo_t info;

        spawner_kill(spawner, spawned);
        (void)waitid(P_PIDFD, (id_t)spawned->pid_fd, &info, WEXITED);
}

static uint32_t v1_hierarchies(const struct cgroup_tree *cgroups)
{
        uint32_t bits = 0;

        for (uint32_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
                if (cgroups->v1_fd[i] >= 0)
                        bits |= 1u << i;
        return bits;
}

void tmp_options_make(char ret_options[TMP_OPTIONS_MAX], uint64_t bytes)
{
        uint64_t inodes = bytes / BYTES_PER_INODE;

        (void)snprintf(ret_options, TMP_OPTIONS_MAX,
                       "mode=1777,size=%" PRIu64 ",nr_inodes=%" PRIu64, bytes,
                       inodes < INODES_MIN ? INODES_MIN : inodes);
}

/* For a way back: a mount can be attached only from inside. */
static int open_mount_namespace(const struct spawner *spawner, struct spawned *spawned)
{
        char path[32];

        (void)snprintf(path, sizeof(path), "%d/ns/mnt", spawned->pid);
        spawned->mount_fd = openat(spawner->proc_fd, path, O_RDONLY | O_CLOEXEC);
        return spawned->mount_fd < 0 ? -errno : 0;
}

/* The sandbox's group exists, and its descriptors are in the zone: now the process. */
static int start(struct spawner *spawner, const struct parking *parking, struct spawned *spawned,
                 struct err *err)
{
        char tmp_options[TMP_OPTIONS_MAX];
        const char *arguments[RUNTIME_ARGUMENTS_MAX];
        struct environment environment;
        struct child_plan plan = {
                .slot = spawned->slot->number,
                .hierarchies = v1_hierarchies(&spawner->cgroups),
                .for_image = parking->runtime == AGENT_RUNTIME_IMAGE,
                .ids = parking->ids,
                .tmp_options = tmp_options,
                .filter = &spawner->filter,
                .arguments = arguments,
                .environment = environment.variables,
        };
        int r;

        tmp_options_make(tmp_options, parking->tmp_bytes);
        if (parking->adopts)
                runtime_adopting_arguments(arguments);
        else
                runtime_parked_arguments(parking->runtime, arguments);
        environment_make_early(&environment, parking->early, parking->early_count);
        r = run_child(spawner, &plan, spawned, err);
        if (r < 0)
                return r;
        r = open_mount_namespace(spawner, spawned);
        if (r == 0 && parking->adopts) {
                spawned->adopted_log_fd = fcntl(ZONE_NEW_LOG, F_DUPFD_CLOEXEC, (int)ZONE_END);
                r = spawned->adopted_log_fd < 0 ? -errno : 0;
        }
        if (r < 0) {
                (void)err_errno(err, r, "keeping a way into it");
                kill_and_wait(spawner, spawned);
        }
        return r;
}

/* Where the kernel leaves something to the agent; see oom.h. */
static int open_oom_event(struct spawner *spawner, const struct slot *slot)
{
        int *fd = &spawner->oom_fds[slot->number / SLOT_SHARD];

        if (*fd < 0 && cgroup_tells_oom(&spawner->cgroups))
                *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return *fd < 0 && cgroup_tells_oom(&spawner->cgroups) ? -errno : 0;
}

static int make(struct spawner *spawner, const struct parking *parking, struct spawned *spawned,
                struct err *err)
{
        struct cgroup *group = &spawned->slot->group;
        uint64_t begun_ns = clock_now_ns();
        int r = open_oom_event(spawner, spawned->slot);

        if (r < 0)
                return err_errno(err, r, "preparing to watch its memory");
        r = cgroup_make(&spawner->cgroups, group, &parking->limits,
                        spawner->oom_fds[spawned->slot->number / SLOT_SHARD], err);
        if (r < 0)
                return r;
        r = make_channels(spawned);
        if (r < 0)
                (void)err_errno(err, r, "making its socket and log pipe");
        spawned->phase_us[AGENT_PHASE_CGROUP] = span_us(begun_ns, clock_now_ns());
        if (r == 0)
                r = start(spawner, parking, spawned, err);
        if (r < 0)
                (void)cgroup_remove(&spawner->cgroups, group);
        return r;
}

int spawner_park(struct spawner *spawner, const struct parking *parking,
                 struct spawned *ret_spawned, struct err *err)
{
        struct spawned spawned = {
                .pid_fd = -1,
                .mount_fd = -1,
                .adopted_log_fd = -1,
                .fds = {-1, -1, -1},
                .has_interpreter = runtime_can_park(parking->runtime),
                .runtime = parking->runtime,
                .from_nursery = parking->adopts,
                .tmp_bytes = parking->tmp_bytes,
        };
        int r = slots_take(&spawner->slots, parking->ids, &spawned.slot, err);

        if (r < 0)
                return r;
        r = put(spawned.slot->user_fd, ZONE_USER);
        if (r == 0)
                r = put(spawned.slot->network_fd, ZONE_NETWORK);
        if (r < 0)
                (void)err_errno(err, r, "placing its namespaces");
        else
                r = make(spawner, parking, &spawned, err);
        release_zone();
        if (r < 0) {
                fd_close(&spawned.pid_fd);
                spawned_close_fds(&spawned);
                slots_give_back(&spawner->slots, spawned.slot);
                return r;
        }
        *ret_spawned = spawned;
        return 0;
}

void spawner_give_back(struct spawner *spawner, struct slot *slot)
{
        if (slot->link.address != 0)
                fd_close(&slot->network_fd);
        egress_detach(&spawner->egress, &slot->link);
        slots_give_back(&spawner->slots, slot);
}

void spawner_undo(struct spawner *spawner, struct spawned *spawned)
{
        kill_and_wait(spawner, spawned);
        (void)cgroup_remove(&spawner->cgroups, &spawned->slot->group);
        spawner_give_back(spawner, spawned->slot);
        fd_close(&spawned->pid_fd);
        spawned_close_fds(spawned);
}

void spawned_close_fds(struct spawned *spawned)
{
        for (int i = 0; i < AGENT_FD_COUNT; i++)
                fd_close(&spawned->fds[i]);
        fd_close(&spawned->mount_fd);
        fd_close(&spawned->adopted_log_fd);
}
