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

/* What the agent sends for each: the pidfd of the sandbox's first process, its v2 control group, the
 * worker socket, the log pipe, and then the `tasks` file of each v1 group. */
enum birth_fd { BIRTH_FIRST, BIRTH_GROUP, BIRTH_WORKER, BIRTH_LOG, BIRTH_TASKS };

#pragma GCC visibility push(default)

/* With PyOS_BeforeFork() before, and what belongs to it after. 0 in the nursery (`own_fd`: its own
 * pidfd), or a negative errno; 1 in the new process, which is then what a sandbox's interpreter is
 * when it has just been started: its worker socket is descriptor 3, in place of the agent's
 * connection, and that has been told the number and how it went. */
int birth_give(uint64_t number, const int *fds, size_t fd_count, int own_fd, const void *filter,
               size_t filter_size);

#pragma GCC visibility pop
