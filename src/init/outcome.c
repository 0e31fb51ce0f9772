/* Exit records; see outcome.h. */
#include "init/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct outcome outcome_of_status(int wait_status)
{
        if (WIFSIGNALED(wait_status))
                return (struct outcome){.by_signal = true, .number = WTERMSIG(wait_status)};
        return (struct outcome){.by_signal = false, .number = WEXITSTATUS(wait_status)};
}

_Noreturn void outcome_exit(struct outcome outcome)
{
        char name[16]; /* TASK_COMM_LEN */

        (void)snprintf(name, sizeof(name), "%s %d", outcome.by_signal ? "signal" : "exit",
                       outcome.number);
        (void)prctl(PR_SET_NAME, name, 0, 0, 0);
        /* What a shell would make of it, for whoever reads the status alone. */
        _exit(outcome.by_signal ? 128 + outcome.number : outcome.number);
}
