/* Threads of a process that is copied. A copy has the one thread that made it; here the others are made
 * again in it, each where it was: V8's workers, which wait for work, wait on in the copy.
 *
 * Every thread is stopped in a signal's handler, once and for good: nothing of the process changes any
 * more but what its first thread changes. In a copy each is begun anew in that handler, with its stack
 * and the C library's data about it, which have been copied like all memory, and returns from there.
 *
 * One thread may have blocked the signal, and is left out: Node's that would start an inspector.
 */
#pragma once

#include <sys/types.h>

#define THREADS_MAX 16

/* Stops all but the calling one. 0, -ETIMEDOUT, -E2BIG with more than THREADS_MAX, or what the kernel
 * says; -ENOTSUP where it cannot tell where a thread's number is kept, or more than one is deaf. */
int threads_freeze(void);

/* As fork(2), from a process with frozen threads: without the handlers that would take those for dead. */
pid_t threads_copy(void);

/* In a copy: begins the others. 0 or a negative errno. */
int threads_revive(void);
