/* The command line: `magpie VERB ...`, one verb a file.
 *
 * Theory of operation. cli_main() finds the verb in a table and runs it. A verb declares its
 * options in a table of its own, from which both the parser and `--help` work (options.h). What it
 * wants from a node it asks through client.h; what it has to say goes through output.h: data on
 * stdout, everything else on stderr. Its return value is the program's exit code.
 */
#pragma once

#include <stdbool.h>

enum cli_exit {
        CLI_OK = 0,
        CLI_FAILED = 1,
        CLI_USAGE = 2,
        CLI_NOT_FOUND = 3,
        CLI_DENIED = 4,
        CLI_FUNCTION_FAILED = 5,
        CLI_TIMED_OUT = 124,
};

/* Verbs that other rooms build. NULL where this build has none. */
struct cli_apps {
        int (*serve)(int argc, char **argv);
};

/* What the shared options said, and what verbs need of one another. */
struct cli {
        const struct cli_apps *apps;
        const char *server; /* --server; NULL where it was not given */
        bool json;          /* -o json */
        bool quiet;         /* -q */
};

int cli_main(int argc, char **argv, const struct cli_apps *apps);
