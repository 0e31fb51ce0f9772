/* See nursery.h. */
#include "nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 16

/* To enter namespaces. */
#define CAPABILITIES                                                                               \
        (1u << CAP_SETGID | 1u << CAP_SETUID | 1u << CAP_SYS_CHROOT | 1u << CAP_SYS_PTRACE |       \
         1u << CAP_SYS_ADMIN)
/* Where the agent has it: what is written to a new process's oom_score_adj is the least that the function
 * can write there, too. */
#define CAN_RANK (1u << CAP_SYS_RESOURCE)

static struct sock_filter filter[BPF_MAXINSNS];
static size_t filter_size;

/* In the nursery's own mount namespace, to see its own memory. */
static int mount_proc(void)
{
        return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                     "subset=pid,hidepid=2") < 0
                       ? -errno
                       : 0;
}

/* The helpers have the nursery's memory and are in a sandbox's group: a kill of that group would be one of
 * the nursery, too. Harmless where it fails: a new one is started then. */
static void spare_from_oom_kill(void)
{
        static const char score[] = "-1000";
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;
        if (write(fd, score, sizeof(score) - 1) < 0) {
                /* see above */
        }
        (void)close(fd);
}

static int give_up_capabilities(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2] = {{0}};
        unsigned int kept;

        if (syscall(SYS_capget, &header, data) < 0)
                return -errno;
        kept = CAPABILITIES | (data[0].permitted & CAN_RANK);
        data[0] = (struct __user_cap_data_struct){.effective = kept, .permitted = kept};
        data[1] = (struct __user_cap_data_struct){0};
        if (syscall(SYS_capset, &header, data) < 0)
                return -errno;
        if (kept & CAN_RANK)
                spare_from_oom_kill();
        return 0;
}

static int receive_filter(void)
{
        ssize_t size = recv(NURSERY_FD, filter, sizeof(filter), 0);

        if (size <= 0)
                return size < 0 ? -errno : -EPIPE;
        filter_size = (size_t)size;
        return 0;
}

int nursery_begin(const char **ret_step)
{
        static const struct {
                int (*run)(void);
                const char *name;
        } steps[] = {
                {mount_proc, "mounting /proc"},
                {give_up_capabilities, "giving up capabilities"},
                {receive_filter, "receiving the system call filter"},
        };

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                int r = steps[i].run();
                *ret_step = steps[i].name;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Waits for a request. False where the agent is gone. */
static bool receive(uint64_t *ret_number, int ret_fds[FDS_MAX], size_t *ret_count)
{
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = ret_number, .iov_len = sizeof(*ret_number)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        const struct cmsghdr *header;

        if (recvmsg(NURSERY_FD, &message, MSG_CMSG_CLOEXEC) != sizeof(*ret_number))
                return false;
        header = CMSG_FIRSTHDR(&message);
        *ret_count = 0;
        if (!header || header->cmsg_type != SCM_RIGHTS)
                return true; /* birth_give() says what is amiss */
        *ret_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_fds, CMSG_DATA(header), *ret_count * sizeof(int));
        return true;
}

static void call(void (*hook)(void))
{
        if (hook)
                hook();
}

void nursery_serve(const struct nursery_hooks *hooks, const struct birth_ways *ways,
                   const struct scout_errand *errand)
{
        int own_fd = pidfd_open(getpid(), 0);
        int fds[FDS_MAX];
        uint64_t number;
        size_t count;

        call(hooks->before);
        if (scout_send(ways, errand)) {
                call(hooks->after_in_child);
                return;
        }
        call(hooks->after_in_parent);
        while (receive(&number, fds, &count)) {
                int r;
                call(hooks->before);
                r = birth_give(number, fds, count, own_fd, filter, filter_size, ways);
                if (r == 1) {
                        call(hooks->after_in_child);
                        return;
                }
                call(hooks->after_in_parent);
                if (r < 0)
                        birth_answer(NURSERY_FD, number, -r, "cloning");
                for (size_t i = 0; i < count; i++)
                        (void)close(fds[i]);
        }
        _exit(0);
}
