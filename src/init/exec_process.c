/* Starting a program; see exec_process.h. */
#include "init/exec_process.h"
#include "init/program.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

int exec_process_start(struct exec_process *ret_process, const char *path, char *const *arguments,
                       const char *const *environment)
{
        AUTO(fd_close) int input = -1;
        AUTO(fd_close) int output = -1;
        AUTO(fd_close) int log = -1;
        AUTO(fd_close) int child_input = -1;
        AUTO(fd_close) int child_output = -1;
        AUTO(fd_close) int child_log = -1;
        struct exec_process process;
        int pipes[3][2];

        if (pipe2(pipes[0], O_CLOEXEC) < 0)
                return -errno;
        child_input = pipes[0][0], input = pipes[0][1];
        if (pipe2(pipes[1], O_CLOEXEC) < 0)
                return -errno;
        output = pipes[1][0], child_output = pipes[1][1];
        if (pipe2(pipes[2], O_CLOEXEC) < 0)
                return -errno;
        log = pipes[2][0], child_log = pipes[2][1];
        if (fcntl(input, F_SETFL, O_NONBLOCK) < 0 || fcntl(output, F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(log, F_SETFL, O_NONBLOCK) < 0)
                return -errno;

        process.pid = program_spawn(path, arguments, (char **)(uintptr_t)environment,
                                    (const int[]){child_input, child_output, child_log});
        if (process.pid < 0)
                return process.pid;
        process.input = fd_steal(&input);
        process.output = fd_steal(&output);
        process.log = fd_steal(&log);
        *ret_process = process;
        return 0;
}
