/* Checks of control groups: where the controllers are, and whether an instance could be frozen and
 * killed; see doctor.h and cgroups(7). */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 2000
#define SMALL_FILE 4096
#define NEWER_KERNEL "apt-get install -y linux-image-amd64 && reboot"

static const char *const controllers[] = {"memory", "pids", "cpu"};

#define CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

struct layout {
        char *unified; /* where cgroup2 is; NULL: nowhere */
        int own_fd;    /* our own mount of it, where the host has none; else -1 */
        bool in_unified[CONTROLLERS];
        bool in_legacy[CONTROLLERS]; /* in a v1 hierarchy, mounted or not */
};

static void layout_deinit(struct layout *layout)
{
        free(layout->unified);
        fd_close(&layout->own_fd);
}

/* Is `word` one of the words of a file, separated by blanks? */
static bool file_has_word(const char *path, const char *word)
{
        AUTO(file_close) FILE *file = fopen(path, "re");
        char found[64];

        while (file && fscanf(file, "%63s", found) == 1)
                if (strcmp(found, word) == 0)
                        return true;
        return false;
}

/* Mounts cgroup2 at no path, as the node does where the host has not mounted it. */
static int mount_unified(void)
{
        AUTO(fd_close) int context = fsopen("cgroup2", FSOPEN_CLOEXEC);

        if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -1;
        return fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static void layout_find_unified(struct layout *layout)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        const struct mntent *mount;

        while (mounts && !layout->unified && (mount = getmntent(mounts)))
                if (strcmp(mount->mnt_type, "cgroup2") == 0)
                        layout->unified = text_copy(mount->mnt_dir);
        if (mounts)
                (void)endmntent(mounts);
        if (layout->unified)
                return;
        layout->own_fd = mount_unified();
        if (layout->own_fd >= 0)
                layout->unified = text_format("/proc/self/fd/%d", layout->own_fd);
}

/* A line of /proc/self/cgroup is "N:CONTROLLERS:PATH"; N is 0 for v2. */
static void layout_find_legacy(struct layout *layout)
{
        AUTO(file_close) FILE *file = fopen("/proc/self/cgroup", "re");
        char line[SMALL_FILE];

        while (file && fgets(line, sizeof(line), file)) {
                char *rest = line, *list, *word;
                (void)strsep(&rest, ":");
                list = strsep(&rest, ":");
                while (list && (word = strsep(&list, ",")))
                        for (size_t i = 0; i < CONTROLLERS; i++)
                                if (strcmp(word, controllers[i]) == 0)
                                        layout->in_legacy[i] = true;
        }
}

static void layout_read(struct layout *layout)
{
        AUTO(memory_free) char *list = NULL;

        *layout = (struct layout){.own_fd = -1};
        layout_find_legacy(layout);
        layout_find_unified(layout);
        if (!layout->unified)
                return;
        list = text_format("%s/cgroup.controllers", layout->unified);
        for (size_t i = 0; i < CONTROLLERS; i++)
                layout->in_unified[i] = file_has_word(list, controllers[i]);
}

static void look_layout(const struct doctor *doctor, const struct check *check,
                        struct finding *ret_finding)
{
        AUTO(layout_deinit) struct layout layout;
        bool legacy = false;

        (void)doctor, (void)check;
        layout_read(&layout);
        for (size_t i = 0; i < CONTROLLERS; i++)
                legacy = legacy || layout.in_legacy[i];
        if (layout.own_fd >= 0)
                finding_set(ret_finding, VERDICT_OK, text_copy("v1, and v2 not mounted"),
                            "limits by v1; the node mounts v2 for itself", NULL);
        else if (layout.unified)
                finding_set(ret_finding, VERDICT_OK,
                            text_format("%s at %s", legacy ? "v1, and v2" : "v2", layout.unified),
                            legacy ? "limits by v1, freezing and killing by v2"
                                   : "everything in one tree",
                            NULL);
        else if (geteuid() != 0)
                finding_set(ret_finding, VERDICT_WARN, text_copy("v2 is not mounted"),
                            "only root can tell whether the node could mount it",
                            "sudo magpie doctor");
        else
                finding_set(ret_finding, VERDICT_FAIL, text_copy("no v2"),
                            "instances could not be frozen and ended whole", NEWER_KERNEL);
}

static size_t controller_index(const char *name)
{
        for (size_t i = 0; i < CONTROLLERS; i++)
                if (strcmp(controllers[i], name) == 0)
                        return i;
        return 0;
}

static void look_controller(const struct doctor *doctor, const struct check *check,
                            struct finding *ret_finding)
{
        AUTO(layout_deinit) struct layout layout;
        size_t i = controller_index(check->subject);

        (void)doctor;
        layout_read(&layout);
        if (layout.in_unified[i] || layout.in_legacy[i])
                finding_set(ret_finding, VERDICT_OK, text_copy(layout.in_unified[i] ? "v2" : "v1"),
                            check->meaning, NULL);
        else
                finding_set(ret_finding, VERDICT_FAIL, text_copy("missing"),
                            "instances would have no limit there",
                            i == 0 ? "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&cgroup_enable=memory /' "
                                     "/etc/default/grub && update-grub && reboot"
                                   : NEWER_KERNEL);
}

/* Writes one of a cgroup's files. 0 or a negative errno. */
static int cgroup_write(const char *folder, const char *name, const char *text)
{
        AUTO(memory_free) char *path = text_format("%s/%s", folder, name);
        AUTO(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* Waits until cgroup.events holds `line`; the kernel tells of changes by POLLPRI. */
static int cgroup_await(const char *folder, const char *line)
{
        AUTO(memory_free) char *path = text_format("%s/cgroup.events", folder);
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[SMALL_FILE];

        for (;;) {
                struct pollfd event = {.fd = fd, .events = POLLPRI};
                ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
                if (length < 0)
                        return -errno;
                text[length] = '\0';
                if (strstr(text, line))
                        return 0;
                if (poll(&event, 1, WAIT_MS) == 0)
                        return -ETIMEDOUT;
        }
}

/* Freezes and kills `pid`, which is ours, in a cgroup of its own. NULL, or what did not work. */
static const char *try_cgroup(const char *folder, pid_t pid)
{
        AUTO(memory_free) char *number = text_format("%d", pid);

        if (cgroup_write(folder, "cgroup.procs", number) < 0)
                return "a process cannot be moved into a group";
        if (cgroup_write(folder, "cgroup.freeze", "1") < 0 || cgroup_await(folder, "frozen 1") < 0)
                return "cgroup.freeze does not freeze";
        if (cgroup_write(folder, "cgroup.kill", "1") < 0 || cgroup_await(folder, "populated 0") < 0)
                return "cgroup.kill does not kill";
        return NULL;
}

static const char *try_freeze_and_kill(const char *unified)
{
        AUTO(memory_free) char *folder = text_format("%s/magpie-doctor-%d", unified, getpid());
        const char *problem;
        pid_t pid;

        if (mkdir(folder, 0755) < 0)
                return "a group cannot be made";
        pid = fork();
        if (pid == 0)
                for (;;)
                        (void)pause();
        problem = pid < 0 ? "a process cannot be made" : try_cgroup(folder, pid);
        if (pid > 0) {
                (void)kill(pid, SIGKILL);
                (void)cgroup_write(folder, "cgroup.freeze", "0");
                (void)waitpid(pid, NULL, 0);
        }
        (void)rmdir(folder);
        return problem;
}

static void look_trial(const struct doctor *doctor, const struct check *check,
                       struct finding *ret_finding)
{
        AUTO(layout_deinit) struct layout layout;
        const char *problem;

        (void)doctor, (void)check;
        layout_read(&layout);
        if (geteuid() != 0) {
                finding_set(ret_finding, VERDICT_WARN, text_copy("not tried"),
                            "only root may try it", "sudo magpie doctor");
                return;
        }
        problem = layout.unified ? try_freeze_and_kill(layout.unified)
                                 : "there is no cgroup v2 to try it in";
        finding_set(ret_finding, problem ? VERDICT_FAIL : VERDICT_OK,
                    text_copy(problem ? problem : "tried, both work"),
                    problem ? "idle instances would keep running, dead ones would leave processes"
                            : "idle instances cost no time, ended ones leave nothing behind",
                    !problem         ? NULL
                    : layout.unified ? "mount -o remount,rw /sys/fs/cgroup"
                                     : NEWER_KERNEL);
}

const struct check checks_cgroup[] = {
        {.name = "layout", .look = look_layout},
        {.name = "memory controller",
         .look = look_controller,
         .subject = "memory",
         .meaning = "an instance that wants too much memory is ended, nothing else"},
        {.name = "pids controller",
         .look = look_controller,
         .subject = "pids",
         .meaning = "a fork bomb stays in its sandbox"},
        {.name = "cpu controller",
         .look = look_controller,
         .subject = "cpu",
         .meaning = "a busy instance leaves time to the others"},
        {.name = "freeze and kill", .look = look_trial},
        {0},
};
