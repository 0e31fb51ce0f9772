/* `magpie version`. */
#include "cli/options.h"
#include "cli/output.h"

static int version_run(struct cli *cli, int argc, char **argv)
{
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_version, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        if (cli->json)
                (void)puts("{\"version\": \"" MAGPIE_VERSION "\"}");
        else
                (void)puts("magpie " MAGPIE_VERSION);
        return CLI_OK;
}

const struct verb verb_version = {
        .name = "version",
        .arguments = "[OPTIONS]",
        .summary = "which magpie this is",
        .group = VERB_NODE,
        .shared = VERB_SHOWS,
        .run = version_run,
};
