/* magpie-init: the first process of a sandbox.
 *
 *     magpie-init shim PROGRAM [ARGUMENT...]
 *     magpie-init exec PROGRAM [ARGUMENT...]
 *     magpie-init http PORT PROGRAM [ARGUMENT...]
 *     magpie-init lambda PROGRAM [ARGUMENT...]
 *     magpie-init in FOLDER exec|http|lambda ...
 *     magpie-init park
 *     magpie-init adopt
 *
 * Theory of operation
 *
 * The agent executes it with all privileges given up, the worker socket on descriptor 3, the log
 * pipe on 1 and 2. It waits for a function where it has none yet (contract_park.c), runs it under one
 * of the contracts (contract_*.c), and being process 1 it reaps every orphan. When it ends, the kernel
 * ends everything else in the sandbox.
 *
 * The function runs as the same user, so magpie-init makes itself undumpable: nobody without
 * capabilities may then trace it, or open its memory or its descriptors in /proc (ptrace(2), "ptrace
 * access mode checking").
 */
#include "init/contract.h"
#include "init/worker_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_USAGE 2

static struct outcome run_in(const char *folder, char *const *words)
{
        if (chdir(folder) == 0)
                return contract_run(words);
        worker_socket_refuse("the working folder '%s' cannot be entered: %s", folder,
                             strerror(errno));
        return (struct outcome){.number = EXIT_USAGE};
}

struct outcome contract_run(char *const *words)
{
        const struct outcome failed = {.number = EXIT_USAGE};

        if (words[0] && strcmp(words[0], "park") == 0)
                return contract_park();
        if (words[0] && strcmp(words[0], "adopt") == 0)
                return contract_adopt();
        if (words[0] && words[1] && strcmp(words[0], "shim") == 0)
                return contract_shim(words + 1);
        if (words[0] && words[1] && strcmp(words[0], "exec") == 0)
                return contract_exec(words + 1);
        if (words[0] && words[1] && words[2] && strcmp(words[0], "http") == 0)
                return contract_http(words[1], words + 2);
        if (words[0] && words[1] && strcmp(words[0], "lambda") == 0)
                return contract_lambda(words + 1);
        if (words[0] && words[1] && words[2] && strcmp(words[0], "in") == 0)
                return run_in(words[1], words + 2);
        return failed;
}

int main(int argc, char **argv)
{
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || argc < 2)
                return EXIT_USAGE;
        outcome_exit(contract_run(argv + 1));
}
