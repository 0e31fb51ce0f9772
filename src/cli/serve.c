/* `magpie serve`: the way into the node, which is built in another room. */
#include "cli/output.h"
#include "cli/verb.h"

static int serve_run(struct cli *cli, int argc, char **argv)
{
        if (!cli->apps || !cli->apps->serve) {
                say_error("this magpie was built without a node");
                return CLI_FAILED;
        }
        return cli->apps->serve(argc, argv);
}

const struct verb verb_serve = {
        .name = "serve",
        .arguments = "[OPTIONS]",
        .summary = "start a node on this machine",
        .group = VERB_NODE,
        .run = serve_run,
};
