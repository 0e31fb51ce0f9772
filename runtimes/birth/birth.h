/* A fork of the nursery, born into a sandbox that the agent has prepared.
 *
 * The new process must become a child of the sandbox's first process, to be reaped by it. Nobody can
 * give a child away; but an orphan goes to the first process of its namespace. So a helper is cloned
 * into the sandbox's process namespace and control group, forks, and ends. The helper has the
 * nursery's memory, and the nursery sleeps meanwhile (CLONE_VFORK): only what stays is a copy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the agent sends for each: the pidfd of the sandbox's first process, its v2 control group, the
 * worker socket, the log pipe, and then the `tasks` file of each v1 group. */
enum birth_fd { BIRTH_FIRST, BIRTH_GROUP, BIRTH_WORKER, BIRTH_LOG, BIRTH_TASKS };

/* How a process of some language is copied, and what the copy needs besides. */
struct birth_ways {
        pid_t (*copy)(void); /* as fork(2) */
        int (*settle)(void); /* at the end: closes what is not the function's, and so on */
};

/* 0 in the nursery (`own_fd`: its own pidfd), or a negative errno; 1 in the new process, which is then
 * what a sandbox's interpreter is when it has just been started: its worker socket is descriptor 3, in
 * place of the agent's connection, and that has been told the number and how it went. */
int birth_give(uint64_t number, const int *fds, size_t fd_count, int own_fd, const void *filter,
               size_t filter_size, const struct birth_ways *ways);

/* Tells the agent, on its connection, how a birth went; ends the process where there is no agent any more. */
void birth_answer(int fd, uint64_t number, int error, const char *step);

/* The kernel tells the C library by this which processor a thread runs on. 0 or a negative errno. */
int birth_register_rseq(void);
