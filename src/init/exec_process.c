/* Starting a program; see exec_process.h. */
#include "init/exec_process.h"
#include "init/program.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child. Returns the errno. */
static int become(const char *path, char *const *arguments, const char *const *environment,
                  const int *streams)
{
        for (int i = 0; i < 3; i++)
                if (dup2(streams[i], i) < 0)
                        return errno;
        return program_become(path, arguments, (char **)(uintptr_t)environment);
}

/* The child shares our memory until it executes, so its errno needs no pipe. */
static int fork_and_become(struct exec_process *process, const char *path, char *const *arguments,
                           const char *const *environment, const int *streams)
{
        volatile int failure = 0;
        pid_t child = vfork();

        if (child == 0) {
                failure = become(path, arguments, environment, streams);
                _exit(127);
        }
        if (child < 0)
                return -errno;
        if (failure != 0)
                (void)waitpid(child, NULL, 0);
        process->pid = child;
        return -failure;
}

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
        int pipes[3][2], r;

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

        r = fork_and_become(&process, path, arguments, environment,
                            (const int[]){child_input, child_output, child_log});
        if (r < 0)
                return r;
        process.input = fd_steal(&input);
        process.output = fd_steal(&output);
        process.log = fd_steal(&log);
        *ret_process = process;
        return 0;
}
