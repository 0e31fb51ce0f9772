/* Processes of the target by proc(5); see watch_parts.h. */
#include "lab/watch_parts.h"

#include "base/auto.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_EVERY_NS NS_PER_S
#define PATH_SIZE 128
#define TEXT_SIZE 16384

/* Sums over all processes, and over all threads where there are not too many. */
struct sums {
        double user_ticks, system_ticks;
        double total_ns, waiting_ns, switches;
        double own_pages, shared_pages;
        double descriptors; /* of the process that has most, `fullest` */
        pid_t fullest;
        double busiest_ns; /* of one thread since it was last seen */
        size_t threads;
};

static void add_pid(struct watched_processes *processes, pid_t pid)
{
        for (size_t i = 0; i < processes->pid_count; i++)
                if (processes->pids[i] == pid)
                        return;
        if (processes->pid_count < WATCH_PIDS_MAX)
                processes->pids[processes->pid_count++] = pid;
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

static void list_children(struct watched_processes *processes, pid_t pid)
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
                (void)snprintf(path, sizeof(path), "/proc/%d/task/%ld/children", pid, id);
                add_pids_of(processes, path);
        }
}

static void list_processes(struct watched_processes *processes)
{
        const struct watch_options *options = processes->options;
        char path[4096];

        processes->pid_count = 0;
        if (options->pid > 0) {
                add_pid(processes, options->pid);
                for (size_t i = 0; i < processes->pid_count; i++)
                        list_children(processes, processes->pids[i]);
        } else if (options->cgroup) {
                (void)snprintf(path, sizeof(path), "%s/cgroup.procs", options->cgroup);
                add_pids_of(processes, path);
        }
}

/* What the thread has run since it was seen last. Unknown ones begin now. */
static double thread_ran(struct watched_processes *processes, pid_t id, uint64_t cpu_ns)
{
        struct thread_seen *seen = processes->seen;

        for (size_t i = 0; i < processes->seen_count; i++)
                if (seen[i].id == id) {
                        uint64_t ran = cpu_ns > seen[i].cpu_ns ? cpu_ns - seen[i].cpu_ns : 0;
                        seen[i].cpu_ns = cpu_ns;
                        return (double)ran;
                }
        if (processes->seen_count == WATCH_THREADS_MAX)
                processes->seen_count = 0; /* many have come and gone */
        seen[processes->seen_count++] = (struct thread_seen){.id = id, .cpu_ns = cpu_ns};
        return 0;
}

/* schedstat: nanoseconds on a processor and waiting for one, and how often it got one. */
static void add_threads(struct watched_processes *processes, pid_t pid, struct sums *sums)
{
        char path[PATH_SIZE], text[128];
        const struct dirent *entry;
        AUTO(directory_close) DIR *tasks = NULL;

        (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
        tasks = opendir(path);
        while (tasks && (entry = readdir(tasks)) && sums->threads < WATCH_THREADS_MAX) {
                uint64_t cpu_ns, waiting_ns, times;
                double ran;
                long id = strtol(entry->d_name, NULL, 10);

                (void)snprintf(path, sizeof(path), "/proc/%d/task/%ld/schedstat", pid, id);
                if (id <= 0 || watch_read(path, text, sizeof(text)) < 0 ||
                    sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &cpu_ns, &waiting_ns,
                           &times) != 3)
                        continue;
                sums->threads++;
                sums->waiting_ns += (double)waiting_ns;
                sums->switches += (double)times;
                ran = thread_ran(processes, (pid_t)id, cpu_ns);
                if (ran > sums->busiest_ns)
                        sums->busiest_ns = ran;
        }
}

/* Fields 14 and 15 of stat: ticks. The name in brackets may hold anything, so count from its end. */
static void add_ticks(pid_t pid, struct sums *sums)
{
        char path[PATH_SIZE], text[1024];
        unsigned long long user, system;
        const char *end;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (watch_read(path, text, sizeof(text)) < 0)
                return;
        end = strrchr(text, ')');
        if (end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                          &system) == 2) {
                sums->user_ticks += (double)user;
                sums->system_ticks += (double)system;
        }
}

static void add_process(struct watched_processes *processes, pid_t pid, struct sums *sums)
{
        char path[PATH_SIZE], text[128];
        unsigned long long resident, shared;
        struct timespec cpu;
        struct stat status;
        clockid_t clock;

        add_ticks(pid, sums);
        add_threads(processes, pid, sums);
        if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &cpu) == 0)
                sums->total_ns += (double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec;
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
        if (watch_read(path, text, sizeof(text)) > 0 &&
            sscanf(text, "%*u %llu %llu", &resident, &shared) == 2) {
                sums->own_pages += (double)(resident > shared ? resident - shared : 0);
                sums->shared_pages = fmax(sums->shared_pages, (double)shared);
        }
        /* The size of this folder is the number of open descriptors (Linux 6.2). */
        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        if (stat(path, &status) == 0 && (double)status.st_size > sums->descriptors) {
                sums->descriptors = (double)status.st_size;
                sums->fullest = pid;
        }
}

void watched_processes_init(struct watched_processes *processes,
                            const struct watch_options *options)
{
        *processes = (struct watched_processes){.options = options, .descriptors_limit = NAN};
        list_processes(processes);
}

/* By the clocks of processes, which are exact; ticks only say how user and kernel share it. */
static void put_cpu(struct watched_processes *processes, const struct sums *sums, double seconds,
                    double values[SAMPLE_COUNT])
{
        double user = rate_of(&processes->user, sums->user_ticks, seconds);
        double system = rate_of(&processes->system, sums->system_ticks, seconds);
        double total = rate_of(&processes->total, sums->total_ns / 1e9, seconds);
        double ticks = user + system;

        if (ticks == 0) {
                user = sums->user_ticks;
                ticks = sums->user_ticks + sums->system_ticks;
        }
        if (!(ticks > 0))
                user = 0, ticks = 1;
        values[SAMPLE_CPU_USER] = total * user / ticks;
        values[SAMPLE_CPU_SYSTEM] = total - values[SAMPLE_CPU_USER];
}

/* "Max open files  SOFT  HARD  files". */
static double descriptors_limit(pid_t pid)
{
        char path[PATH_SIZE], text[TEXT_SIZE];

        (void)snprintf(path, sizeof(path), "/proc/%d/limits", pid);
        return watch_read(path, text, sizeof(text)) < 0 ? NAN
                                                        : watch_number(text, "Max open files");
}

/* The limit that counts is the one of the process which had most of all. */
static void put_descriptors(struct watched_processes *processes, const struct sums *sums,
                            double values[SAMPLE_COUNT])
{
        if (!(sums->descriptors > 0))
                return;
        values[SAMPLE_DESCRIPTORS] = sums->descriptors;
        if (sums->descriptors > processes->descriptors_most) {
                processes->descriptors_most = sums->descriptors;
                processes->descriptors_limit = descriptors_limit(sums->fullest);
        }
}

void watched_processes_take(struct watched_processes *processes, uint64_t now_ns, double seconds,
                            double values[SAMPLE_COUNT])
{
        bool is_first = !processes->total.is_known;
        struct sums sums = {0};

        if (now_ns >= processes->list_again_ns) {
                processes->list_again_ns = now_ns + LIST_EVERY_NS;
                list_processes(processes);
        }
        if (processes->pid_count == 0)
                return;
        for (size_t i = 0; i < processes->pid_count; i++)
                add_process(processes, processes->pids[i], &sums);
        put_cpu(processes, &sums, seconds, values);
        values[SAMPLE_CPU_WAITING] = rate_of(&processes->waiting, sums.waiting_ns / 1e9, seconds);
        values[SAMPLE_SWITCHES] = rate_of(&processes->switches, sums.switches, seconds);
        if (!is_first && seconds > 0)
                values[SAMPLE_BUSIEST_THREAD] = sums.busiest_ns / 1e9 / seconds;
        values[SAMPLE_MEMORY] =
                (sums.own_pages + sums.shared_pages) * (double)sysconf(_SC_PAGESIZE);
        put_descriptors(processes, &sums, values);
}

void watched_processes_limits(double limits[SAMPLE_COUNT])
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

        limits[SAMPLE_MACHINE_CPU] = (double)processors;
        limits[SAMPLE_CPU_USER] = (double)processors;
        limits[SAMPLE_BUSIEST_THREAD] = 1;
        limits[SAMPLE_MEMORY] = bytes;
}
