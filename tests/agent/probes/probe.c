/* Tries, inside a sandbox, what a sandbox must not allow. Run under the exec contract: the payload
 * names the attempt, standard output gets "ok" or the errno's name. "all" lists every attempt. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* An attempt a line, as far as it fits. */
/* clang-format off */
static char page[4096];

static long clone_with(unsigned long flags)
{
        long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
                _exit(0);
        return pid;
}

static long mount_tmpfs(void) { return mount("x", "/tmp", "tmpfs", 0, NULL); }
static long mount_proc(void) { return mount("proc", "/tmp", "proc", 0, NULL); }
static long remount_root(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long bind_mount(void) { return mount("/usr", "/tmp", NULL, MS_BIND, NULL); }
static long unmount_code(void) { return umount2("/code", MNT_DETACH); }
static long open_tree_clone(void) { return syscall(SYS_open_tree, AT_FDCWD, "/", 1); }
static long move_a_mount(void) { return syscall(SYS_move_mount, AT_FDCWD, "/code", AT_FDCWD, "/tmp", 0); }
static long new_file_system(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static long mount_attributes(void) { return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, page, 32); }
static long change_root(void) { return chroot("/tmp"); }
static long pivot(void) { return syscall(SYS_pivot_root, "/tmp", "/tmp"); }
static long unshare_user(void) { return unshare(CLONE_NEWUSER); }
static long unshare_mounts(void) { return unshare(CLONE_NEWNS); }
static long unshare_time(void) { return unshare(0x80); }
static long clone_user(void) { return clone_with(CLONE_NEWUSER); }
static long clone_network(void) { return clone_with(CLONE_NEWNET); }
static long clone3_anything(void)
{
        uint64_t args[11] = {0};
        args[4] = SIGCHLD;
        long pid = syscall(SYS_clone3, args, sizeof(args));
        if (pid == 0)
                _exit(0);
        return pid;
}
static long enter_namespace(void)
{
        int fd = open("/proc/self/ns/user", O_RDONLY);
        return fd < 0 ? fd : setns(fd, 0);
}
static long trace_self(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0); }
static long trace_init(void) { return ptrace(PTRACE_ATTACH, 1, 0, 0); }
static long read_init_memory(void)
{
        struct iovec here = {page, 8}, there = {page, 8};
        return process_vm_readv(1, &here, 1, &there, 1, 0);
}
static long write_own_child(void)
{
        struct iovec here = {page, 8}, there = {page, 8};
        return process_vm_writev(getpid(), &here, 1, &there, 1, 0);
}
static long steal_descriptor(void)
{
        int fd = (int)syscall(SYS_pidfd_open, 1, 0);
        return fd < 0 ? fd : syscall(SYS_pidfd_getfd, fd, 3, 0);
}
static long open_init_memory(void) { return open("/proc/1/mem", O_RDWR); }
static long open_init_descriptors(void) { return open("/proc/1/fd", O_RDONLY); }
static long signal_init(void) { return kill(1, SIGKILL) < 0 ? -1 : (usleep(1000), errno = EPERM, -1); }
static long signal_beyond(void) { return kill(2 << 20, 0); }
static long add_a_key(void) { return syscall(SYS_add_key, "user", "x", "y", 1, -5); }
static long control_keys(void) { return syscall(SYS_keyctl, 0, -5, 1); }
static long request_a_key(void) { return syscall(SYS_request_key, "user", "x", NULL, -5); }
static long make_bpf(void)
{
        union bpf_attr attribute = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
        return syscall(SYS_bpf, BPF_MAP_CREATE, &attribute, sizeof(attribute));
}
static long make_io_uring(void)
{
        struct io_uring_params parameters = {0};
        return syscall(SYS_io_uring_setup, 4, &parameters);
}
static long count_events(void)
{
        struct perf_event_attr attribute = {.size = sizeof(attribute), .exclude_kernel = 1};
        return syscall(SYS_perf_event_open, &attribute, 0, -1, -1, 0);
}
static long fault_handler(void) { return syscall(SYS_userfaultfd, O_CLOEXEC | 1); }
static long secret_memory(void) { return syscall(SYS_memfd_secret, 0); }
static long load_kernel(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static long load_module(void) { return syscall(SYS_init_module, page, sizeof(page), ""); }
static long load_module_file(void) { return syscall(SYS_finit_module, 0, "", 0); }
static long swap_on(void) { return swapon("/tmp/x", 0); }
static long restart_machine(void) { return syscall(SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef, NULL); }
static long become_root(void) { return setuid(0); }
static long become_other(void) { return setresuid(33, 33, 33); }
static long become_group(void) { return setgid(0); }
static long join_groups(void) { gid_t group = 0; return syscall(SYS_setgroups, 1, &group); }
static long set_capabilities(void)
{
        uint32_t header[2] = {0x20080522, 0}, data[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
        return syscall(SYS_capset, header, data);
}
static long raise_ambient(void) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0); }
static long make_block_device(void) { return mknod("/tmp/b", S_IFBLK | 0600, makedev(254, 0)); }
static long make_char_device(void) { return mknodat(AT_FDCWD, "/tmp/c", S_IFCHR | 0600, makedev(1, 1)); }
static long push_input(void) { return ioctl(0, TIOCSTI, "x"); }
static long push_input_smuggled(void) { return syscall(SYS_ioctl, 0, (1ul << 32) | TIOCSTI, "x"); }
static long console_input(void) { return ioctl(0, 0x541c /* TIOCLINUX */, "\3"); }
static long other_personality(void) { return syscall(SYS_personality, READ_IMPLIES_EXEC); }
static long file_handle(void)
{
        struct { struct file_handle head; char bytes[128]; } handle = {.head.handle_bytes = 128};
        int mount_id;
        return name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount_id, 0);
}
static long open_handle(void)
{
        struct { struct file_handle head; char bytes[128]; } handle = {.head.handle_bytes = 128};
        return open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY);
}
static long quota(void) { return quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL); }
static long read_kernel_log(void) { return syscall(SYS_syslog, 3, page, sizeof(page)); }
static long accounting(void) { return syscall(SYS_acct, NULL); }
static long sync_disks(void) { errno = 0; sync(); return syscall(SYS_sync); }
static long sync_usr(void) { int fd = open("/usr", O_RDONLY); return fd < 0 ? fd : syncfs(fd); }
static long set_clock(void) { struct timespec now = {0}; return clock_settime(CLOCK_REALTIME, &now); }
static long adjust_clock(void) { struct timex adjustment = {0}; return (long)adjtimex(&adjustment); }
static long name_host(void) { return sethostname("x", 1); }
static long name_domain(void) { return setdomainname("x", 1); }
static long hang_up(void) { return syscall(SYS_vhangup); }
static long fanotify(void) { return syscall(SYS_fanotify_init, 0, O_RDONLY); }
static long move_pages_of_init(void) { return syscall(SYS_migrate_pages, 1, 8, page, page); }
static long compare_kernel(void) { return syscall(SYS_kcmp, 1, getpid(), 0, 0, 0); }
#ifdef __x86_64__
static long io_ports(void) { return syscall(SYS_iopl, 3); }
static long segments(void) { return syscall(SYS_modify_ldt, 0, page, sizeof(page)); }
#endif
static long packet_socket(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static long raw_socket(void) { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long vsock(void) { return socket(40 /* AF_VSOCK */, SOCK_STREAM, 0); }
static long crypto_socket(void) { return socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0); }
static long audit_socket(void) { return socket(AF_NETLINK, SOCK_RAW, 9); }
static long netfilter_socket(void) { return socket(AF_NETLINK, SOCK_RAW, 12); }
static long smuggled_socket(void) { return syscall(SYS_socket, (1ul << 32) | AF_PACKET, SOCK_DGRAM, 0); }
static long sctp_socket(void) { return socket(AF_INET, SOCK_STREAM, 132); }
static long sctp_messages(void) { return socket(AF_INET6, SOCK_SEQPACKET, 132); }
static long dccp_by_kind(void) { return socket(AF_INET, 6 /* SOCK_DCCP */, 0); }
static long l2tp_socket(void) { return socket(AF_INET, SOCK_DGRAM, 115); }
static long smuggled_protocol(void) { return syscall(SYS_socket, AF_INET, SOCK_STREAM, (1ul << 32) | 132); }
static long raw_l2tp(void) { return socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, 115); }
static long huge_pages(void) { return (long)mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x40000 /* MAP_HUGETLB */, -1, 0); }
static long huge_file(void) { return syscall(SYS_memfd_create, "x", 4 /* MFD_HUGETLB */); }
static long change_interface(void)
{
        struct ifreq request = {.ifr_name = "lo"};
        return ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &request);
}
static long reach_outside(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x08080808)};
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        return fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof(address));
}
static long write_root(void) { return open("/x", O_WRONLY | O_CREAT, 0600); }
static long write_usr(void) { return open("/usr/x", O_WRONLY | O_CREAT, 0600); }
static long write_etc(void) { return open("/etc/passwd", O_WRONLY); }
static long write_code(void) { return open("/code/x", O_WRONLY | O_CREAT, 0600); }
static long change_code(void) { return chmod("/code/probe", 0777); }
static long write_init(void) { return open("/magpie/init", O_WRONLY); }
static long write_dev(void) { return open("/dev/x", O_WRONLY | O_CREAT, 0600); }
static long write_proc(void) { return open("/proc/x", O_WRONLY | O_CREAT, 0600); }
static long read_shadow(void) { return open("/etc/shadow", O_RDONLY); }
static long read_kernel_memory(void) { return open("/proc/kcore", O_RDONLY); }
static long read_sysctl(void) { return open("/proc/sys/kernel/hostname", O_RDONLY); }
static long trigger_sysrq(void) { return open("/proc/sysrq-trigger", O_WRONLY); }
static long read_interrupts(void) { return open("/proc/interrupts", O_RDONLY); }
static long read_sys(void) { return open("/sys/kernel", O_RDONLY); }
static long read_home(void) { return open("/root", O_RDONLY); }
static long read_disk(void) { return open("/dev/vda", O_RDONLY) >= 0 ? 0 : open("/dev/sda", O_RDONLY); }
static long read_memory_device(void) { return open("/dev/mem", O_RDONLY); }
static long open_terminal(void) { return open("/dev/tty", O_RDWR); }
static long climb_by_link(void) { return symlink("/proc/1/root/root", "/tmp/l") < 0 ? -1 : open("/tmp/l", O_RDONLY); }
static long climb_by_init_root(void) { return open("/proc/1/root/etc/shadow", O_RDONLY); }
static long climb_by_cwd(void) { return open("../../../../../root", O_RDONLY); }
static long core_dumps(void)
{
        struct { unsigned long now, most; } limit = {1, 1};
        return syscall(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, &limit, NULL);
}
static long drop_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0); }
static long real_time(void) { struct sched_param most = {.sched_priority = 99}; return sched_setscheduler(0, SCHED_FIFO, &most); }
static long nicer(void) { return setpriority(PRIO_PROCESS, 0, -20); }
static long less_killable(void)
{
        int fd = open("/proc/self/oom_score_adj", O_WRONLY);
        return fd < 0 ? fd : write(fd, "-1000", 5);
}

#define ATTEMPT(name) {#name, name}
static const struct {
        const char *name;
        long (*run)(void);
} attempts[] = {
        ATTEMPT(mount_tmpfs), ATTEMPT(mount_proc), ATTEMPT(remount_root), ATTEMPT(bind_mount),
        ATTEMPT(unmount_code), ATTEMPT(open_tree_clone), ATTEMPT(move_a_mount),
        ATTEMPT(new_file_system), ATTEMPT(mount_attributes), ATTEMPT(change_root), ATTEMPT(pivot),
        ATTEMPT(unshare_user), ATTEMPT(unshare_mounts), ATTEMPT(unshare_time), ATTEMPT(clone_user),
        ATTEMPT(clone_network), ATTEMPT(clone3_anything), ATTEMPT(enter_namespace),
        ATTEMPT(trace_self), ATTEMPT(trace_init), ATTEMPT(read_init_memory),
        ATTEMPT(write_own_child), ATTEMPT(steal_descriptor), ATTEMPT(open_init_memory),
        ATTEMPT(open_init_descriptors), ATTEMPT(signal_init), ATTEMPT(signal_beyond),
        ATTEMPT(add_a_key), ATTEMPT(control_keys), ATTEMPT(request_a_key), ATTEMPT(make_bpf),
        ATTEMPT(make_io_uring), ATTEMPT(count_events), ATTEMPT(fault_handler),
        ATTEMPT(secret_memory), ATTEMPT(load_kernel), ATTEMPT(load_module),
        ATTEMPT(load_module_file), ATTEMPT(swap_on), ATTEMPT(restart_machine),
        ATTEMPT(become_root), ATTEMPT(become_other), ATTEMPT(become_group), ATTEMPT(join_groups),
        ATTEMPT(set_capabilities), ATTEMPT(raise_ambient), ATTEMPT(make_block_device),
        ATTEMPT(make_char_device), ATTEMPT(push_input), ATTEMPT(push_input_smuggled),
        ATTEMPT(console_input), ATTEMPT(other_personality), ATTEMPT(file_handle),
        ATTEMPT(open_handle), ATTEMPT(quota), ATTEMPT(read_kernel_log), ATTEMPT(accounting),
        ATTEMPT(sync_disks), ATTEMPT(sync_usr), ATTEMPT(set_clock), ATTEMPT(adjust_clock),
        ATTEMPT(name_host), ATTEMPT(name_domain), ATTEMPT(hang_up), ATTEMPT(fanotify),
        ATTEMPT(move_pages_of_init), ATTEMPT(compare_kernel),
#ifdef __x86_64__
        ATTEMPT(io_ports), ATTEMPT(segments),
#endif
        ATTEMPT(packet_socket), ATTEMPT(raw_socket), ATTEMPT(vsock), ATTEMPT(crypto_socket),
        ATTEMPT(audit_socket), ATTEMPT(netfilter_socket), ATTEMPT(smuggled_socket),
        ATTEMPT(sctp_socket), ATTEMPT(sctp_messages), ATTEMPT(dccp_by_kind), ATTEMPT(l2tp_socket),
        ATTEMPT(smuggled_protocol), ATTEMPT(raw_l2tp), ATTEMPT(huge_pages), ATTEMPT(huge_file),
        ATTEMPT(change_interface), ATTEMPT(reach_outside), ATTEMPT(write_root),
        ATTEMPT(write_usr), ATTEMPT(write_etc), ATTEMPT(write_code), ATTEMPT(change_code),
        ATTEMPT(write_init), ATTEMPT(write_dev), ATTEMPT(write_proc), ATTEMPT(read_shadow),
        ATTEMPT(read_kernel_memory), ATTEMPT(read_sysctl), ATTEMPT(trigger_sysrq),
        ATTEMPT(read_interrupts), ATTEMPT(read_sys), ATTEMPT(read_home), ATTEMPT(read_disk),
        ATTEMPT(read_memory_device), ATTEMPT(open_terminal), ATTEMPT(climb_by_link),
        ATTEMPT(climb_by_init_root), ATTEMPT(climb_by_cwd), ATTEMPT(core_dumps),
        ATTEMPT(drop_no_new_privs), ATTEMPT(real_time), ATTEMPT(nicer), ATTEMPT(less_killable),
};

/* clang-format on */

int main(int argc, char **argv)
{
        const char *wanted = argc > 1 ? argv[1] : "all";

        for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
                if (strcmp(wanted, "all") == 0) {
                        puts(attempts[i].name);
                } else if (strcmp(wanted, attempts[i].name) == 0) {
                        errno = 0;
                        long result = attempts[i].run();
                        int failure = errno;
                        puts(result >= 0 ? "ok" : strerrorname_np(failure));
                        return 0;
                }
        }
        return strcmp(wanted, "all") == 0 ? 0 : 2;
}
