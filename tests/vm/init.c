/* The first process of the test machine: brings up just enough of a system, with the host's own
 * root file system below it, read-only over 9p, runs one command there and switches the machine
 * off. The serial line then ends with "vm: exit status N".
 *
 * The kernel's command line says what to do: vm_command=PATH (of a script on the host), and in which
 * folder: vm_source=PATH, which stays visible even where it lies in /tmp or the like. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the order in which they need each other; what the kernel has built in is not there. */
static const char *const modules[] = {
        "virtio_ring",
        "virtio",
        "virtio_pci_legacy_dev",
        "virtio_pci_modern_dev",
        "virtio_pci",
        "netfs",
        "fscache",
        "9pnet",
        "9pnet_virtio",
        "9p",
};

static void switch_off(int status)
{
        printf("vm: exit status %d\n", status);
        fflush(stdout);
        sync();
        reboot(RB_POWER_OFF);
}

static void must(int result, const char *what)
{
        if (result < 0) {
                printf("vm: %s: %s\n", what, strerror(errno));
                switch_off(125);
        }
}

static void load_module(const char *name)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/modules/%s.ko", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        must((int)syscall(SYS_finit_module, fd, "", 0), path);
        close(fd);
}

/* The folder that must not be covered, as a mount of its own that is nowhere yet; -1: none. */
static int detach_source(const char *source)
{
        char path[4096];
        int tree;

        if (!source)
                return -1;
        snprintf(path, sizeof(path), "/host%s", source);
        tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        must(tree, path);
        return tree;
}

/* Puts it back where it was, making the way to it where a tmpfs lies now. */
static void attach_source(int tree, const char *source)
{
        char path[4096];

        if (tree < 0)
                return;
        snprintf(path, sizeof(path), "/host%s", source);
        for (char *slash = strchr(path + 6, '/');; slash = strchr(slash + 1, '/')) {
                if (slash)
                        *slash = '\0';
                (void)mkdir(path, 0755); /* there already, or the mount below says why not */
                if (!slash)
                        break;
                *slash = '/';
        }
        must((int)syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), path);
        close(tree);
}

static void make_system(const char *source)
{
        static const struct {
                const char *type, *path, *options;
        } mounts[] = {
                {"proc", "/host/proc", NULL},
                {"sysfs", "/host/sys", NULL},
                {"cgroup2", "/host/sys/fs/cgroup", NULL},
                {"devtmpfs", "/host/dev", NULL},
                {"tmpfs", "/host/tmp", "mode=1777"},
                {"tmpfs", "/host/run", NULL},
                {"tmpfs", "/host/root", NULL}, /* pytest's cache and the like */
        };

        must(mount("host", "/host", "9p", MS_RDONLY,
                   "trans=virtio,version=9p2000.L,cache=loose,access=any,msize=524288"),
             "mounting the host's files");
        int tree = detach_source(source);
        for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
                must(mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, mounts[i].options),
                     mounts[i].path);
        attach_source(tree, source);
        /* As switch_root(8) does: the new root covers the initial one. */
        must(chdir("/host"), "entering the host's files");
        must(mount(".", "/", NULL, MS_MOVE, NULL), "covering the initial root");
        must(chroot("."), "changing the root");
}

static void raise_loopback(void)
{
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        must(ioctl(fd, SIOCSIFFLAGS, &request), "raising the loopback");
        close(fd);
}

/* In the child. */
static void run(const char *command)
{
        static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                                            "LANG=C.UTF-8", NULL};

        execve(command, (char *[]){(char *)command, NULL}, environment);
        must(-1, command);
}

int main(int argc, char **argv)
{
        const char *command = getenv("vm_command");
        int status;
        pid_t child, ended;

        (void)argc, (void)argv;
        for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
                load_module(modules[i]);
        make_system(getenv("vm_source"));
        raise_loopback();
        if (!command)
                switch_off(125);
        child = fork();
        must(child, "forking");
        if (child == 0)
                run(command);
        do {
                ended = wait(&status);
        } while (ended != child);
        switch_off(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
