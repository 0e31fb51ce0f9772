/* Reaping; see children.h. */
#include "init/children.h"

#include "wire/worker_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int children_open(void)
{
        sigset_t child;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &child, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
            fcntl(WORKER_FD, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool children_reap(int child_fd, pid_t awaited, int *ret_status)
{
        struct signalfd_siginfo info;
        bool found = false;
        pid_t ended;
        int status;

        if (read(child_fd, &info, sizeof(info)) < 0 && errno != EAGAIN)
                return false;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
                if (ended == awaited) {
                        *ret_status = status;
                        found = true;
                }
        return found;
}
