/* See threads.h. */
#include "threads.h"

#include "birth.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PATIENCE_NS (2 * 1000000000ull)
#define LANDING_SIZE 4096
#define DEAF_MAX 1

/* What the kernel knows of a thread, and a copy of it must be told. */
struct identity {
        pid_t *number; /* where the C library keeps it; the kernel clears it at the thread's end */
        void *robust_list;
        size_t robust_list_size;
};

struct thread {
        struct identity identity;
        void *storage; /* thread-local */
        unsigned char *landing;
        ucontext_t context; /* in the handler */
};

static struct identity first;
static struct thread threads[THREADS_MAX];
static size_t thread_count;
static atomic_size_t begun, stopped;
static volatile int is_copy;

static int read_identity(struct identity *identity)
{
        if (prctl(PR_GET_TID_ADDRESS, &identity->number, 0, 0, 0) < 0 || !identity->number)
                return -ENOTSUP;
        if (syscall(SYS_get_robust_list, 0, &identity->robust_list, &identity->robust_list_size) <
            0)
                return -errno;
        return 0;
}

/* ---- in the original ---- */

/* Nothing wakes it. */
static void wait_for_ever(void)
{
        static const int never = 0;

        for (;;)
                (void)syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

/* In each thread; its second return, in a copy, is to what the thread was doing. */
static void stop_here(int signal)
{
        _Alignas(16) unsigned char landing[LANDING_SIZE];
        struct thread *thread = &threads[atomic_fetch_add(&begun, 1)];
        int saved_errno = errno;

        (void)signal;
        thread->landing = landing;
        thread->storage = __builtin_thread_pointer();
        if (read_identity(&thread->identity) < 0 || getcontext(&thread->context) < 0)
                wait_for_ever();
        if (!is_copy) {
                atomic_fetch_add(&stopped, 1);
                wait_for_ever();
        }
        errno = saved_errno;
}

/* Has the thread blocked the signal? 0, 1 or a negative errno. */
static int is_deaf(pid_t number, int signal)
{
        char path[64], text[4096];
        const char *line;
        ssize_t length;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", number);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        length = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        if (length < 0)
                return -errno;
        text[length] = '\0';
        line = strstr(text, "\nSigBlk:");
        if (!line)
                return -ENOTSUP;
        return (int)(strtoull(line + strlen("\nSigBlk:"), NULL, 16) >> (signal - 1) & 1);
}

/* All but the calling one. Their number, or a negative errno. */
static int list_others(pid_t ret_numbers[THREADS_MAX])
{
        DIR *folder = opendir("/proc/self/task");
        const struct dirent *entry;
        int count = 0;

        if (!folder)
                return -errno;
        while (count >= 0 && (entry = readdir(folder))) {
                pid_t number = (pid_t)strtol(entry->d_name, NULL, 10);
                if (number == 0 || number == getpid())
                        continue;
                if (count == THREADS_MAX)
                        count = -E2BIG;
                else
                        ret_numbers[count++] = number;
        }
        (void)closedir(folder);
        return count;
}

/* The number of threads that will stop, or a negative errno. */
static int signal_others(int signal)
{
        pid_t numbers[THREADS_MAX] = {0};
        int count = list_others(numbers), heard = 0, deaf = 0;

        for (int i = 0; i < count; i++) {
                int r = is_deaf(numbers[i], signal);
                if (r < 0)
                        return r;
                deaf += r;
                if (deaf > DEAF_MAX)
                        return -ENOTSUP;
                if (r == 0 && tgkill(getpid(), numbers[i], signal) < 0)
                        return -errno;
                heard += r == 0;
        }
        return count < 0 ? count : heard;
}

static int wait_until_stopped(size_t count)
{
        const struct timespec pause = {.tv_nsec = 200000};

        for (uint64_t waited_ns = 0; atomic_load(&stopped) < count;) {
                if (waited_ns > PATIENCE_NS)
                        return -ETIMEDOUT;
                (void)nanosleep(&pause, NULL);
                waited_ns += (uint64_t)pause.tv_nsec;
        }
        return 0;
}

int threads_freeze(void)
{
        struct sigaction action = {.sa_handler = stop_here, .sa_flags = SA_RESTART}, before;
        int signal = SIGRTMAX, count, r = read_identity(&first);

        if (r < 0)
                return r;
        sigfillset(&action.sa_mask);
        if (sigaction(signal, &action, &before) < 0)
                return -errno;
        count = signal_others(signal);
        r = count < 0 ? count : wait_until_stopped((size_t)count);
        if (r == 0)
                thread_count = (size_t)count;
        return sigaction(signal, &before, NULL) < 0 && r == 0 ? -errno : r;
}

pid_t threads_copy(void)
{
        long flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
#if defined(__x86_64__)
        return (pid_t)syscall(SYS_clone, flags, 0, NULL, first.number, 0);
#else
        return (pid_t)syscall(SYS_clone, flags, 0, NULL, 0, first.number);
#endif
}

/* ---- in a copy ---- */

static int register_robust_list(const struct identity *identity)
{
        return identity->robust_list && syscall(SYS_set_robust_list, identity->robust_list,
                                                identity->robust_list_size) < 0
                       ? -errno
                       : 0;
}

static int go_on(void *argument)
{
        struct thread *thread = argument;

        if (register_robust_list(&thread->identity) == 0 && birth_register_rseq() == 0)
                (void)setcontext(&thread->context);
        abort();
}

int threads_revive(void)
{
        const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                          CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
        sigset_t all, before;
        int r = register_robust_list(&first);

        is_copy = 1;
        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, &before) < 0) /* they begin with it, on a small stack */
                return -errno;
        for (size_t i = 0; i < thread_count && r == 0; i++) {
                struct thread *thread = &threads[i];
                if (clone(go_on, thread->landing + LANDING_SIZE, flags, thread,
                          thread->identity.number, thread->storage, thread->identity.number) < 0)
                        r = -errno;
        }
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}
