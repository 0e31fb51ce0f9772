/* `magpie rm NAME...`: delete functions. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/suggest.h"

#include <limits.h>

static int rm_one(struct client *client, const struct cli *cli, const char *name)
{
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s", name);
        AUTO(reply_deinit) struct reply reply = {0};
        int exit_code;

        if (problem_report_reserved(name))
                return CLI_NOT_FOUND;
        exit_code = client_ask(client, &(struct request){.method = "DELETE", .path = path}, name,
                               &reply);
        if (exit_code == CLI_OK && cli->quiet)
                (void)puts(name);
        else if (exit_code == CLI_NOT_FOUND)
                suggest_function(client, name);
        else if (exit_code == CLI_OK)
                say_done("%s is deleted", name);
        return exit_code;
}

static int rm_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_rm, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        exit_code = client_open(&client, cli);
        if (exit_code != CLI_OK)
                return exit_code;
        /* All are tried; the first thing that went wrong is the exit code. */
        for (int i = 0; i < arguments.count; i++) {
                int code = rm_one(&client, cli, arguments.items[i]);
                if (exit_code == CLI_OK)
                        exit_code = code;
        }
        return exit_code;
}

const struct verb verb_rm = {
        .name = "rm",
        .arguments = "NAME... [OPTIONS]",
        .summary = "delete functions",
        .about = "Deletes functions with their code and logs. Calls that are running finish.",
        .examples = "  magpie rm hello\n"
                    "  magpie ls -q | xargs magpie rm    # all of them\n",
        .group = VERB_FUNCTIONS,
        .shared = VERB_SERVER | VERB_QUIET,
        .arguments_min = 1,
        .arguments_max = INT_MAX,
        .run = rm_run,
};
