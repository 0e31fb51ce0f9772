/* The process of one invocation under the exec contract, with a pipe for each standard stream. */
#pragma once

#include <sys/types.h>

struct exec_process {
        pid_t pid;
        int input, output, log; /* our ends, non-blocking */
};

/* Runs what lies at `path`; `arguments` begins with its name. 0, or the negative errno that tells why
 * it cannot run. */
int exec_process_start(struct exec_process *ret_process, const char *path, char *const *arguments,
                       const char *const *environment);
