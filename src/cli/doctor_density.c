/* Checks of how many instances may live at once, and what bounds them first; see doctor.h. What an
 * instance takes: docs/adr/0013-what-an-instance-takes.md; what may be taken: proc(5),
 * namespaces(7), getrlimit(2). */
#include "cli/doctor.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/human.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FEW 100
#define KIB_PER_MIB 1024
/* For connections, files and everybody else. */
#define SPARE_FILES 1024
#define SPARE_PROCESSES 1024
#define SPARE_KIB (256 * KIB_PER_MIB)
#define SLOTS 16384             /* of the agent: agent/slots.h */
#define MEMORY_GROUPS_MAX 65535 /* MEM_CGROUP_ID_MAX of the kernel */

enum kind { KIND_NATIVE, KIND_PYTHON3, KIND_NODE, KIND_COUNT };

static const char *const kind_names[KIND_COUNT] = {"native", "python3", "node"};

/* The number in a file that holds one; UINT64_MAX where there is none: no bound. */
static uint64_t read_number(const char *path)
{
        AUTO(file_close) FILE *file = fopen(path, "re");
        uint64_t number;

        return file && fscanf(file, "%" SCNu64, &number) == 1 ? number : UINT64_MAX;
}

/* The first number behind `label` in a file of lines; 0 where there is none. */
static uint64_t read_labelled(const char *path, const char *label, unsigned column)
{
        AUTO(file_close) FILE *file = fopen(path, "re");
        char line[256], name[64];
        unsigned long long numbers[3];

        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "%63s %llu %llu %llu", name, &numbers[0], &numbers[1],
                           &numbers[2]) > (int)column &&
                    strcmp(name, label) == 0)
                        return numbers[column - 1];
        return 0;
}

static uint64_t files_most(void)
{
        struct rlimit limit = {0};

        (void)getrlimit(RLIMIT_NOFILE, &limit);
        return limit.rlim_max;
}

static uint64_t processes_most(void)
{
        uint64_t pids = read_number("/proc/sys/kernel/pid_max");
        uint64_t threads = read_number("/proc/sys/kernel/threads-max");

        return pids < threads ? pids : threads;
}

static uint64_t memory_most(void)
{
        return read_labelled("/proc/meminfo", "MemAvailable:", 1);
}

static uint64_t namespaces_most(void)
{
        static const char *const kinds[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};
        uint64_t least = UINT64_MAX;

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                char path[64];
                uint64_t most;
                (void)snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", kinds[i]);
                most = read_number(path);
                least = most < least ? most : least;
        }
        return least;
}

/* Those that have gone count for as long as anything is charged to them. */
static uint64_t memory_groups_most(void)
{
        uint64_t there = read_labelled("/proc/cgroups", "memory", 2);

        return there < MEMORY_GROUPS_MAX ? MEMORY_GROUPS_MAX - there : 0;
}

static uint64_t slots_most(void)
{
        return SLOTS;
}

static const struct bound {
        const char *name;
        uint64_t (*most)(void);
        uint64_t spare;
        uint64_t each[KIND_COUNT];
        const char *raise;
} bounds[] = {
        {"open files",
         files_most,
         SPARE_FILES,
         {3, 3, 3},
         "prlimit --pid $$ --nofile=1048576:1048576 # or LimitNOFILE= of its service"},
        {"process numbers",
         processes_most,
         SPARE_PROCESSES,
         {2, 2, 12},
         "sysctl -w kernel.pid_max=4194304 kernel.threads-max=1000000"},
        {"memory",
         memory_most,
         SPARE_KIB,
         {870, 2355, 2867}, /* 0.85, 2.3, 2.8 MiB: README.md, as ./dev bench density measures it */
         "ps aux --sort=-rss | head # and end what is not needed, or add memory"},
        {"namespaces",
         namespaces_most,
         0,
         {1, 1, 1},
         "for kind in user pid mnt net ipc uts cgroup; do "
         "sysctl -w user.max_${kind}_namespaces=200000; done"},
        {"memory groups",
         memory_groups_most,
         0,
         {1, 1, 1},
         "sync; echo 3 >/proc/sys/vm/drop_caches # lets go of groups that have gone"},
        {"slots of one agent",
         slots_most,
         0,
         {1, 1, 1},
         "magpie serve # another node on this machine, with a data folder of its own"},
};

#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

struct count {
        const struct bound *bound;
        uint64_t instances;
};

static int compare_counts(const void *one, const void *other)
{
        uint64_t a = ((const struct count *)one)->instances;
        uint64_t b = ((const struct count *)other)->instances;

        return a < b ? -1 : a > b;
}

static void count_instances(enum kind kind, struct count ret_counts[BOUNDS])
{
        for (size_t i = 0; i < BOUNDS; i++) {
                uint64_t most = bounds[i].most(), spare = bounds[i].spare;
                ret_counts[i].bound = &bounds[i];
                ret_counts[i].instances = most > spare ? (most - spare) / bounds[i].each[kind] : 0;
        }
        qsort(ret_counts, BOUNDS, sizeof(ret_counts[0]), compare_counts);
}

static enum kind kind_of(const char *name)
{
        for (int i = 0; i < KIND_COUNT; i++)
                if (strcmp(kind_names[i], name) == 0)
                        return (enum kind)i;
        return KIND_NATIVE;
}

static void look_instances(const struct doctor *doctor, const struct check *check,
                           struct finding *ret_finding)
{
        struct count counts[BOUNDS];
        AUTO(memory_free) char *meaning = NULL;
        bool few;

        (void)doctor;
        count_instances(kind_of(check->subject), counts);
        few = counts[0].instances < FEW;
        meaning = text_format("the next bounds: %s for %" PRIu64 ", %s for %" PRIu64
                              ", %s for %" PRIu64,
                              counts[1].bound->name, counts[1].instances, counts[2].bound->name,
                              counts[2].instances, counts[3].bound->name, counts[3].instances);
        finding_set(ret_finding, few ? VERDICT_WARN : VERDICT_OK,
                    text_format("%" PRIu64 " at once, by %s", counts[0].instances,
                                counts[0].bound->name),
                    meaning, NULL);
        *(few ? &ret_finding->mend : &ret_finding->raise) = text_copy(counts[0].bound->raise);
}

const struct check checks_density[] = {
        {.name = "native instances", .look = look_instances, .subject = "native"},
        {.name = "python3 instances", .look = look_instances, .subject = "python3"},
        {.name = "node instances", .look = look_instances, .subject = "node"},
        {0},
};
