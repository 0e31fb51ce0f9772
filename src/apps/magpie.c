/* `magpie`: the command line, and the node where it is built in. */
#include "cli/cli.h"

/* The node's own entry; weak, for a command line without a node links as well. */
int serve_main(int argc, char **argv) __attribute__((weak));

int main(int argc, char **argv)
{
        const struct cli_apps apps = {.serve = serve_main};

        return cli_main(argc, argv, &apps);
}
