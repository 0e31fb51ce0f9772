/* Processes of the target by proc(5); see watch_parts.h. */
#include "lab/watch_parts.h"

#include "base/auto.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_SHARE 50 /* looking takes at most a fiftieth of a processor */
#define COUNT_EVERY_S 1
#define PATH_SIZE 128
#define TEXT_SIZE 16384

/* Of one look, over all processes, and over all threads where there are not too many. */
struct sums {
        struct usage ran, life; /* since the last look, and since they began */
        double own_pages, shared_pages;
        double descriptors; /* of the process that has most, `fullest` */
        pid_t fullest;
        bool may_count;    /* descriptors, one by one */
        double busiest_ns; /* of one thread since the last look */
};

static double clock_s(clockid_t clock)
{
        struct timespec now;

        (void)clock_gettime(clock, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- who is there ---------------------------------------------------------------------------- */

static void add_pid(struct watched_processes *processes, pid_t pid)
{
        struct tasks_seen *found = &processes->processes[processes->turn];

        for (size_t i = 0; i < found->count; i++)
                if (found->items[i].id == pid)
                        return;
        if (found->count < WATCH_TASKS_MAX)
                found->items[found->count++] = (struct task_seen){.id = pid};
        else
                processes->left_out = true;
}

/* Each number of a text, by blanks or lines. */
static void add_pids_of(struct watched_processes *processes, const char *path)
{
        char text[TEXT_SIZE];
        char *at = text, *end;

        if (watch_read(path, text, sizeof(text)) < 0)
                return;
        for (;; at = end) {
                long pid = strtol(at, &end, 10);
                if (end == at)
                        return;
                add_pid(processes, (pid_t)pid);
        }
}

/* Children are found when their parents are looked at. */
static void list_first(struct watched_processes *processes)
{
        const struct watch_options *options = processes->options;
        char path[4096];

        if (options->pid > 0) {
                add_pid(processes, options->pid);
        } else if (options->cgroup) {
                (void)snprintf(path, sizeof(path), "%s/cgroup.procs", options->cgroup);
                add_pids_of(processes, path);
        }
}

/* --- what they have used --------------------------------------------------------------------- */

/* What it has used since the last look. Of one that was not seen then, all counts where it is so
 * young that it did not exist, and nothing else. */
static struct usage usage_since(const struct tasks_seen *before, const struct task_seen *task,
                                bool is_young)
{
        const struct usage *used = &task->used;
        struct usage from = {0};

        if (!is_young)
                from = *used;
        for (size_t i = 0; i < before->count; i++)
                if (before->items[i].id == task->id)
                        from = before->items[i].used;
        return (struct usage){.cpu_ns = fmax(0, used->cpu_ns - from.cpu_ns),
                              .user_ticks = fmax(0, used->user_ticks - from.user_ticks),
                              .system_ticks = fmax(0, used->system_ticks - from.system_ticks),
                              .waiting_ns = fmax(0, used->waiting_ns - from.waiting_ns),
                              .switches = fmax(0, used->switches - from.switches)};
}

/* schedstat: nanoseconds on a processor and waiting for one, and how often it got one. */
static void add_thread(struct watched_processes *processes, pid_t pid, long id, bool is_young,
                       struct sums *sums)
{
        struct tasks_seen *threads = &processes->threads[processes->turn];
        struct task_seen thread = {.id = (pid_t)id};
        char path[PATH_SIZE], text[128];
        struct usage ran;

        if (threads->count == WATCH_TASKS_MAX) {
                processes->left_out = true;
                return;
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%ld/schedstat", pid, id);
        if (watch_read(path, text, sizeof(text)) < 0 ||
            sscanf(text, "%lf %lf %lf", &thread.used.cpu_ns, &thread.used.waiting_ns,
                   &thread.used.switches) != 3)
                return;
        threads->items[threads->count++] = thread;
        ran = usage_since(&processes->threads[!processes->turn], &thread, is_young);
        sums->ran.waiting_ns += ran.waiting_ns;
        sums->ran.switches += ran.switches;
        sums->busiest_ns = fmax(sums->busiest_ns, ran.cpu_ns);
}

static void add_threads(struct watched_processes *processes, pid_t pid, bool is_young,
                        struct sums *sums)
{
        char path[PATH_SIZE];
        const struct dirent *entry;
        AUTO(directory_close) DIR *tasks = NULL;

        (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
        tasks = opendir(path);
        while (tasks && (entry = readdir(tasks))) {
                long id = strtol(entry->d_name, NULL, 10);
                if (id <= 0)
                        continue;
                add_thread(processes, pid, id, is_young, sums);
                if (processes->options->pid <= 0)
                        continue;
                (void)snprintf(path, sizeof(path), "/proc/%d/task/%ld/children", pid, id);
                add_pids_of(processes, path);
        }
}

/* Fields 14, 15 and 22 of stat: ticks. The name in brackets may hold anything, so count from its
 * end. Ticks are coarse: how much it was in all, its clock says. */
static bool read_usage(pid_t pid, struct usage *ret_used, double *ret_started_s)
{
        char path[PATH_SIZE], text[1024];
        struct timespec cpu;
        clockid_t clock;
        const char *end;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (watch_read(path, text, sizeof(text)) < 0 || !(end = strrchr(text, ')')) ||
            sscanf(end + 1,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lf %lf %*d %*d %*d %*d %*d %*d "
                   "%lf",
                   &ret_used->user_ticks, &ret_used->system_ticks, ret_started_s) != 3 ||
            clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &cpu) != 0)
                return false;
        *ret_started_s /= (double)sysconf(_SC_CLK_TCK);
        ret_used->cpu_ns = (double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec;
        return true;
}

static void add_memory(pid_t pid, struct sums *sums)
{
        char path[PATH_SIZE], text[128];
        double resident, shared;

        (void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
        if (watch_read(path, text, sizeof(text)) <= 0 ||
            sscanf(text, "%*u %lf %lf", &resident, &shared) != 2)
                return;
        sums->own_pages += fmax(0, resident - shared);
        sums->shared_pages = fmax(sums->shared_pages, shared);
}

static void add_descriptors(pid_t pid, struct sums *sums)
{
        char path[PATH_SIZE];
        double count;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        count = watch_entries(path, sums->may_count);
        if (count > sums->descriptors) {
                sums->descriptors = count;
                sums->fullest = pid;
        }
}

/* False where it has ended meanwhile. */
static bool add_process(struct watched_processes *processes, struct task_seen *process,
                        struct sums *sums)
{
        double started_s, tick_s = 1 / (double)sysconf(_SC_CLK_TCK);
        pid_t pid = process->id;
        struct usage ran;
        bool is_young;

        if (!read_usage(pid, &process->used, &started_s)) {
                process->id = 0; /* nobody's */
                return false;
        }
        is_young = started_s + tick_s >= processes->looked_s;
        ran = usage_since(&processes->processes[!processes->turn], process, is_young);
        sums->ran.cpu_ns += ran.cpu_ns;
        sums->ran.user_ticks += ran.user_ticks;
        sums->ran.system_ticks += ran.system_ticks;
        sums->life.user_ticks += process->used.user_ticks;
        sums->life.system_ticks += process->used.system_ticks;
        add_threads(processes, pid, is_young, sums);
        add_memory(pid, sums);
        add_descriptors(pid, sums);
        return true;
}

/* --- figures --------------------------------------------------------------------------------- */

/* By the clocks of processes, which are exact; ticks only say how user and kernel share it. */
static void put_cpu(const struct sums *sums, double seconds, double values[SAMPLE_COUNT])
{
        bool has_ticks = sums->ran.user_ticks + sums->ran.system_ticks > 0;
        const struct usage *shares = has_ticks ? &sums->ran : &sums->life;
        double ticks = shares->user_ticks + shares->system_ticks;
        double cpu = sums->ran.cpu_ns / 1e9 / seconds;

        values[SAMPLE_CPU_USER] = cpu * (ticks > 0 ? shares->user_ticks / ticks : 0);
        values[SAMPLE_CPU_SYSTEM] = cpu - values[SAMPLE_CPU_USER];
}

/* "Max open files  SOFT  HARD  files". */
static double descriptors_limit(pid_t pid)
{
        char path[PATH_SIZE], text[TEXT_SIZE];

        (void)snprintf(path, sizeof(path), "/proc/%d/limits", pid);
        return watch_read(path, text, sizeof(text)) < 0 ? NAN
                                                        : watch_number(text, "Max open files");
}

/* The limit that counts is the one of the process which had most of all. What was not counted this
 * time stays as it was. */
static void put_descriptors(struct watched_processes *processes, const struct sums *sums)
{
        if (!(sums->descriptors > 0))
                return;
        processes->values[SAMPLE_DESCRIPTORS] = sums->descriptors;
        if (sums->descriptors > processes->descriptors_most) {
                processes->descriptors_most = sums->descriptors;
                processes->descriptors_limit = descriptors_limit(sums->fullest);
        }
}

static void forget_values(struct watched_processes *processes)
{
        for (int i = 0; i < SAMPLE_COUNT; i++)
                processes->values[i] = NAN;
}

static void look(struct watched_processes *processes, double now_s)
{
        struct tasks_seen *found = &processes->processes[processes->turn ^= 1];
        double *values = processes->values, seconds = now_s - processes->looked_s;
        struct sums sums = {.may_count = now_s >= processes->count_again_s};
        bool is_alive = false;

        if (sums.may_count)
                processes->count_again_s = now_s + COUNT_EVERY_S;
        found->count = processes->threads[processes->turn].count = 0;
        list_first(processes);
        for (size_t i = 0; i < found->count; i++)
                is_alive = add_process(processes, &found->items[i], &sums) || is_alive;
        processes->looked_s = now_s;
        if (!is_alive) {
                forget_values(processes);
                return;
        }
        put_cpu(&sums, seconds, values);
        values[SAMPLE_CPU_WAITING] = sums.ran.waiting_ns / 1e9 / seconds;
        values[SAMPLE_SWITCHES] = sums.ran.switches / seconds;
        values[SAMPLE_BUSIEST_THREAD] = sums.busiest_ns / 1e9 / seconds;
        values[SAMPLE_MEMORY] =
                (sums.own_pages + sums.shared_pages) * (double)sysconf(_SC_PAGESIZE);
        put_descriptors(processes, &sums);
}

void watched_processes_init(struct watched_processes *processes,
                            const struct watch_options *options)
{
        *processes = (struct watched_processes){
                .options = options, .looked_s = NAN, .descriptors_limit = NAN};
        forget_values(processes);
}

void watched_processes_take(struct watched_processes *processes, double values[SAMPLE_COUNT])
{
        double now_s = clock_s(CLOCK_BOOTTIME), began_s = clock_s(CLOCK_THREAD_CPUTIME_ID);

        if (now_s >= processes->look_again_s) {
                look(processes, now_s);
                processes->look_again_s =
                        now_s + LOOK_SHARE * (clock_s(CLOCK_THREAD_CPUTIME_ID) - began_s);
        }
        memcpy(values, processes->values, sizeof(processes->values));
}

void watched_processes_limits(double limits[SAMPLE_COUNT])
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);

        limits[SAMPLE_MACHINE_CPU] = (double)processors;
        limits[SAMPLE_CPU_USER] = (double)processors;
        limits[SAMPLE_BUSIEST_THREAD] = 1;
}
