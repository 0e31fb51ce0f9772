/* `magpie`: the command line, and the node where it is built in. */
#include "apps/serve.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
        const struct cli_apps apps = {.serve = serve_main};

        return cli_main(argc, argv, &apps);
}
