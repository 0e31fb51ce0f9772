/* The seccomp allow-lists; see filter.h.
 *
 * What a runtime needs to compute, to touch files, to talk to its own processes and over sockets is
 * allowed. What reaches for the host - mounts, namespaces, other processes' memory, kernel
 * modules, keys, tracing, clocks, BPF, io_uring, whole-disk sync - answers EPERM. Anything else,
 * every future call among it, answers ENOSYS, which programs take as "an older kernel" and work
 * around. Calls of another architecture (int 0x80, x32) kill the process.
 *
 * Arguments the kernel reads as 32 bits are compared under a mask: comparing all 64 bits would let
 * a caller smuggle the value past with a stray upper half (CVE-2019-10063 was that).
 */
#include "agent/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LOW_32 0xffffffffull
#define MAY_BE_MASKED(argument, mask, value) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value)
#define KIND_IS(kind) MAY_BE_MASKED(1, 0xf /* the rest are flags */, kind)
#define IS_32(argument, value) MAY_BE_MASKED(argument, LOW_32, value)

/* Words that name system calls; a name that libseccomp does not know fails the start. */
static const char *const allowed[] = {
        /* memory; mmap and memfd_create have their own rules */
        "brk munmap mprotect mremap madvise mincore msync mlock mlock2 munlock mlockall",
        "munlockall membarrier pkey_alloc pkey_free pkey_mprotect",
        /* processes and threads; clone has its own rule, clone3 cannot be checked */
        "fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill getpid",
        "getppid gettid getpgid getpgrp setpgid getsid setsid set_tid_address set_robust_list",
        "get_robust_list rseq arch_prctl prctl pidfd_open pidfd_send_signal futex futex_waitv",
        "restart_syscall getcpu getpriority setpriority sched_yield sched_getaffinity",
        "sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler",
        "sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min",
        "sched_rr_get_interval ioprio_get ioprio_set getrlimit setrlimit prlimit64 getrusage",
        "times",
        /* signals */
        "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait",
        "rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack signalfd signalfd4 pause alarm getitimer",
        "setitimer",
        /* who am I */
        "getuid geteuid getgid getegid getresuid getresgid getgroups capget uname sysinfo umask",
        /* time */
        "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time timer_create",
        "timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create",
        "timerfd_settime timerfd_gettime",
        /* files */
        "open openat openat2 creat close close_range read write readv writev pread64 pwrite64",
        "preadv pwritev preadv2 pwritev2 lseek sendfile splice tee vmsplice copy_file_range",
        "readahead fadvise64 fsync fdatasync sync_file_range ftruncate truncate fallocate flock",
        "fcntl dup dup2 dup3 pipe pipe2 stat lstat fstat newfstatat statx statfs fstatfs access",
        "faccessat faccessat2 chmod fchmod fchmodat chown fchown lchown fchownat utime utimes",
        "utimensat futimesat link linkat symlink symlinkat unlink unlinkat rename renameat",
        "renameat2 readlink readlinkat mkdir mkdirat rmdir chdir fchdir getcwd getdents",
        "getdents64 getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr",
        "lsetxattr fsetxattr removexattr lremovexattr fremovexattr",
        /* waiting for descriptors */
        "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait",
        "epoll_pwait2 eventfd eventfd2 inotify_init inotify_init1 inotify_add_watch",
        "inotify_rm_watch",
        /* sockets; socket and socketpair have their own rules */
        "bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt",
        "sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown",
        /* System V IPC, in the sandbox's own namespace */
        "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl",
        /* chance */
        "getrandom",
};

/* Would be ENOSYS without this list; EPERM tells a person plainly that it is forbidden. */
static const char *const forbidden[] = {
        /* mounts and roots */
        "umount2 chroot fsopen fsconfig fsmount fspick mount_setattr swapon swapoff",
        "quotactl quotactl_fd name_to_handle_at open_by_handle_at sync syncfs fanotify_init",
        "fanotify_mark",
        /* namespaces and identities */
        "setuid setgid setreuid setregid setfsuid setfsgid",
        /* other processes */
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd",
        "kcmp migrate_pages move_pages",
        /* the kernel and the machine */
        "init_module finit_module delete_module kexec_load kexec_file_load reboot iopl ioperm",
        "modify_ldt syslog acct vhangup setdomainname settimeofday clock_settime adjtimex",
        "clock_adjtime bpf perf_event_open userfaultfd lookup_dcookie add_key request_key",
        "keyctl memfd_secret",
};

/* Takes part in making a sandbox, and is taken away before magpie-init starts. */
static const int for_the_agent[] = {
        SYS_clone3,      SYS_unshare,   SYS_setns,      SYS_mount,     SYS_open_tree,
        SYS_move_mount,  SYS_setresuid, SYS_setresgid,  SYS_setgroups, SYS_capset,
        SYS_sethostname, SYS_seccomp,   SYS_pivot_root,
};
_Static_assert(2 + 2 * COUNT(for_the_agent) <= FILTER_CHILD_MAX, "the small program fits");

static const unsigned long allowed_ioctls[] = {
        TCGETS,
        TIOCGWINSZ,
        TIOCGPGRP,
        FIONREAD,
        FIONBIO,
        FIOASYNC,
        FIOCLEX,
        FIONCLEX,
        TIOCOUTQ,
        SIOCGIFCONF,
        SIOCGIFFLAGS,
        SIOCGIFADDR,
        SIOCGIFNETMASK,
        SIOCGIFBRDADDR,
        SIOCGIFHWADDR,
        SIOCGIFINDEX,
        SIOCGIFNAME,
        SIOCGIFMTU,
        SIOCATMARK,
        /* The child's, to raise the loopback; a function lacks the capability it takes. */
        SIOCSIFFLAGS,
};

#define NEW_NAMESPACES                                                                             \
        (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
         CLONE_NEWPID | CLONE_NEWNET)

/* Adds a rule for every word of every line. */
static int add_lines(scmp_filter_ctx context, uint32_t action, const char *const *lines,
                     size_t count)
{
        for (size_t i = 0; i < count; i++) {
                char words[128], *rest = words, *word;
                if (snprintf(words, sizeof(words), "%s", lines[i]) >= (int)sizeof(words))
                        return -EINVAL;
                while ((word = strsep(&rest, " "))) {
                        int number = seccomp_syscall_resolve_name(word);
                        int r = number == __NR_SCMP_ERROR
                                        ? -EINVAL
                                        : seccomp_rule_add(context, action, number, 0);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int allow_if(scmp_filter_ctx context, int number, struct scmp_arg_cmp condition)
{
        return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 1, &condition);
}

/* Kind and protocol, too: asked for one that it does not have, the kernel loads the module of that name
 * (SCTP, DCCP, L2TP), whoever asks. Raw sockets it refuses itself, but not before that. */
static int add_internet_rules(scmp_filter_ctx context, int family)
{
        static const struct {
                int kind, protocol;
        } known[] = {{SOCK_STREAM, 0},
                     {SOCK_STREAM, IPPROTO_TCP},
                     {SOCK_DGRAM, 0},
                     {SOCK_DGRAM, IPPROTO_UDP}};
        struct scmp_arg_cmp raw[] = {IS_32(0, (uint64_t)family), KIND_IS(SOCK_RAW)};
        int r = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2, raw);

        for (size_t i = 0; i < COUNT(known) && r == 0; i++) {
                struct scmp_arg_cmp one[] = {IS_32(0, (uint64_t)family),
                                             KIND_IS((uint64_t)known[i].kind),
                                             IS_32(2, (uint64_t)known[i].protocol)};
                r = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, one);
        }
        return r;
}

static int add_socket_rules(scmp_filter_ctx context)
{
        struct scmp_arg_cmp route[] = {IS_32(0, AF_NETLINK), IS_32(2, 0 /* NETLINK_ROUTE */)};
        int r = allow_if(context, SCMP_SYS(socket), IS_32(0, AF_UNIX));

        if (r == 0)
                r = add_internet_rules(context, AF_INET);
        if (r == 0)
                r = add_internet_rules(context, AF_INET6);
        if (r == 0) /* getifaddrs(3) */
                r = seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, route);
        if (r == 0)
                r = allow_if(context, SCMP_SYS(socketpair), IS_32(0, AF_UNIX));
        return r;
}

/* Huge pages are the host's, and no limit of a sandbox counts them. */
static int add_memory_rules(scmp_filter_ctx context)
{
        struct scmp_arg_cmp huge_map = MAY_BE_MASKED(3, MAP_HUGETLB, MAP_HUGETLB);
        struct scmp_arg_cmp huge_file = MAY_BE_MASKED(1, MFD_HUGETLB, MFD_HUGETLB);
        int r = allow_if(context, SCMP_SYS(mmap), MAY_BE_MASKED(3, MAP_HUGETLB, 0));

        if (r == 0)
                r = allow_if(context, SCMP_SYS(memfd_create), MAY_BE_MASKED(1, MFD_HUGETLB, 0));
        if (r == 0)
                r = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                                           &huge_map);
        if (r == 0)
                r = seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(memfd_create),
                                           1, &huge_file);
        return r;
}

static int add_argument_rules(scmp_filter_ctx context)
{
        static const mode_t kinds[] = {0, S_IFREG, S_IFIFO, S_IFSOCK};
        int r = allow_if(context, SCMP_SYS(clone), MAY_BE_MASKED(0, NEW_NAMESPACES, 0));

        /* Anything but devices. */
        for (size_t i = 0; i < COUNT(kinds) && r == 0; i++) {
                r = allow_if(context, SCMP_SYS(mknod), MAY_BE_MASKED(1, S_IFMT, kinds[i]));
                if (r == 0)
                        r = allow_if(context, SCMP_SYS(mknodat),
                                     MAY_BE_MASKED(2, S_IFMT, kinds[i]));
        }
        /* The personality that everybody has, and asking for it. */
        if (r == 0)
                r = allow_if(context, SCMP_SYS(personality), IS_32(0, 0));
        if (r == 0)
                r = allow_if(context, SCMP_SYS(personality), IS_32(0, LOW_32));
        for (size_t i = 0; i < COUNT(allowed_ioctls) && r == 0; i++)
                r = allow_if(context, SCMP_SYS(ioctl), IS_32(1, allowed_ioctls[i]));
        return r;
}

int filter_install(struct err *err)
{
        scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        int r;

        if (!context)
                return err_set(err, -ENOMEM, "no memory for the system call filter");
        /* A binary tree instead of a chain: calls with arguments to check pass through it. */
        r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (r == 0)
                r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r == 0)
                r = add_lines(context, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
        if (r == 0)
                r = add_lines(context, SCMP_ACT_ERRNO(EPERM), forbidden, COUNT(forbidden));
        for (size_t i = 0; i < COUNT(for_the_agent) && r == 0; i++)
                r = seccomp_rule_add(context, SCMP_ACT_ALLOW, for_the_agent[i], 0);
        if (r == 0)
                r = add_socket_rules(context);
        if (r == 0)
                r = add_memory_rules(context);
        if (r == 0)
                r = add_argument_rules(context);
        if (r == 0)
                r = seccomp_load(context);
        seccomp_release(context);
        return r < 0 ? err_errno(err, r, "installing the system call filter") : 0;
}

/* The architecture is the large program's business: it has killed every other. */
void filter_make_child_program(struct sock_filter ret_instructions[FILTER_CHILD_MAX],
                               struct sock_fprog *ret_program)
{
        const struct sock_filter load =
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
        const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        unsigned short count = 0;

        ret_instructions[count++] = load;
        for (size_t i = 0; i < COUNT(for_the_agent); i++) {
                /* The C library takes ENOSYS as a hint to use clone(2), whose flags are checked. */
                uint32_t error = for_the_agent[i] == SYS_clone3 ? ENOSYS : EPERM;
                const struct sock_filter skip_unless =
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)for_the_agent[i], 0, 1);
                const struct sock_filter refuse =
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
                ret_instructions[count++] = skip_unless;
                ret_instructions[count++] = refuse;
        }
        ret_instructions[count++] = allow;
        *ret_program = (struct sock_fprog){.len = count, .filter = ret_instructions};
}
