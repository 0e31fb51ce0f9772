/* The mount namespaces of agent and sandboxes; see template.h. */
#include "agent/template.h"

#include "agent/rootfs.h"
#include "base/auto.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the agent's own copy of the template shows the store: places that are empty folders in the
 * template, so that no trace of the store is left in a sandbox. */
#define STORE_CODE "/code"
#define STORE_STAGING "/tmp"
#define STORE_IMAGES "/proc"
/* What is written to these is memory of the instance that writes, and limited with that. A limit of all
 * together would be one that a single instance can use up. */
#define CACHES_TO_FILL "/opt"
#define CACHES_TO_FILL_OPTIONS "mode=0711,size=0,nr_inodes=0"
#define CACHES_KEPT "/run"
/* More than heirlooms.c keeps of all, and one that is being copied. */
#define CACHES_KEPT_OPTIONS "mode=0711,size=640m,nr_inodes=1024"
#define CACHES_READ_ONLY "/var"

int template_clone_mount(int directory_fd, const char *path, struct err *err)
{
        const unsigned int flags =
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] == '\0' ? AT_EMPTY_PATH : 0);
        struct mount_attr attributes = {
                .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                .propagation = MS_PRIVATE,
        };
        AUTO(fd_close) int fd = open_tree(directory_fd, path, flags);

        if (fd < 0)
                return err_errno(err, -errno, "opening '%s'", path);
        if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
                return err_errno(err, -errno, "making '%s' read-only", path);
        return fd_steal(&fd);
}

/* A folder of the data directory, which is the gateway's: a link that it left there instead would show
 * sandboxes any folder of the host's. */
static int clone_store(int data_fd, const char *name, struct err *err)
{
        struct open_how how = {
                .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        };
        AUTO(fd_close)
        int fd = (int)syscall(SYS_openat2, data_fd, name, &how, sizeof(how));

        if (fd < 0)
                return err_errno(err, -errno, "opening '%s'", name);
        return template_clone_mount(fd, "", err);
}

static int attach(int mount_fd, const char *path)
{
        return move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The current directory, a mount of our namespace, becomes its root, and the host's tree goes.
 *
 * The host's root may be a chroot. What is the root then for this process alone is none for the
 * namespace, and a child that enters the namespace would find itself outside; so the way leads over
 * the namespace's own root, which setns(2) is the door to. pivot_root(2) with "." stacks the old
 * root over the new one. */
static int become_root(int proc_fd)
{
        AUTO(fd_close) int root_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int namespace_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);

        if (root_fd < 0 || namespace_fd < 0 || setns(namespace_fd, CLONE_NEWNS) < 0 ||
            fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
            umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
                return -errno;
        return 0;
}

/* A tmpfs over the data directory: any folder would do, this one is known to exist. */
static int make_root(const char *data_dir, int proc_fd, struct err *err)
{
        int r;

        if (mount("magpie", data_dir, "tmpfs", MS_NOSUID, "mode=0755,size=64m") < 0)
                return err_errno(err, -errno, "mounting the sandboxes' root");
        if (chdir(data_dir) < 0)
                return err_errno(err, -errno, "entering the sandboxes' root");
        r = rootfs_fill(err);
        if (r < 0)
                return r;
        r = become_root(proc_fd);
        if (r < 0)
                return err_errno(err, r, "leaving the host's root");
        if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) < 0)
                return err_errno(err, -errno, "making the sandboxes' root read-only");
        return 0;
}

/* A mount namespace of our own that hears nothing of the host's and tells it nothing. */
static int leave_namespace(struct err *err)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return err_errno(err, -errno, "making a mount namespace");
        return 0;
}

/* The root for images: folders to mount on, until the image takes its place. */
static int fill_empty_root(struct err *err)
{
        static const char *const folders[] = {"proc", "tmp", "dev", "code"};

        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                if (mkdir(folders[i], 0755) < 0)
                        return err_errno(err, -errno, "making the folder /%s", folders[i]);
        return 0;
}

/* From inside the template, and back. */
static int make_empty(struct template *template, int proc_fd, struct err *err)
{
        AUTO(fd_close) int devices_fd = -1;
        int r = leave_namespace(err);

        if (r < 0)
                return r;
        devices_fd = open_tree(AT_FDCWD, "/dev", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (devices_fd < 0)
                return err_errno(err, -errno, "opening the device nodes");
        if (mount("magpie", "/code", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") < 0 ||
            chdir("/code") < 0)
                return err_errno(err, -errno, "mounting an empty root");
        r = fill_empty_root(err);
        if (r < 0)
                return r;
        r = become_root(proc_fd);
        if (r == 0)
                r = attach(devices_fd, "/dev");
        if (r == 0 &&
            mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
                r = -errno;
        if (r < 0)
                return err_errno(err, r, "making an empty root");
        template->empty_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (template->empty_fd < 0 || setns(template->namespace_fd, CLONE_NEWNS) < 0)
                return err_errno(err, -errno, "leaving the empty root");
        return 0;
}

/* Mounts of the stores, not attached yet. */
struct stores {
        int code, staging, images;
};

static void stores_close(struct stores *stores)
{
        fd_close(&stores->code);
        fd_close(&stores->staging);
        fd_close(&stores->images);
}

static int open_stores(const char *data_dir, struct stores *stores, struct err *err)
{
        AUTO(fd_close) int data_fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (data_fd < 0)
                return err_errno(err, -errno, "opening the data directory '%s'", data_dir);
        stores->code = clone_store(data_fd, "code", err);
        if (stores->code < 0)
                return stores->code;
        stores->staging = clone_store(data_fd, "staging", err);
        if (stores->staging < 0)
                return stores->staging;
        stores->images = clone_store(data_fd, "images", err);
        return stores->images < 0 ? stores->images : 0;
}

static int attach_stores(struct template *template, const struct stores *stores, struct err *err)
{
        int r = attach(stores->code, STORE_CODE);

        if (r == 0)
                r = attach(stores->staging, STORE_STAGING);
        if (r == 0)
                r = attach(stores->images, STORE_IMAGES);
        if (r < 0)
                return err_errno(err, r, "attaching the stores");
        template->code_fd = open(STORE_CODE, O_PATH | O_DIRECTORY | O_CLOEXEC);
        template->staging_fd = open(STORE_STAGING, O_PATH | O_DIRECTORY | O_CLOEXEC);
        template->images_fd = open(STORE_IMAGES, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (template->code_fd < 0 || template->staging_fd < 0 || template->images_fd < 0)
                return err_errno(err, -errno, "opening the stores");
        return 0;
}

static int make_caches(struct template *template, struct err *err)
{
        const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
        AUTO(fd_close) int read_only = -1;
        int *fds = template->cache_fds;
        int r;

        if (mount("caches", CACHES_TO_FILL, "tmpfs", flags, CACHES_TO_FILL_OPTIONS) < 0 ||
            mount("caches", CACHES_KEPT, "tmpfs", flags, CACHES_KEPT_OPTIONS) < 0)
                return err_errno(err, -errno, "mounting the caches");
        read_only = template_clone_mount(AT_FDCWD, CACHES_KEPT, err);
        if (read_only < 0)
                return read_only;
        r = attach(read_only, CACHES_READ_ONLY);
        fds[CACHE_TO_FILL] = open(CACHES_TO_FILL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fds[CACHE_KEPT] = open(CACHES_KEPT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        template->cache_read_fd = open(CACHES_READ_ONLY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r < 0 || fds[CACHE_TO_FILL] < 0 || fds[CACHE_KEPT] < 0 || template->cache_read_fd < 0)
                return err_errno(err, r < 0 ? r : -errno, "attaching the caches");
        return 0;
}

static int make(struct template *template, const char *data_dir, int proc_fd, struct err *err)
{
        AUTO(stores_close) struct stores stores = {-1, -1, -1};
        int r = open_stores(data_dir, &stores, err);

        if (r == 0)
                r = leave_namespace(err);
        if (r == 0)
                r = make_root(data_dir, proc_fd, err);
        if (r < 0)
                return r;
        template->namespace_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (template->namespace_fd < 0)
                return err_errno(err, -errno, "opening the template's mount namespace");
        template->init_fd = open("/magpie/init", O_PATH | O_CLOEXEC);
        if (template->init_fd < 0)
                return err_errno(err, -errno, "opening magpie-init");
        r = make_empty(template, proc_fd, err);
        if (r == 0)
                r = leave_namespace(err);
        if (r < 0)
                return r;
        template->own_fd = openat(proc_fd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (template->own_fd < 0)
                return err_errno(err, -errno, "opening the agent's mount namespace");
        r = attach_stores(template, &stores, err);
        return r < 0 ? r : make_caches(template, err);
}

int template_make(struct template *template, const char *data_dir, int proc_fd, struct err *err)
{
        int r;

        *template = (struct template){.namespace_fd = -1,
                                      .empty_fd = -1,
                                      .init_fd = -1,
                                      .own_fd = -1,
                                      .code_fd = -1,
                                      .staging_fd = -1,
                                      .images_fd = -1,
                                      .cache_fds = {-1, -1},
                                      .cache_read_fd = -1};
        r = make(template, data_dir, proc_fd, err);
        if (r < 0)
                template_close(template);
        return r;
}

void template_close(struct template *template)
{
        fd_close(&template->namespace_fd);
        fd_close(&template->empty_fd);
        fd_close(&template->init_fd);
        fd_close(&template->own_fd);
        fd_close(&template->code_fd);
        fd_close(&template->staging_fd);
        fd_close(&template->images_fd);
        fd_close(&template->cache_fds[CACHE_TO_FILL]);
        fd_close(&template->cache_fds[CACHE_KEPT]);
        fd_close(&template->cache_read_fd);
}

int template_open_code(const struct template *template, const char *digest, bool staging)
{
        struct open_how how = {
                .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        AUTO(fd_close) int folder_fd = -1;
        int fd;

        folder_fd = (int)syscall(SYS_openat2, staging ? template->staging_fd : template->code_fd,
                                 digest, &how, sizeof(how));
        if (folder_fd < 0)
                return -errno;
        /* The clone inherits read-only, nosuid and nodev from the store's mount. */
        fd = open_tree(folder_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        return fd < 0 ? -errno : fd;
}

void template_come_back(const struct template *template)
{
        if (setns(template->own_fd, CLONE_NEWNS) == 0)
                return;
        log_error("going back to the agent's mount namespace: %s", strerror(errno));
        abort(); /* in a sandbox's the agent can do nothing right */
}

/* True where there is nothing to attach. */
static bool attach_to(int mount_fd, const char *path)
{
        return mount_fd < 0 ||
               move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

/* A mount can be attached only in one's own namespace, so the agent goes there and back. What runs
 * in the sandbox meanwhile has no way to change a mount. */
int template_attach_code(const struct template *template, int namespace_fd, int code_fd,
                         int layers_fd, int cache_fd, const char *tmp_options)
{
        int r = 0;

        if (setns(namespace_fd, CLONE_NEWNS) < 0)
                return -errno;
        if (!attach_to(code_fd, "/code") || !attach_to(layers_fd, "/opt") ||
            !attach_to(cache_fd, "/run/compile-cache") ||
            (tmp_options &&
             mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, tmp_options) < 0))
                r = -errno;
        template_come_back(template);
        return r;
}

int template_make_cache(const struct template *template, enum template_cache kind, uint64_t number)
{
        char name[24];
        int fd;

        (void)snprintf(name, sizeof(name), "%" PRIu64, number);
        fd = openat(template->cache_fds[kind], name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : fd;
}

int template_open_cache(const struct template *template, enum template_cache kind, uint64_t number)
{
        int folder_fd = kind == CACHE_KEPT ? template->cache_read_fd : template->cache_fds[kind];
        char name[24];
        int fd;

        (void)snprintf(name, sizeof(name), "%" PRIu64, number);
        fd = open_tree(folder_fd, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Of what has been removed nothing is told: its sandbox may hold it, and open and close it. */
int template_watch_caches(void)
{
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (fd >= 0 && inotify_add_watch(fd, CACHES_TO_FILL, IN_CLOSE_WRITE | IN_EXCL_UNLINK) < 0) {
                int r = -errno;
                fd_close(&fd);
                return r;
        }
        return fd < 0 ? -errno : fd;
}

void template_remove_cache(const struct template *template, enum template_cache kind,
                           uint64_t number)
{
        char name[24];

        (void)snprintf(name, sizeof(name), "%" PRIu64, number);
        (void)unlinkat(template->cache_fds[kind], name, 0);
}
