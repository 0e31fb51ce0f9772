/* Process 1's children: its own, and whatever was orphaned in the sandbox. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A signalfd that becomes readable when a child has ended, or a negative errno. Also: a broken pipe
 * is an error code from now on, and children do not inherit the worker's socket. */
int children_open(void);

/* Reaps all that have ended. True where `awaited` is among them, with its wait(2) status. */
bool children_reap(int child_fd, pid_t awaited, int *ret_status);
