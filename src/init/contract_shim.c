/* One process that speaks for itself; see contract.h. magpie-init is only its parent: it reaps what
 * the function leaves behind, and reports how it ended. */
#include "init/contract.h"
#include "init/worker_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct outcome contract_shim(char *const *arguments)
{
        const struct outcome failed = {.number = 127};
        int status;
        pid_t child, ended;

        child = vfork();
        if (child == 0) {
                (void)execve(arguments[0], arguments, environ);
                worker_socket_refuse("'%s' cannot be run: %s", arguments[0], strerror(errno));
                _exit(failed.number);
        }
        if (child < 0)
                return failed;
        (void)close(WORKER_FD);
        do {
                ended = wait(&status);
        } while (ended >= 0 ? ended != child : errno == EINTR);
        return ended < 0 ? failed : outcome_of_status(status);
}
