/* Checks of what sandboxes are made of: kernel, rights, namespaces, seccomp; see doctor.h. */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/text.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEWER_KERNEL "apt-get install -y linux-image-amd64 && reboot"

static const struct {
        const char *name;
        int flag;
} namespaces[] = {
        {"user", CLONE_NEWUSER},     {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},
        {"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS}, {"net", CLONE_NEWNET},
        {"cgroup", CLONE_NEWCGROUP},
};

static void look_kernel(const struct doctor *doctor, const struct check *check,
                        struct finding *ret_finding)
{
        struct utsname name;
        unsigned long major = 0, minor = 0;
        bool good;

        (void)doctor, (void)check;
        (void)uname(&name);
        good = text_two_numbers(name.release, &major, &minor) &&
               (major > 5 || (major == 5 && minor >= 14));
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_FAIL,
                    text_format("Linux %s", name.release),
                    good ? "has everything sandboxes are made of"
                         : "older than 5.14, so an instance cannot be ended whole (cgroup.kill)",
                    good ? NULL : NEWER_KERNEL);
}

static void look_root(const struct doctor *doctor, const struct check *check,
                      struct finding *ret_finding)
{
        bool root = geteuid() == 0;

        (void)doctor, (void)check;
        finding_set(ret_finding, root ? VERDICT_OK : VERDICT_WARN,
                    text_format(root ? "root" : "user %u", geteuid()),
                    root ? "may make sandboxes"
                         : "a node is started as root, and some checks here need it too",
                    root ? NULL : "sudo magpie doctor");
}

/* May a process make these namespaces? Tried in a child; 0 or the errno. */
static int try_namespaces(int flags)
{
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                _exit(unshare(flags) == 0 ? 0 : errno);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}

static void look_namespaces(const struct doctor *doctor, const struct check *check,
                            struct finding *ret_finding)
{
        /* Without root each namespace needs a user namespace around it. */
        int always = geteuid() == 0 ? 0 : CLONE_NEWUSER, all = 0;

        (void)doctor, (void)check;
        for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
                AUTO(memory_free) char *mend = NULL;
                int error = try_namespaces(always | namespaces[i].flag);
                all |= namespaces[i].flag;
                if (error == 0)
                        continue;
                mend = text_format("sysctl -w user.max_%s_namespaces=100000", namespaces[i].name);
                finding_set(ret_finding, VERDICT_FAIL,
                            text_format("no %s namespace: %s", namespaces[i].name, strerror(error)),
                            "instances could not be kept apart",
                            error == ENOSPC   ? mend
                            : error == EINVAL ? NEWER_KERNEL
                                              : "run it on the host, not in a container");
                return;
        }
        if (try_namespaces(all) == 0)
                finding_set(ret_finding, VERDICT_OK, text_copy("user mnt pid ipc uts net cgroup"),
                            "instances are kept apart", NULL);
        else
                finding_set(ret_finding, VERDICT_FAIL, text_copy("each alone, not all together"),
                            "instances could not be kept apart", NEWER_KERNEL);
}

static void look_seccomp(const struct doctor *doctor, const struct check *check,
                         struct finding *ret_finding)
{
        /* seccomp(2): with a NULL filter EFAULT means that filters are known. */
        bool good = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) < 0 && errno == EFAULT;

        (void)doctor, (void)check;
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_FAIL,
                    text_copy(good ? "filters" : "none"),
                    good ? "instances may only make the system calls on a list"
                         : "instances could make any system call",
                    good ? NULL : NEWER_KERNEL);
}

static bool filesystem_is_known(const char *wanted)
{
        AUTO(file_close) FILE *file = fopen("/proc/filesystems", "re");
        char line[128];

        while (file && fgets(line, sizeof(line), file)) {
                const char *name = strrchr(line, '\t');
                line[strcspn(line, "\n")] = '\0';
                if (name && strcmp(name + 1, wanted) == 0)
                        return true;
        }
        return false;
}

static void look_overlay(const struct doctor *doctor, const struct check *check,
                         struct finding *ret_finding)
{
        bool good = filesystem_is_known("overlay");

        (void)doctor, (void)check;
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_WARN,
                    text_copy(good ? "known to the kernel" : "not loaded"),
                    good ? "container images can be stacked"
                         : "only functions made of container images need it",
                    good ? NULL : "modprobe overlay");
}

const struct check checks_kernel[] = {
        {.name = "kernel", .look = look_kernel},         {.name = "rights", .look = look_root},
        {.name = "namespaces", .look = look_namespaces}, {.name = "seccomp", .look = look_seccomp},
        {.name = "overlayfs", .look = look_overlay},     {0},
};
