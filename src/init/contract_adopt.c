/* A process that comes from elsewhere; see contract.h. */
#include "init/contract.h"
#include "init/worker_socket.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The namespace counts from here. The second process is the nursery's helper, which ends; what it
 * leaves behind is the function's process. */
#define ADOPTED_PID 3

struct outcome contract_adopt(void)
{
        const struct outcome failed = {.number = 127};
        sigset_t child;

        (void)close(WORKER_FD);
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
                return failed;
        for (;;) {
                pid_t ended;
                int status;
                if (sigwaitinfo(&child, NULL) < 0 && errno != EINTR)
                        return failed;
                while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
                        if (ended == ADOPTED_PID)
                                return outcome_of_status(status);
        }
}
