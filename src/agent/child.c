/* From the clone to magpie-init; see child.h.
 *
 * The child is born into the v2 control group and into new pid, ipc and uts namespaces. It
 * is host root until step "taking on the function's user", and shares the sleeping agent's memory
 * until it executes magpie-init: it may write nothing but the plan.
 */
#include "agent/child.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOSTNAME "function"

/* Until here any change of the table would be the agent's too. */
static int leave_descriptor_table(const struct child_plan *plan)
{
        (void)plan;
        if (close_range(ZONE_END, ~0u, CLOSE_RANGE_UNSHARE) < 0)
                return -errno;
        if (dup2(ZONE_NEW_LOG, ZONE_LOG) < 0 || dup2(ZONE_NEW_LOG, ZONE_ERROR) < 0 ||
            dup2(ZONE_NEW_WORKER, ZONE_WORKER) < 0)
                return -errno;
        return 0;
}

/* The agent's mask, and what it ignores, are for itself. */
static int reset_signals(const struct child_plan *plan)
{
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigset_t none;

        (void)plan;
        sigemptyset(&none);
        if (sigaction(SIGPIPE, &standard, NULL) < 0 || sigaction(SIGINT, &standard, NULL) < 0 ||
            sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                return -errno;
        return 0;
}

/* A process that moves itself needs no RCU grace period, and one that moves another waits 10 ms
 * for it: cgroup_attach_task() in the kernel's cgroup-v1.c. */
static int join_v1_groups(const struct child_plan *plan)
{
        char path[32];

        (void)snprintf(path, sizeof(path), "%u/tasks", plan->slot);
        for (int i = 0; plan->hierarchies >> i; i++) {
                int fd;
                if (!(plan->hierarchies >> i & 1))
                        continue;
                fd = openat(ZONE_HIERARCHY + i, path, O_WRONLY | O_CLOEXEC);
                if (fd < 0 || write(fd, "0", 1) < 0)
                        return -errno;
                (void)close(fd);
        }
        return 0;
}

/* The control group namespace only now, so that its root is the sandbox's own groups. */
static int enter_namespaces(const struct child_plan *plan)
{
        enum zone root = plan->for_image ? ZONE_EMPTY : ZONE_TEMPLATE;

        if (setns(ZONE_NETWORK, CLONE_NEWNET) < 0 || setns((int)root, CLONE_NEWNS) < 0 ||
            unshare(CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
                return -errno;
        return 0;
}

static int mount_own(const struct child_plan *plan)
{
        if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "subset=pid,hidepid=2") < 0)
                return -errno;
        if (mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, plan->tmp_options) < 0)
                return -errno;
        return chdir("/") < 0 ? -errno : 0;
}

static int set_hostname(const struct child_plan *plan)
{
        (void)plan;
        return sethostname(HOSTNAME, strlen(HOSTNAME)) < 0 ? -errno : 0;
}

/* The other limits are the agent's own, and inherited: spawner_init(). A process group of its own,
 * so that no signal for the agent's reaches it. */
static int set_limits(const struct child_plan *plan)
{
        const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 4096};

        (void)plan;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setpgid(0, 0) < 0)
                return -errno;
        return 0;
}

/* When the whole host is short of memory, functions go first. Written with CAP_SYS_RESOURCE, so that it
 * is also the least that the function can write (oom_score_adj_min in the kernel's fs/proc/base.c);
 * children inherit both. It is not the agent's own although the memory is: that is spared while a
 * parent of vfork(2) waits. Harmless where it fails. */
static int volunteer_for_oom(const struct child_plan *plan)
{
        static const char score[] = "500";
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        (void)plan;
        if (fd < 0)
                return 0;
        if (write(fd, score, sizeof(score) - 1) < 0) {
                /* see above */
        }
        (void)close(fd);
        return 0;
}

/* Entering a user namespace gives every capability in it, and setresuid(2) takes none of them away
 * because the user that we come from is not its root: they are cleared here. The bounding set stays
 * (lowering it is 41 system calls, 100 us): under no_new_privs nothing can raise a capability out of
 * it. For an image's root neither can an execve(2), and it is told twice: capabilities(7),
 * "SECBIT_NOROOT". */
static int become_function_user(const struct child_plan *plan)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[2] = {{0}};
        const uid_t user = plan->ids.user;
        const gid_t group = plan->ids.group;

        if (setns(ZONE_USER, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0 ||
            setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0)
                return -errno;
        if (user == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED) < 0)
                return -errno;
        if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

/* After the change of user, which clears it. An agent that died before this line left no signal
 * behind, but its pidfd tells. */
static int die_with_agent(const struct child_plan *plan)
{
        struct pollfd agent = {.fd = ZONE_AGENT, .events = POLLIN};

        (void)plan;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -errno;
        return poll(&agent, 1, 0) != 0 ? -EOWNERDEAD : 0;
}

static int install_filter(const struct child_plan *plan)
{
        if (close_range(ZONE_WORKER + 1, ZONE_INIT - 1, 0) < 0 ||
            close_range(ZONE_INIT + 1, ~0u, 0) < 0)
                return -errno;
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, plan->filter) < 0 ? -errno : 0;
}

static int execute(const struct child_plan *plan)
{
        (void)execveat(ZONE_INIT, "", (char *const *)plan->arguments,
                       (char *const *)plan->environment, AT_EMPTY_PATH);
        return -errno;
}

void child_run(void *argument)
{
        static const struct {
                int (*run)(const struct child_plan *plan);
                const char *name;
        } steps[] = {
                {leave_descriptor_table, "taking its descriptors"},
                {reset_signals, "resetting signals"},
                {join_v1_groups, "joining its control groups"},
                {enter_namespaces, "entering its namespaces"},
                {mount_own, "mounting /proc and /tmp"},
                {set_hostname, "naming its host"},
                {set_limits, "setting resource limits"},
                {volunteer_for_oom, "choosing its rank for want of memory"},
                {become_function_user, "taking on the function's user"},
                {die_with_agent, "tying its life to the agent's"},
                {install_filter, "installing the system call filter"},
                {execute, "executing magpie-init"},
        };
        struct child_plan *plan = argument;

        plan->started_ns = clock_now_ns();
        for (size_t i = 0; i < COUNT(steps); i++) {
                int r;
                if (steps[i].run == become_function_user)
                        plan->mounted_ns = clock_now_ns();
                if (steps[i].run == execute)
                        plan->finished_ns = clock_now_ns();
                r = steps[i].run(plan);
                if (r < 0) {
                        plan->failed_step = steps[i].name;
                        plan->error = r;
                        break;
                }
        }
        _exit(1);
}
