/* Checks of what else a node needs of its machine: runtimes, memory, disk, the clock; see
 * doctor.h. */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/human.h"
#include "cli/text.h"

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSION_TEXT 128
#define MEMORY_ENOUGH (512ull << 20)
#define MEMORY_LEAST (128ull << 20)
#define DISK_ENOUGH (1ull << 30)
#define DISK_LEAST (100ull << 20)
#define FILES_LEAST 20000 /* of one bundle */
#define YEAR_OF_THIS_PROGRAM 2024

/* The first line that `program --version` prints; "" where it cannot be run. */
static void version_of(const char *program, char ret_text[VERSION_TEXT])
{
        AUTO(file_close) FILE *output = NULL;
        AUTO(memory_free) char *name = text_copy(program);
        static char option[] = "--version";
        char *arguments[] = {name, option, NULL};
        posix_spawn_file_actions_t actions;
        int ends[2], r;
        pid_t pid;

        *ret_text = '\0';
        if (pipe2(ends, O_CLOEXEC) < 0)
                return;
        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        r = posix_spawn(&pid, program, &actions, NULL, arguments, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        (void)close(ends[1]);
        output = fdopen(ends[0], "re");
        if (output && fgets(ret_text, VERSION_TEXT, output))
                ret_text[strcspn(ret_text, "\n")] = '\0';
        if (r == 0)
                (void)waitpid(pid, NULL, 0);
}

/* `least` is major * 1000 + minor. */
static void look_runtime(const struct doctor *doctor, const struct check *check,
                         struct finding *ret_finding)
{
        AUTO(memory_free)
        char *mend = text_format("apt-get install -y %s",
                                 strstr(check->subject, "node") ? "nodejs" : "python3");
        char text[VERSION_TEXT];
        unsigned long major = 0, minor = 0;
        bool good;

        (void)doctor;
        version_of(check->subject, text);
        good = text_two_numbers(text, &major, &minor) && major * 1000 + minor >= check->least;
        finding_set(ret_finding, good ? VERDICT_OK : VERDICT_WARN,
                    *text ? text_format("%s (%s)", text, check->subject)
                          : text_format("no %s", check->subject),
                    good    ? check->meaning
                    : *text ? "older than what the runtime is tested with"
                            : "functions of this runtime cannot start; the others can",
                    good ? NULL : mend);
}

/* Any version does: what is asked of it is old. */
static void look_skopeo(const struct doctor *doctor, const struct check *check,
                        struct finding *ret_finding)
{
        char text[VERSION_TEXT];

        (void)doctor;
        version_of(check->subject, text);
        if (*text)
                finding_set(ret_finding, VERDICT_OK, text_copy(text),
                            "pulls functions that are container images", NULL);
        else
                finding_set(ret_finding, VERDICT_WARN, text_copy("no skopeo"),
                            "container images cannot be deployed; all else can",
                            "apt-get install -y skopeo");
}

/* A line of /proc/meminfo, in bytes. */
static uint64_t memory_of(const char *label)
{
        AUTO(file_close) FILE *file = fopen("/proc/meminfo", "re");
        char line[VERSION_TEXT];

        while (file && fgets(line, sizeof(line), file))
                if (text_starts_with(line, label))
                        return strtoull(line + strlen(label), NULL, 10) << 10; /* in KiB */
        return 0;
}

static enum verdict verdict_of_amount(uint64_t amount, uint64_t least, uint64_t enough)
{
        return amount < least ? VERDICT_FAIL : amount < enough ? VERDICT_WARN : VERDICT_OK;
}

static void look_memory(const struct doctor *doctor, const struct check *check,
                        struct finding *ret_finding)
{
        uint64_t available = memory_of("MemAvailable:");
        enum verdict verdict = verdict_of_amount(available, MEMORY_LEAST, MEMORY_ENOUGH);
        AUTO(memory_free) char *amount = human_bytes((double)available);

        (void)doctor, (void)check;
        finding_set(ret_finding, verdict, text_format("%s available", amount),
                    "an instance takes 0.6 to 0.85 MiB, of Python 2.3, of Node 2.8",
                    verdict == VERDICT_OK
                            ? NULL
                            : "ps aux --sort=-rss | head # and end what is not needed");
}

/* Tried: docs/adr/0013-what-an-instance-takes.md. */
static void look_swap(const struct doctor *doctor, const struct check *check,
                      struct finding *ret_finding)
{
        AUTO(memory_free) char *amount = human_bytes((double)memory_of("SwapTotal:"));

        (void)doctor, (void)check;
        finding_set(ret_finding, VERDICT_OK, text_copy(amount),
                    "not counted on: what frozen instances take is memory", NULL);
}

/* The folder itself, or the nearest one above it that exists. The caller frees. */
static char *existing_folder(const char *path)
{
        char *folder = text_copy(path);
        struct stat info;

        while (stat(folder, &info) < 0 && strlen(folder) > 1) {
                char *slash = strrchr(folder, '/');
                if (!slash) {
                        free(folder);
                        return text_copy(".");
                }
                slash[slash == folder] = '\0';
        }
        return folder;
}

/* Where the data will lie: what is looked at is the folder above, and one that was said may be a slip
 * of the fingers. */
static bool look_missing_folder(const struct doctor *doctor, const char *folder,
                                struct finding *ret_finding)
{
        AUTO(memory_free) char *mend = text_format("mkdir -p %s", doctor->data_dir);

        if (!doctor->data_dir_is_said || strcmp(folder, doctor->data_dir) == 0)
                return false;
        finding_set(ret_finding, VERDICT_WARN, text_format("there is no %s", doctor->data_dir),
                    "the node makes it when it starts; is it the folder that was meant?", mend);
        return true;
}

static void look_disk(const struct doctor *doctor, const struct check *check,
                      struct finding *ret_finding)
{
        AUTO(memory_free) char *folder = existing_folder(doctor->data_dir);
        AUTO(memory_free)
        char *mend = text_format("du -xh --max-depth=1 %s | sort -h # and remove "
                                 "what is not needed",
                                 folder);
        AUTO(memory_free) char *amount = NULL;
        struct statvfs info = {0};
        enum verdict verdict;
        uint64_t free_bytes;

        (void)check;
        if (look_missing_folder(doctor, folder, ret_finding))
                return;
        (void)statvfs(folder, &info);
        free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
        verdict = verdict_of_amount(free_bytes, DISK_LEAST, DISK_ENOUGH);
        if (info.f_files > 0 && info.f_favail < FILES_LEAST && verdict == VERDICT_OK)
                verdict = VERDICT_WARN;
        amount = human_bytes((double)free_bytes);
        finding_set(ret_finding, verdict, text_format("%s free at %s", amount, folder),
                    "code, logs and the database live there", verdict == VERDICT_OK ? NULL : mend);
}

/* The node drops its rights: every folder above its data must let others pass. */
static void look_path(const struct doctor *doctor, const struct check *check,
                      struct finding *ret_finding)
{
        AUTO(memory_free) char *folder = existing_folder(doctor->data_dir);
        AUTO(memory_free) char *full = realpath(folder, NULL);
        AUTO(memory_free) char *mend = NULL;
        struct stat info;
        char *slash;

        (void)check;
        if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode)) {
                finding_set(ret_finding, VERDICT_FAIL, text_format("%s is no folder", folder),
                            "the node keeps its data in one",
                            "magpie serve --data-dir /var/lib/magpie # or another folder");
                return;
        }
        /* Its own mode is the node's business. */
        while (full && (slash = strrchr(full, '/'))) {
                slash[slash == full] = '\0';
                if (stat(full, &info) == 0 && !(info.st_mode & S_IXOTH)) {
                        mend = text_format("chmod o+x %s", full);
                        finding_set(ret_finding, VERDICT_FAIL,
                                    text_format("%s is closed to others", full),
                                    "the node gives up its rights and could not reach its data",
                                    mend);
                        return;
                }
                if (slash == full)
                        break;
        }
        if (look_missing_folder(doctor, folder, ret_finding))
                return;
        finding_set(ret_finding, VERDICT_OK, text_format("%s can be reached", folder),
                    "the node gives up its rights and still finds its data", NULL);
}

/* As `magpie serve` chooses without --user. */
static void look_user(const struct doctor *doctor, const struct check *check,
                      struct finding *ret_finding)
{
        /* With the node stopped: what it has made so far is nobody's. */
        AUTO(memory_free)
        char *mend =
                text_format("useradd --system --no-create-home --shell /usr/sbin/nologin magpie "
                            "&& find %s -user nobody -exec chown -h magpie: {} +",
                            doctor->data_dir);

        (void)check;
        if (getpwnam("magpie"))
                finding_set(ret_finding, VERDICT_OK, text_copy("magpie"),
                            "the node gives up its rights for those of a user of its own", NULL);
        else
                finding_set(ret_finding, VERDICT_WARN, text_copy("no user magpie"),
                            "the node runs as nobody, whom other daemons share: they could reach "
                            "what is its own (stop it before you mend it)",
                            mend);
}

static void look_clock(const struct doctor *doctor, const struct check *check,
                       struct finding *ret_finding)
{
        struct timex state = {0};
        bool synchronized = adjtimex(&state) != TIME_ERROR && !(state.status & STA_UNSYNC);
        time_t now = time(NULL);
        struct tm parts;
        char text[VERSION_TEXT];

        (void)doctor, (void)check;
        (void)gmtime_r(&now, &parts);
        (void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
        if (parts.tm_year + 1900 < YEAR_OF_THIS_PROGRAM)
                finding_set(ret_finding, VERDICT_FAIL, text_copy(text),
                            "in the past: tokens would not hold",
                            "apt-get install -y systemd-timesyncd && timedatectl set-ntp true");
        else if (!synchronized)
                finding_set(ret_finding, VERDICT_WARN, text_format("%s, not synchronized", text),
                            "times in tokens and logs may be off",
                            "apt-get install -y systemd-timesyncd && timedatectl set-ntp true");
        else
                finding_set(ret_finding, VERDICT_OK, text_format("%s, synchronized", text),
                            "times in tokens and logs are right", NULL);
}

const struct check checks_host[] = {
        {.name = "python3",
         .look = look_runtime,
         .subject = "/usr/bin/python3",
         .least = 3011,
         .meaning = "runs python3 functions"},
        {.name = "node",
         .look = look_runtime,
         .subject = "/usr/bin/node",
         .least = 18000,
         .meaning = "runs node functions"},
        {.name = "skopeo", .look = look_skopeo, .subject = "/usr/bin/skopeo"},
        {.name = "memory", .look = look_memory},
        {.name = "swap", .look = look_swap},
        {.name = "disk", .look = look_disk},
        {.name = "data folder", .look = look_path},
        {.name = "user", .look = look_user},
        {.name = "clock", .look = look_clock},
        {0},
};
