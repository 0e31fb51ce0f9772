/* From a copy of the nursery to an ordinary process of a sandbox; see birth.h. */
#include "birth.h"

#include "agent/clone.h"
#include "foresight.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CONTROL_FD 3
#define USER 1000
#define HELPER_STACK_SIZE 16384

/* In the nursery's memory, and then in the new process's copy of it. */
struct birth {
        uint64_t number;
        const int *fds;
        size_t fd_count;
        struct sock_fprog filter;
        const struct birth_ways *ways;
        int control_fd;     /* the agent's connection */
        ucontext_t nursery; /* where it waits for the helper */
        volatile int is_born;
        int error;
};

/* ---- the new process ---- */

static int join_groups(struct birth *birth)
{
        for (size_t i = BIRTH_TASKS; i < birth->fd_count; i++)
                if (write(birth->fds[i], "0", 1) < 0)
                        return -errno;
        return 0;
}

/* On the account of its groups. */
static int own_its_pages(struct birth *birth)
{
        (void)birth;
        foresight_use();
        return 0;
}

static int enter_namespaces(struct birth *birth)
{
        if (setns(birth->fds[BIRTH_FIRST],
                  CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP) < 0 ||
            chdir("/") < 0)
                return -errno;
        return 0;
}

/* What is written to oom_score_adj is the least that the function can write there, too, where the agent
 * may grant that: when the host is short of memory, functions go first. Harmless where it fails. */
static int set_limits(struct birth *birth)
{
        static const char score[] = "500";
        const struct rlimit files = {.rlim_cur = 1024, .rlim_max = 4096};
        int fd;

        (void)birth;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setsid() < 0)
                return -errno;
        fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        if (write(fd, score, sizeof(score) - 1) < 0) {
                /* see above */
        }
        (void)close(fd);
        return 0;
}

/* By the kernel's calls: the C library's would tell threads that are not there.
 * The change of user makes /proc/self root's; for a program just started it is its own. */
static int become_function_user(struct birth *birth)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[2] = {{0}};

        if (setns(birth->fds[BIRTH_FIRST], CLONE_NEWUSER) < 0 ||
            syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, USER, USER, USER) < 0 ||
            syscall(SYS_setresuid, USER, USER, USER) < 0 ||
            syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

int birth_register_rseq(void)
{
        char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

        if (__rseq_size == 0) /* the library does without */
                return 0;
        return syscall(SYS_rseq, area, sizeof(struct rseq), 0, RSEQ_SIG) < 0 ? -errno : 0;
}

/* The kernel forgets it of a process that shares another's memory, as the helper does: its fork has to
 * ask again. */
static int register_rseq(struct birth *birth)
{
        (void)birth;
        return birth_register_rseq();
}

/* Until the end the agent is heard of on standard input, which has been nothing before. */
static int take_descriptors(struct birth *birth)
{
        if (dup2(birth->fds[BIRTH_LOG], STDOUT_FILENO) < 0 ||
            dup2(birth->fds[BIRTH_LOG], STDERR_FILENO) < 0 ||
            dup3(CONTROL_FD, STDIN_FILENO, O_CLOEXEC) < 0)
                return -errno;
        birth->control_fd = STDIN_FILENO;
        return dup3(birth->fds[BIRTH_WORKER], CONTROL_FD, O_CLOEXEC) < 0 ? -errno : 0;
}

static int install_filter(struct birth *birth)
{
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &birth->filter) < 0 ? -errno : 0;
}

/* What only its language knows; and closes all but what is its own. */
static int settle(struct birth *birth)
{
        return birth->ways->settle();
}

void birth_answer(int fd, uint64_t number, int error, const char *step)
{
        struct {
                uint64_t number;
                uint32_t error;
                char step[52];
        } message = {.number = number, .error = (uint32_t)error};
        size_t length = strlen(step);

        memcpy(message.step, step, length);
        if (write(fd, &message, offsetof(__typeof__(message), step) + length) < 0)
                _exit(1); /* the agent is gone */
}

static void be_born(struct birth *birth)
{
        static const struct {
                int (*run)(struct birth *birth);
                const char *name;
        } steps[] = {
                {join_groups, "joining its control groups"},
                {own_its_pages, "making its pages its own"},
                {enter_namespaces, "entering its namespaces"},
                {set_limits, "setting its limits"},
                {become_function_user, "taking on the function's user"},
                {register_rseq, "registering its restartable sequences"},
                {take_descriptors, "taking its descriptors"},
                {install_filter, "installing the system call filter"},
                {settle, "settling"},
        };
        int null;

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                int r = steps[i].run(birth);
                if (r < 0) {
                        birth_answer(birth->control_fd, birth->number, -r, steps[i].name);
                        _exit(1);
                }
        }
        birth_answer(birth->control_fd, birth->number, 0, "");
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0)
                _exit(1);
        (void)close(null);
}

/* ---- the nursery ---- */

/* On a stack of its own. The copy goes on where the nursery waits: the rest of its memory is as if it had
 * forked there. */
static void help(void *argument)
{
        struct birth *birth = argument;
        pid_t child = birth->ways->copy();

        if (child == 0) {
                birth->is_born = 1;
                (void)setcontext(&birth->nursery);
                birth_answer(birth->control_fd, birth->number, errno,
                             "going on as a process of its own");
                _exit(1);
        }
        birth->error = child < 0 ? errno : 0;
        _exit(0);
}

/* Children of the nursery are born into the sandbox's process namespace meanwhile. */
static int clone_helper(struct birth *birth)
{
        static _Alignas(16) unsigned char stack[HELPER_STACK_SIZE];
        struct clone_args args = {
                .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
                .exit_signal = SIGCHLD,
                .stack = (uintptr_t)stack,
                .stack_size = sizeof(stack),
                .cgroup = (unsigned int)birth->fds[BIRTH_GROUP],
        };
        pid_t helper = clone_and_run(&args, help, birth);

        if (helper < 0)
                return helper;
        while (waitpid(helper, NULL, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return -birth->error;
}

int birth_give(uint64_t number, const int *fds, size_t fd_count, int own_fd, const void *filter,
               size_t filter_size, const struct birth_ways *ways)
{
        struct birth birth = {
                .number = number,
                .fds = fds,
                .fd_count = fd_count,
                .filter = {.len = (unsigned short)(filter_size / sizeof(struct sock_filter)),
                           .filter = (struct sock_filter *)(uintptr_t)filter},
                .ways = ways,
                .control_fd = CONTROL_FD,
                .error = ECANCELED, /* where the helper does not live to say otherwise */
        };
        int r;

        if (fd_count < BIRTH_TASKS)
                return -EPROTO;
        if (getcontext(&birth.nursery) < 0)
                return -errno;
        if (birth.is_born) {
                be_born(&birth);
                return 1;
        }
        if (setns(fds[BIRTH_FIRST], CLONE_NEWPID) < 0)
                return -errno;
        r = clone_helper(&birth);
        return setns(own_fd, CLONE_NEWPID) < 0 && r == 0 ? -errno : r;
}
