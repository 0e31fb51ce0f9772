/* The pool of slots; see slots.h. */
#include "agent/slots.h"

#include "agent/clone.h"
#include "agent/file.h"
#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void push(struct slot_stack *stack, uint32_t number)
{
        stack->numbers[stack->count++] = number;
}

int slots_init(struct slots *slots, const struct cgroup_tree *cgroups, int proc_fd, uint64_t hash)
{
        *slots = (struct slots){
                .cgroups = cgroups,
                .proc_fd = proc_fd,
                .network_fd = openat(proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC),
                .uid_first = SLOT_UID_FIRST + (uint32_t)(hash % SLOT_UID_RANGES) * SLOT_COUNT,
                .kept = {.numbers = calloc(SLOT_KEPT_MAX, sizeof(uint32_t))},
                .bare = {.numbers = calloc(SLOT_COUNT, sizeof(uint32_t))},
                .slots = calloc(SLOT_COUNT, sizeof(struct slot)),
        };
        if (slots->network_fd < 0 || !slots->kept.numbers || !slots->bare.numbers ||
            !slots->slots) {
                int r = slots->network_fd < 0 ? -errno : -ENOMEM;
                slots_deinit(slots);
                return r;
        }
        return 0;
}

static void empty_slot(struct slots *slots, struct slot *slot)
{
        (void)cgroup_remove(slots->cgroups,
                            &slot->group); /* a later sandbox removes what is left */
        fd_close(&slot->user_fd);
        fd_close(&slot->network_fd);
}

void slots_deinit(struct slots *slots)
{
        for (uint32_t i = 0; i < slots->used_count; i++)
                empty_slot(slots, &slots->slots[i]);
        fd_close(&slots->network_fd);
        free(slots->kept.numbers);
        free(slots->bare.numbers);
        free(slots->slots);
        *slots = (struct slots){.network_fd = -1};
}

/* The process that a new user namespace needs until it is mapped and held by a descriptor. It has all of
 * the agent's descriptors, so it must not outlive it. */
static void hold_namespace(void *argument)
{
        const pid_t *agent = argument;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0)
                while (getppid() == *agent)
                        (void)pause();
        _exit(EXIT_FAILURE);
}

static int write_map(int proc_fd, pid_t pid, const char *file, uint32_t inside, uint32_t host)
{
        char map[48], path[48];

        (void)snprintf(map, sizeof(map), "%" PRIu32 " %" PRIu32 " 1", inside, host);
        (void)snprintf(path, sizeof(path), "%d/%s", pid, file);
        return file_write_at(proc_fd, path, map);
}

static int map_and_open(int proc_fd, pid_t pid, struct slot_ids ids, uint32_t host_id)
{
        char path[48];
        int fd, r = write_map(proc_fd, pid, "uid_map", ids.user, host_id);

        if (r == 0)
                r = write_map(proc_fd, pid, "gid_map", ids.group, host_id);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%d/ns/user", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int make_user_namespace(int proc_fd, struct slot_ids ids, uint32_t host_id)
{
        _Alignas(16) char stack[4096];
        AUTO(fd_close) int pid_fd = -1;
        struct clone_args args = {
                .flags = CLONE_NEWUSER | CLONE_VM | CLONE_PIDFD,
                .pidfd = (uintptr_t)&pid_fd,
                .exit_signal = SIGCHLD,
                .stack = (uintptr_t)stack,
                .stack_size = sizeof(stack),
        };
        const pid_t agent = getpid();
        siginfo_t info;
        int fd, pid = clone_and_run(&args, hold_namespace, (void *)(uintptr_t)&agent);

        if (pid < 0)
                return pid;
        fd = map_and_open(proc_fd, pid, ids, host_id);
        (void)pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
        (void)waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED);
        return fd;
}

/* In the namespace that we have just entered. */
static int set_up_network(int proc_fd)
{
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
        AUTO(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                return -errno;
        /* Where /proc/sys cannot be written, a port may be taken a while longer than its owner, and a
         * server in an image cannot listen below 1024, as many do: nobody in here is privileged. */
        (void)file_write_at(proc_fd, "sys/net/ipv4/tcp_max_tw_buckets", "0");
        (void)file_write_at(proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", "0");
        return 0;
}

/* The agent goes there and back: no second process is needed, as a user namespace needs one. */
static int make_network_namespace(const struct slots *slots)
{
        int fd, r;

        if (unshare(CLONE_NEWNET) < 0)
                return -errno;
        r = set_up_network(slots->proc_fd);
        fd = openat(slots->proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC);
        if (fd < 0 && r == 0)
                r = -errno;
        if (setns(slots->network_fd, CLONE_NEWNET) < 0 && r == 0)
                r = -errno;
        if (r < 0)
                fd_close(&fd);
        return r < 0 ? r : fd;
}

static bool same_ids(struct slot_ids a, struct slot_ids b)
{
        return a.user == b.user && a.group == b.group;
}

/* What the slot lacks: everything where it is bare, and its user namespace where that is another
 * user's. */
static int fill_slot(struct slots *slots, struct slot *slot, struct slot_ids ids, struct err *err)
{
        int fd;

        if (slot->user_fd < 0 || !same_ids(slot->ids, ids)) {
                fd = make_user_namespace(slots->proc_fd, ids, slots_host_user(slots, slot));
                if (fd < 0)
                        return err_errno(err, fd, "making a user namespace");
                fd_close(&slot->user_fd);
                slot->user_fd = fd;
                slot->ids = ids;
        }
        if (slot->network_fd < 0) {
                fd = make_network_namespace(slots);
                if (fd < 0)
                        return err_errno(err, fd, "making a network namespace");
                slot->network_fd = fd;
        }
        return 0;
}

static struct slot *add_slot(struct slots *slots)
{
        struct slot *slot = &slots->slots[slots->used_count];

        *slot = (struct slot){.number = slots->used_count,
                              .user_fd = -1,
                              .network_fd = -1,
                              .group = {.slot = slots->used_count}};
        slots->used_count++;
        return slot;
}

/* The one of these ids that has been free for longest, else of all. There must be one. */
static struct slot *pop_kept(struct slots *slots, struct slot_ids ids)
{
        struct slot_stack *kept = &slots->kept;
        uint32_t at = 0, number;

        while (at < kept->count && !same_ids(slots->slots[kept->numbers[at]].ids, ids))
                at++;
        at = at < kept->count ? at : 0;
        number = kept->numbers[at];
        kept->count--;
        memmove(kept->numbers + at, kept->numbers + at + 1, (kept->count - at) * sizeof(number));
        return &slots->slots[number];
}

int slots_take(struct slots *slots, struct slot_ids ids, struct slot **ret_slot, struct err *err)
{
        struct slot *slot;
        int r;

        if (slots->kept.count > 0)
                slot = pop_kept(slots, ids);
        else if (slots->bare.count > 0)
                slot = &slots->slots[slots->bare.numbers[--slots->bare.count]];
        else if (slots->used_count < SLOT_COUNT)
                slot = add_slot(slots);
        else
                return err_set(err, -EBUSY, "all %d sandboxes are in use", SLOT_COUNT);
        r = fill_slot(slots, slot, ids, err);
        if (r < 0) {
                slots_give_back(slots, slot);
                return r;
        }
        *ret_slot = slot;
        return 0;
}

uint32_t slots_host_user(const struct slots *slots, const struct slot *slot)
{
        return slots->uid_first + slot->number;
}

void slots_give_back(struct slots *slots, struct slot *slot)
{
        if (slots->kept.count < SLOT_KEPT_MAX) {
                push(&slots->kept, slot->number);
                return;
        }
        empty_slot(slots, slot);
        push(&slots->bare, slot->number);
}
