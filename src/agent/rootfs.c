/* The contents of the sandboxes' root; see rootfs.h. Paths are relative to the tmpfs being filled.
 *
 * The fewer mounts the better: each costs a few microseconds at every cold start, because the
 * sandbox's namespace is a copy. So /usr is the only part of the host that is mounted; the files of
 * /etc are copied, the device nodes made.
 */
#include "agent/rootfs.h"

#include "agent/embedded.h"
#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define COPY_MAX (4 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The linker of an interpreter that waits for its function, with layers to come, asks once whether
 * /opt/lib is there, and never looks into it again if it is not. */
static const char *const folders[] = {
        "proc", "tmp", "code", "opt", "opt/lib", "usr", "etc", "etc/ssl", "dev", "run", "var",
};

static const struct {
        const char *path, *target;
} links[] = {
        {"dev/fd", "/proc/self/fd"},
        {"dev/stdin", "/proc/self/fd/0"},
        {"dev/stdout", "/proc/self/fd/1"},
        {"dev/stderr", "/proc/self/fd/2"},
        {"dev/shm", "/tmp"}, /* POSIX shared memory and semaphores; counted with /tmp */
        {"var/tmp", "/tmp"},
        {"var/run", "/run"},
        {"node_modules", "/opt/nodejs/node_modules"}, /* ES modules do not heed NODE_PATH */
};

static const struct {
        const char *path;
        unsigned int minor;
} devices[] = {
        {"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9},
};

static const struct {
        const char *path, *text;
} texts[] = {
        {"etc/passwd", "root:x:0:0::/nonexistent:/usr/sbin/nologin\n"
                       "function:x:1000:1000::/tmp:/bin/sh\n"
                       "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"},
        {"etc/group", "root:x:0:\nfunction:x:1000:\nnogroup:x:65534:\n"},
        {"etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"},
        {"etc/hostname", "function\n"},
        {"run/compile-cache", ""}, /* a function's own may be mounted over it: heirlooms.h */
        /* Where outbound network answers: egress_link.h. Without it there is no way there. */
        {"etc/resolv.conf", "nameserver 169.254.0.53\noptions timeout:2 attempts:2\n"},
        {"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
};

/* Of the host, where it has them and anybody may read them. */
static const char *const copies[] = {
        "etc/ld.so.cache", "etc/localtime",    "etc/mime.types", "etc/protocols",
        "etc/services",    "etc/alternatives", "etc/ssl/certs",  "etc/ssl/openssl.cnf",
};

/* Links into /usr on a merged-/usr system, folders of their own elsewhere. */
static const char *const top_folders[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

static int write_file(const char *path, mode_t mode, const void *data, size_t size)
{
        AUTO(fd_close)
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        const char *at = data;

        if (fd < 0)
                return -errno;
        while (size > 0) {
                ssize_t written = write(fd, at, size);
                if (written < 0)
                        return -errno;
                at += written;
                size -= (size_t)written;
        }
        return fchmod(fd, mode) < 0 ? -errno : 0;
}

static int copy_link(const char *from, const char *to)
{
        char target[PATH_MAX];
        ssize_t length = readlink(from, target, sizeof(target) - 1);

        if (length < 0)
                return -errno;
        target[length] = '\0';
        return symlink(target, to) < 0 ? -errno : 0;
}

static int copy_file(const char *from, const char *to, size_t size)
{
        AUTO(fd_close) int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        AUTO(memory_free) char *data = malloc(size + 1);
        ssize_t got;

        if (fd < 0 || !data)
                return fd < 0 ? -errno : -ENOMEM;
        got = read(fd, data, size);
        return got < 0 ? -errno : write_file(to, 0444, data, (size_t)got);
}

static int copy(const char *from, const char *to);

static int copy_folder(const char *from, const char *to)
{
        AUTO(directory_close) DIR *directory = opendir(from);
        struct dirent *entry;
        int r = 0;

        if (!directory || mkdir(to, 0755) < 0)
                return -errno;
        while (r == 0 && (entry = readdir(directory))) {
                char inner_from[PATH_MAX], inner_to[PATH_MAX];
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (snprintf(inner_from, PATH_MAX, "%s/%s", from, entry->d_name) >= PATH_MAX ||
                    snprintf(inner_to, PATH_MAX, "%s/%s", to, entry->d_name) >= PATH_MAX)
                        return -ENAMETOOLONG;
                r = copy(inner_from, inner_to);
        }
        return r;
}

/* What is not for everybody's eyes, or is no file, link or folder, stays behind. */
static int copy(const char *from, const char *to)
{
        struct stat status;

        if (lstat(from, &status) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (S_ISLNK(status.st_mode))
                return copy_link(from, to);
        if (S_ISDIR(status.st_mode) && (status.st_mode & S_IXOTH))
                return copy_folder(from, to);
        if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) && status.st_size <= COPY_MAX)
                return copy_file(from, to, (size_t)status.st_size);
        return 0;
}

static int make_nodes(struct err *err)
{
        for (size_t i = 0; i < COUNT(folders); i++)
                if (mkdir(folders[i], 0755) < 0)
                        return err_errno(err, -errno, "making /%s", folders[i]);
        for (size_t i = 0; i < COUNT(links); i++)
                if (symlink(links[i].target, links[i].path) < 0)
                        return err_errno(err, -errno, "making /%s", links[i].path);
        for (size_t i = 0; i < COUNT(devices); i++)
                if (mknod(devices[i].path, S_IFCHR, makedev(1, devices[i].minor)) < 0 ||
                    chmod(devices[i].path, 0666) < 0)
                        return err_errno(err, -errno, "making /%s", devices[i].path);
        return 0;
}

static int write_embedded(const struct embedded_file *file)
{
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "magpie/%s", file->path);
        for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return write_file(path, file->mode, file->data, file->size);
}

static int write_files(struct err *err)
{
        int r;

        for (size_t i = 0; i < COUNT(texts); i++) {
                r = write_file(texts[i].path, 0444, texts[i].text, strlen(texts[i].text));
                if (r < 0)
                        return err_errno(err, r, "writing /%s", texts[i].path);
        }
        for (size_t i = 0; i < COUNT(copies); i++) {
                char from[64];
                (void)snprintf(from, sizeof(from), "/%s", copies[i]);
                r = copy(from, copies[i]);
                if (r < 0)
                        return err_errno(err, r, "copying %s", from);
        }
        for (size_t i = 0; i < embedded_file_count; i++) {
                r = write_embedded(&embedded_files[i]);
                if (r < 0)
                        return err_errno(err, r, "writing /magpie/%s", embedded_files[i].path);
        }
        return 0;
}

static int mount_from_host(const char *from, const char *to, struct err *err)
{
        AUTO(fd_close) int fd = template_clone_mount(AT_FDCWD, from, err);

        if (fd < 0)
                return fd;
        if (move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return err_errno(err, -errno, "mounting %s", from);
        return 0;
}

static int bring_programs(struct err *err)
{
        int r = mount_from_host("/usr", "usr", err);

        for (size_t i = 0; i < COUNT(top_folders) && r == 0; i++) {
                const char *name = top_folders[i];
                struct stat status;
                char from[16];
                (void)snprintf(from, sizeof(from), "/%s", name);
                if (lstat(from, &status) < 0)
                        continue;
                if (S_ISLNK(status.st_mode)) {
                        r = copy_link(from, name);
                        if (r < 0)
                                return err_errno(err, r, "copying %s", from);
                } else if (S_ISDIR(status.st_mode)) {
                        if (mkdir(name, 0755) < 0)
                                return err_errno(err, -errno, "making %s", from);
                        r = mount_from_host(from, name, err);
                }
        }
        return r;
}

int rootfs_fill(struct err *err)
{
        mode_t mask = umask(022);
        int r = make_nodes(err);

        if (r == 0)
                r = write_files(err);
        if (r == 0)
                r = bring_programs(err);
        (void)umask(mask);
        return r;
}
