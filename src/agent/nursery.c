/* The nursery's parent; see nursery.h. */
#include "agent/nursery.h"

#include "agent/agent.h"
#include "agent/child.h"
#include "agent/clone.h"
#include "base/auto.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL_FD 3
/* For a birth, or a start and that: one that takes longer hangs. */
#define PATIENCE_MS 60000
#define LATE_NS (1000000000ull)
#define FAILURES_MAX 3
#define RETRY_FIRST_NS (60 * 1000000000ull)
#define RETRY_MOST_NS (3600 * 1000000000ull)
#define FDS_MAX (4 + CGROUP_CONTROLLER_COUNT)

struct answer {
        uint64_t number;
        uint32_t error;
        char step[52];
};
#define ANSWER_MIN offsetof(struct answer, step)

struct plan {
        enum agent_runtime runtime;
        int socket_fd;
        int error; /* out */
};

/* As child_run(): with the agent's memory, of which nothing may be written but the plan. The table of
 * descriptors is its own. */
static void nursery_run(void *argument)
{
        static char *const python[] = {
                "/usr/bin/python3",          "-I", "-S", "-X", "frozen_modules=on",
                "/magpie/python/nursery.py", NULL};
        /* A function's heap can be made smaller than this; its first collection comes at 64 MiB. */
        static char *const node[] = {"/usr/bin/node",
                                     NURSERY_HEAP_OPTION,
                                     "--initial-old-space-size=64",
                                     "--no-memory-reducer",
                                     "/magpie/node/shim.js",
                                     "nursery",
                                     NULL};
        static char *const environment[] = {"LD_PRELOAD=/magpie/node/magpie_node.node", /* Node's */
                                            "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin",
                                            "HOME=/tmp", NULL};
        struct plan *plan = argument;
        bool is_node = plan->runtime == AGENT_RUNTIME_NODE;
        char *const *words = is_node ? node : python;
        sigset_t none;

        sigemptyset(&none);
        if (setns(ZONE_TEMPLATE, CLONE_NEWNS) == 0 && unshare(CLONE_NEWNS) == 0 &&
            chdir("/") == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
            signal(SIGPIPE, SIG_DFL) != SIG_ERR && signal(SIGINT, SIG_DFL) != SIG_ERR &&
            sigprocmask(SIG_SETMASK, &none, NULL) == 0 && setpgid(0, 0) == 0 &&
            dup2(plan->socket_fd, CONTROL_FD) >= 0 && close_range(CONTROL_FD + 1, ~0u, 0) == 0)
                (void)execve(words[0], words, is_node ? environment : environment + 1);
        plan->error = errno;
        _exit(1);
}

static const char *name_of(const struct nursery *nursery)
{
        return nursery->runtime == AGENT_RUNTIME_NODE ? "Node" : "Python";
}

static void nursery_on_answer(struct loop_source *source, uint32_t events);
static void nursery_on_exit(struct loop_source *source, uint32_t events);
static void nursery_on_timer(struct timer *timer);

void nursery_init(struct nursery *nursery, struct agent *agent, enum agent_runtime runtime)
{
        *nursery = (struct nursery){.agent = agent,
                                    .runtime = runtime,
                                    .fd = -1,
                                    .pid_fd = -1,
                                    .retry_ns = RETRY_FIRST_NS};
        loop_source_init(&nursery->source, nursery_on_answer);
        loop_source_init(&nursery->exit, nursery_on_exit);
        timer_init(&nursery->patience, nursery_on_timer);
}

void nursery_close(struct nursery *nursery)
{
        siginfo_t info;

        if (nursery->pid_fd < 0)
                return;
        loop_remove(&nursery->agent->loop, &nursery->source);
        loop_remove(&nursery->agent->loop, &nursery->exit);
        loop_remove_timer(&nursery->agent->loop, &nursery->patience);
        (void)pidfd_send_signal(nursery->pid_fd, SIGKILL, NULL, 0);
        (void)waitid(P_PIDFD, (id_t)nursery->pid_fd, &info, WEXITED);
        fd_close(&nursery->pid_fd);
        fd_close(&nursery->fd);
}

static void wait_for_next(struct nursery *nursery)
{
        nursery->not_before_ns = nursery->agent->loop.now_ns + nursery->retry_ns;
        nursery->retry_ns *= 2;
        if (nursery->retry_ns > RETRY_MOST_NS)
                nursery->retry_ns = RETRY_MOST_NS;
}

static void nursery_lose(struct nursery *nursery, const char *why)
{
        log_warn("the nursery of %s interpreters has ended: %s", name_of(nursery), why);
        nursery_close(nursery);
        wait_for_next(nursery);
        stock_lost_nursery(&nursery->agent->stock, nursery->runtime);
        if (nursery->runtime == AGENT_RUNTIME_PYTHON3)
                heirlooms_lost_nursery(&nursery->agent->heirlooms);
}

/* What it has been asked for may have died meanwhile, and is not waited for then. */
static void nursery_on_timer(struct timer *timer)
{
        struct nursery *nursery = CONTAINER_OF(timer, struct nursery, patience);

        if (stock_awaits_birth(&nursery->agent->stock, nursery->runtime))
                nursery_lose(nursery, "it does not answer");
}

static void be_patient(struct nursery *nursery)
{
        nursery->heard_ns = nursery->agent->loop.now_ns;
        loop_set_timer(&nursery->agent->loop, &nursery->patience, PATIENCE_MS);
}

static void nursery_note_failure(struct nursery *nursery, const struct answer *answer)
{
        log_warn("forking an interpreter into a sandbox: %s: %s", answer->step,
                 strerror((int)answer->error));
        stock_failed(&nursery->agent->stock, answer->number);
        if (!nursery->is_quick && ++nursery->failures == FAILURES_MAX)
                nursery_lose(nursery, "no fork of it has succeeded");
}

static ssize_t receive(struct nursery *nursery, struct answer *ret_answer)
{
        *ret_answer = (struct answer){0};
        return recv(nursery->fd, ret_answer, sizeof(*ret_answer) - 1, MSG_DONTWAIT);
}

/* It may be lost by that. */
static void take_in(struct nursery *nursery, const struct answer *answer)
{
        be_patient(nursery);
        if (answer->error == 0) {
                nursery->is_quick = true;
                nursery->retry_ns = RETRY_FIRST_NS;
                stock_arrived(&nursery->agent->stock, answer->number);
        } else {
                nursery_note_failure(nursery, answer);
        }
}

static void nursery_on_answer(struct loop_source *source, uint32_t events)
{
        struct nursery *nursery = CONTAINER_OF(source, struct nursery, source);
        struct answer answer;
        ssize_t length = receive(nursery, &answer);

        (void)events;
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (length < (ssize_t)ANSWER_MIN)
                nursery_lose(nursery, "its connection has ended");
        else
                take_in(nursery, &answer);
}

/* Who was born before it ended lives on. */
static void nursery_on_exit(struct loop_source *source, uint32_t events)
{
        struct nursery *nursery = CONTAINER_OF(source, struct nursery, exit);
        struct answer answer;

        (void)events;
        while (nursery->pid_fd >= 0 && receive(nursery, &answer) >= (ssize_t)ANSWER_MIN)
                take_in(nursery, &answer);
        if (nursery->pid_fd >= 0)
                nursery_lose(nursery, "its process is gone");
}

static int nursery_watch(struct nursery *nursery)
{
        struct loop *loop = &nursery->agent->loop;
        int r = loop_add(loop, &nursery->source, nursery->fd, EPOLLIN);

        return r < 0 ? r : loop_add(loop, &nursery->exit, nursery->pid_fd, EPOLLIN);
}

static int nursery_start(struct nursery *nursery)
{
        struct spawner *spawner = &nursery->agent->spawner;
        size_t filter_size = spawner->filter.len * sizeof(spawner->filter_instructions[0]);
        AUTO(fd_close) int ours = -1;
        AUTO(fd_close) int theirs = -1;
        AUTO(fd_close) int pid_fd = -1;
        struct plan plan = {.runtime = nursery->runtime};
        struct clone_args args = {
                .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_NEWIPC | CLONE_NEWUTS |
                         CLONE_NEWNET,
                .pidfd = (uintptr_t)&pid_fd,
                .exit_signal = SIGCHLD,
                .stack = (uintptr_t)spawner->stack,
                .stack_size = sizeof(spawner->stack),
        };
        int pair[2], pid, r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        plan.socket_fd = theirs;
        if (send(ours, spawner->filter_instructions, filter_size, MSG_NOSIGNAL) < 0)
                return -errno;
        pid = clone_and_run(&args, nursery_run, &plan);
        if (pid < 0)
                return pid;
        nursery->is_quick = false;
        nursery->failures = 0;
        nursery->fd = fd_steal(&ours);
        nursery->pid_fd = fd_steal(&pid_fd);
        r = plan.error ? -plan.error : nursery_watch(nursery);
        if (r < 0)
                nursery_close(nursery);
        return r;
}

bool nursery_is_open(struct nursery *nursery)
{
        int r;

        if (nursery->pid_fd >= 0)
                return true;
        if (nursery->agent->loop.now_ns < nursery->not_before_ns)
                return false;
        r = nursery_start(nursery);
        if (r == 0)
                return true;
        log_warn("starting the nursery of %s interpreters: %s", name_of(nursery), strerror(-r));
        wait_for_next(nursery);
        return false;
}

bool nursery_is_late(const struct nursery *nursery)
{
        return nursery->agent->loop.now_ns - nursery->heard_ns > LATE_NS &&
               stock_awaits_birth(&nursery->agent->stock, nursery->runtime);
}

static int send_request(const struct nursery *nursery, uint64_t number, const int *fds,
                        size_t count)
{
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = {0};
        struct iovec part = {.iov_base = &number, .iov_len = sizeof(number)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = CMSG_SPACE(count * sizeof(int))};

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        return sendmsg(nursery->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int nursery_ask(struct nursery *nursery, const struct instance *instance, uint64_t number)
{
        const struct cgroup_tree *cgroups = &nursery->agent->spawner.cgroups;
        const struct spawned *made = &instance->made;
        AUTO(fd_close) int group_fd = cgroup_open_group(cgroups, &made->slot->group);
        int tasks[CGROUP_CONTROLLER_COUNT];
        int fds[FDS_MAX] = {made->pid_fd, group_fd, made->fds[AGENT_FD_WORKER],
                            made->adopted_log_fd};
        size_t count = 4;
        int r = group_fd < 0 ? group_fd : cgroup_open_tasks(cgroups, &made->slot->group, tasks);

        if (r < 0)
                return r;
        for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
                if (tasks[i] >= 0)
                        fds[count++] = tasks[i];
        r = send_request(nursery, number, fds, count);
        if (r == 0 && !stock_awaits_birth(&nursery->agent->stock, nursery->runtime))
                be_patient(nursery); /* the first of those that it is asked for */
        for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
                fd_close(&tasks[i]);
        return r;
}
