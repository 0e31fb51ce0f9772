/* What the contracts share that start a program once and serve it from a loop: that loop, and how
 * the program fares. */
#pragma once

#include "base/loop.h"

#include <stdbool.h>
#include <sys/types.h>

/* A connection that breaks may be the first that is seen of the program's end, and how that ended is
 * what its owner wants to read: the kernel closes a dying process's descriptors before it tells the
 * parent. So the error waits for this long. */
#define SERVICE_GRACE_MS 25

struct service {
        struct loop loop;
        pid_t pid; /* the program's */
        int stop_signal;
        bool ended; /* it has, with `status` of wait(2) */
        int status;
        int child_fd; /* becomes readable when a child has ended */
        struct loop_source child_source;
};

/* Takes STOP_SIGNAL_VARIABLE out of the environment, and has as many open files as the sandbox allows,
 * since each lane takes some. 0 or a negative errno. */
int service_init(struct service *service);

/* Starts the program. 0, or a negative errno, and the gateway was told. */
int service_start(struct service *service, char *const *command);

/* Reaps what has ended. Whether the program is among it. */
bool service_reap(struct service *service);

/* There are no more calls: asks the program to end, and serves the loop until it has. How long that may
 * take is the gateway's to say, who ends the sandbox then. */
void service_end(struct service *service);

/* Runs the loop until it is stopped, or the program has ended. 0 or a negative errno. */
int service_run(struct service *service);
