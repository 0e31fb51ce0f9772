/* The parts together; see watch.h. */
#include "lab/watch_parts.h"

#include "base/auto.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct watch {
        struct watch_options options;
        struct sample_limits limits;
        struct watched_processes processes;
        struct watched_group group;
        struct watched_sockets sockets;
        struct watched_metrics metrics;
        struct rate machine, lab;
        uint64_t taken_ns; /* when it was last looked at; 0: not yet */
};

static int check_options(const struct watch_options *options, struct err *err)
{
        struct stat status;

        if (options->pid > 0 && kill(options->pid, 0) < 0 && errno == ESRCH)
                return err_set(err, -ENOENT, "there is no process %d", options->pid);
        if (options->cgroup && (stat(options->cgroup, &status) < 0 || !S_ISDIR(status.st_mode)))
                return err_set(err, -ENOENT, "there is no control group at '%s'", options->cgroup);
        return 0;
}

/* Processors of the machine that were not idle, and the lab's part of them: "cpu USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ
 * STEAL", in ticks. */
static void take_machine(struct watch *watch, double seconds, double values[SAMPLE_COUNT])
{
        double user, nice, system, irq, softirq, steal;
        struct timespec lab;
        char text[1024];

        if (!watch->sockets.is_local || watch_read("/proc/stat", text, sizeof(text)) <= 0 ||
            sscanf(text, "cpu %lf %lf %lf %*f %*f %lf %lf %lf", &user, &nice, &system, &irq,
                   &softirq, &steal) != 6)
                return;
        values[SAMPLE_MACHINE_CPU] = rate_of(&watch->machine,
                                             (user + nice + system + irq + softirq + steal) /
                                                     (double)sysconf(_SC_CLK_TCK),
                                             seconds);
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &lab);
        values[SAMPLE_LAB_CPU] =
                rate_of(&watch->lab, (double)lab.tv_sec + (double)lab.tv_nsec / 1e9, seconds);
}

/* Where no group limits it: what it has, and what it can get beside all others. */
static void limit_memory(struct watch *watch, double used)
{
        char text[4096];

        if (watch_read("/proc/meminfo", text, sizeof(text)) <= 0)
                return;
        watch->limits.values[SAMPLE_MEMORY] =
                fmin(watch->limits.values[SAMPLE_MEMORY],
                     used + watch_number(text, "MemAvailable:") * 1024);
}

void watch_take(struct watch *watch, struct sample *ret_sample)
{
        uint64_t now_ns = clock_now_ns();
        double seconds = watch->taken_ns ? (double)(now_ns - watch->taken_ns) / 1e9 : 0;

        watched_processes_take(&watch->processes, ret_sample->values);
        watched_group_take(&watch->group, seconds, ret_sample->values);
        watched_sockets_take(&watch->sockets, now_ns, seconds, ret_sample->values);
        watched_metrics_take(&watch->metrics, ret_sample->values);
        take_machine(watch, seconds, ret_sample->values);
        watch->limits.values[SAMPLE_ACCEPT_QUEUE] = watch->sockets.backlog;
        watch->limits.values[SAMPLE_DESCRIPTORS] = watch->processes.descriptors_limit;
        watch->taken_ns = now_ns;
}

const struct sample_limits *watch_limits(const struct watch *watch)
{
        return &watch->limits;
}

bool watch_left_out(const struct watch *watch)
{
        return watch->processes.left_out;
}

int watch_new(const struct watch_options *options, struct watch **ret_watch, struct err *err)
{
        struct sample first;
        struct watch *watch;
        int r = check_options(options, err);

        if (r < 0)
                return r;
        watch = calloc(1, sizeof(*watch));
        if (!watch)
                return err_set(err, -ENOMEM, "out of memory");
        watch->options = *options;
        watch->group.folder = options->cgroup;
        for (int i = 0; i < SAMPLE_COUNT; i++)
                watch->limits.values[i] = NAN;
        watched_processes_init(&watch->processes, &watch->options);
        watched_processes_limits(watch->limits.values);
        watched_group_limits(&watch->group, watch->limits.values);
        watched_sockets_init(&watch->sockets, &watch->options);
        r = watched_metrics_start(&watch->metrics, &watch->options);
        if (r < 0) {
                watch_free(watch);
                return err_errno(err, r, "starting a thread");
        }
        watch_take(watch, &first); /* what rates count from */
        limit_memory(watch, first.values[SAMPLE_MEMORY]);
        *ret_watch = watch;
        return 0;
}

void watch_free(struct watch *watch)
{
        if (!watch)
                return;
        watched_metrics_stop(&watch->metrics);
        watched_sockets_deinit(&watch->sockets);
        free(watch);
}
