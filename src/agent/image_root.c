/* A sandbox moves into its image; see template.h.
 *
 * The image's files are whatever somebody has packed. So the agent, which is root here, follows no path
 * of theirs: it opens the places to mount on beneath the image's root, none of them by a link, and names
 * them by descriptor from then on.
 */
#include "agent/template.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_beneath(int folder_fd, const char *path)
{
        struct open_how how = {
                .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        int fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));

        return fd < 0 ? -errno : fd;
}

int template_open_image(const struct template *template, const char *digest)
{
        AUTO(fd_close) int image_fd = open_beneath(template->images_fd, digest);
        AUTO(fd_close) int root_fd = image_fd < 0 ? image_fd : open_beneath(image_fd, "root");
        int fd;

        if (root_fd < 0)
                return root_fd;
        /* The clone inherits read-only, nosuid and nodev from the store's mount. */
        fd = open_tree(root_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        return fd < 0 ? -errno : fd;
}

/* Moves the mount that `fd` is the root of to where `point_fd` is. */
static int put(int fd, int point_fd)
{
        return move_mount(fd, "", point_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
                               0
                       ? -errno
                       : 0;
}

static int open_point(int image_fd, const char *path, struct err *err)
{
        int fd = open_beneath(image_fd, path);

        return fd < 0 ? err_errno(err, fd, "opening the image's folder /%s", path) : fd;
}

/* /dev and /tmp move; where the image has a /var/tmp that is /tmp once more. */
static int bring_mounts(int image_fd, struct err *err)
{
        AUTO(fd_close) int devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int scratch = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int devices_point = open_point(image_fd, "dev", err);
        AUTO(fd_close) int scratch_point = -1;
        AUTO(fd_close) int second_point = open_beneath(image_fd, "var/tmp");
        AUTO(fd_close) int second = -1;
        int r;

        if (devices < 0 || scratch < 0)
                return err_errno(err, -errno, "opening the sandbox's /dev and /tmp");
        if (devices_point < 0)
                return devices_point;
        scratch_point = open_point(image_fd, "tmp", err);
        if (scratch_point < 0)
                return scratch_point;
        r = put(devices, devices_point);
        if (r == 0)
                r = put(scratch, scratch_point);
        if (r == 0 && second_point >= 0) {
                second =
                        open_tree(scratch, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
                r = second < 0 ? -errno : put(second, second_point);
        }
        return r < 0 ? err_errno(err, r, "mounting the image's /dev and /tmp") : 0;
}

/* The kernel moves to the new root whoever had the old one as root and folder, which is magpie-init.
 *
 * To unmount the old root would take a grace period of the kernel's: 50 us, and several milliseconds
 * where the processors are busy. So it becomes the place that /proc is mounted on: nobody can get to
 * it there, and would find empty folders. pivot_root(2) with "." stacks it over the new root first. */
static int pivot(int image_fd, struct err *err)
{
        AUTO(fd_close) int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int processes = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int processes_point = -1;
        int r;

        if (old_root < 0 || processes < 0)
                return err_errno(err, -errno, "opening the sandbox's root");
        processes_point = open_point(image_fd, "proc", err);
        if (processes_point < 0)
                return processes_point;
        if (fchdir(image_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
                return err_errno(err, -errno, "making the image the root");
        r = put(old_root, processes_point);
        if (r == 0)
                r = put(processes, old_root);
        return r < 0 ? err_errno(err, r, "mounting the image's /proc") : 0;
}

static int enter(int image_fd, const char *tmp_options, struct err *err)
{
        int r;

        if (tmp_options &&
            mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, tmp_options) < 0)
                return err_errno(err, -errno, "resizing /tmp");
        if (move_mount(image_fd, "", AT_FDCWD, "/code", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return err_errno(err, -errno, "mounting the image");
        r = bring_mounts(image_fd, err);
        return r < 0 ? r : pivot(image_fd, err);
}

int template_enter_image(const struct template *template, int namespace_fd, int image_fd,
                         const char *tmp_options, struct err *err)
{
        int r;

        if (setns(namespace_fd, CLONE_NEWNS) < 0)
                return err_errno(err, -errno, "entering the sandbox");
        r = enter(image_fd, tmp_options, err);
        template_come_back(template);
        return r;
}
