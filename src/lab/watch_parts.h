/* What the parts of watch.h know of one another. */
#pragma once

#include "base/clock.h"
#include "lab/watch.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

/* A number that only grows, seen as a rate. */
struct rate {
        double last;
        bool is_known;
};

/* Per second since the last call; NaN at first, and 0 where it has shrunk. */
static inline double rate_of(struct rate *rate, double value, double seconds)
{
        double result = rate->is_known && seconds > 0 ? (value - rate->last) / seconds : NAN;

        rate->last = value;
        rate->is_known = !isnan(value);
        return result < 0 ? 0 : result;
}

/* --- watch_process.c --- */

/* What a process or a thread has used since it began: threads have no ticks, and only they know how
 * long they waited for a processor and how often they got one. */
struct usage {
        double cpu_ns, user_ticks, system_ticks, waiting_ns, switches;
};

struct task_seen {
        pid_t id;
        struct usage used;
};

struct tasks_seen {
        size_t count;
        struct task_seen items[WATCH_TASKS_MAX];
};

struct watched_processes {
        const struct watch_options *options;
        bool left_out;                 /* more than WATCH_TASKS_MAX were found */
        double count_again_s;          /* descriptors, one by one */
        double looked_s, look_again_s; /* of CLOCK_BOOTTIME, like births; NaN: not yet */
        unsigned turn;                 /* which of two is this look's */
        struct tasks_seen processes[2], threads[2]; /* the other is that of the look before */
        double values[SAMPLE_COUNT];                /* as they were at the last look */
        double descriptors_most, descriptors_limit; /* of one process at one time, and its limit */
};

void watched_processes_init(struct watched_processes *processes,
                            const struct watch_options *options);
/* Sets all figures: those that are not of processes to NaN. */
void watched_processes_take(struct watched_processes *processes, double values[SAMPLE_COUNT]);
/* Those that stay the same. */
void watched_processes_limits(double limits[SAMPLE_COUNT]);

/* --- watch_cgroup.c --- */

struct watched_group {
        const char *folder; /* NULL: there is none */
        struct rate user, system;
};

void watched_group_take(struct watched_group *group, double seconds, double values[SAMPLE_COUNT]);
void watched_group_limits(const struct watched_group *group, double limits[SAMPLE_COUNT]);

/* --- watch_sockets.c --- */

struct watched_sockets {
        int netlink_fd;
        bool is_local; /* the target's address is this machine's */
        uint16_t port;
        uint64_t count_again_ns;
        double by_state[SAMPLE_COUNT]; /* as it was last counted */
        struct rate overflows, received, sent;
        char netstat[64], device[64]; /* paths */
        double backlog;               /* of the listening socket */
};

void watched_sockets_init(struct watched_sockets *sockets, const struct watch_options *options);
void watched_sockets_deinit(struct watched_sockets *sockets);
void watched_sockets_take(struct watched_sockets *sockets, uint64_t now_ns, double seconds,
                          double values[SAMPLE_COUNT]);

/* --- watch_metrics.c --- */

struct watched_metrics {
        void *curl; /* a CURL, the thread's */
        bool has_thread;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        bool is_stopping;
        uint64_t asked_ns; /* when what has no answer yet was asked; 0: all is answered */
        double loop_lag_ms, connections;
};

int watched_metrics_start(struct watched_metrics *metrics, const struct watch_options *options);
void watched_metrics_stop(struct watched_metrics *metrics);
void watched_metrics_take(struct watched_metrics *metrics, double values[SAMPLE_COUNT]);

/* --- watch_file.c --- */

/* A small file whole, NUL-terminated. Its length, or a negative errno. */
ssize_t watch_read(const char *path, char *text, size_t size);
/* The number behind `name` and blanks at the beginning of a line; NaN where there is none. */
double watch_number(const char *text, const char *name);
/* How many entries a folder of /proc has, by its size; where that is 0, they are counted one by one if
 * that may be, for the size of /proc/PID/fd is their number since Linux 6.2 only. NaN without it. */
double watch_entries(const char *path, bool may_count);
