/* Watches the target while it is under load: its processes or its control group, its sockets, its
 * machine, and what it says of itself by /metrics. All but the last by /proc, /sys and sock_diag(7),
 * so it must be on this machine.
 *
 * What is cheap is looked at every time; what grows with the number of sockets or processes as often
 * as keeps each of them below two hundredths of a processor.
 */
#pragma once

#include "base/err.h"
#include "lab/load.h"
#include "lab/sample.h"

#include <sys/types.h>

#define WATCH_TASKS_MAX 256 /* processes, and threads of them all, that are looked at one by one */

struct watch;

struct watch_options {
        pid_t pid;                   /* and its children; 0: unknown */
        const char *cgroup;          /* a folder, of v2 or of any v1 controller; NULL: unknown */
        const struct origin *origin; /* the target's */
        const char *metrics_url;     /* NULL: do not ask */
        bool insecure;
};

/* -ENOENT and a sentence where there is no such process or group. Options are borrowed. */
int watch_new(const struct watch_options *options, struct watch **ret_watch, struct err *err);
void watch_free(struct watch *watch); /* NULL is fine; also as AUTO(watch_close) */
static inline void watch_close(struct watch **watch)
{
        watch_free(*watch);
}

/* Figures that are rates count from the call before. at_s and level are left to the caller. */
void watch_take(struct watch *watch, struct sample *ret_sample);
const struct sample_limits *watch_limits(const struct watch *watch);
/* There were more than WATCH_TASKS_MAX at some time. */
bool watch_left_out(const struct watch *watch);
