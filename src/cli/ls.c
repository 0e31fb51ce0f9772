/* `magpie ls`: your functions. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/human.h"
#include "cli/options.h"
#include "cli/output.h"

#include <time.h>

static void ls_add_row(struct listing *listing, const cJSON *function)
{
        const cJSON *instances = cJSON_GetObjectItemCaseSensitive(function, "instances");

        listing_add(listing, text_copy(json_text(function, "name")));
        listing_add(listing, text_copy(json_text(function, "runtime")));
        listing_add(listing, text_format("%.0f", json_number(function, "version")));
        listing_add(listing, text_copy(json_text(function, "memory")));
        listing_add(listing, text_copy(json_text(function, "timeout")));
        listing_add(listing,
                    human_instances(json_number(instances, "busy"), json_number(instances, "idle"),
                                    json_number(instances, "frozen"),
                                    json_number(instances, "starting")));
        listing_add(listing, text_copy(json_flag(function, "public") ? "public" : "private"));
        listing_add(listing, human_age(json_text(function, "updatedAt"), time(NULL)));
}

static void ls_print(const cJSON *functions)
{
        static const char *const headings[] = {"NAME",   "RUNTIME", "VERSION",
                                               "MEMORY", "TIMEOUT", "INSTANCES",
                                               "ACCESS", "UPDATED", NULL};
        AUTO(listing_deinit) struct listing listing;

        listing_init(&listing, headings);
        for (const cJSON *function = json_first(functions); function; function = function->next)
                ls_add_row(&listing, function);
        listing_print(&listing);
}

static int ls_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *functions = NULL;
        const struct request request = {.method = "GET", .path = "/api/v1/functions/me"};
        struct arguments arguments;
        const cJSON *function;
        int exit_code;

        if (!options_parse(cli, &verb_ls, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code = client_ask_json(&client, &request, NULL, &functions);
        if (exit_code != CLI_OK)
                return exit_code;

        if (cli->quiet) {
                cJSON_ArrayForEach(function, functions)(void) puts(json_text(function, "name"));
        } else if (cli->json) {
                print_json(functions);
        } else if (cJSON_GetArraySize(functions) == 0) {
                say_note("You have no functions yet.");
                say_hint("magpie new hello makes one, magpie deploy hello ships it");
        } else {
                ls_print(functions);
        }
        return CLI_OK;
}

const struct verb verb_ls = {
        .name = "ls",
        .arguments = "[OPTIONS]",
        .summary = "list your functions",
        .examples = "  magpie ls\n"
                    "  magpie ls -q              # names only, for scripts\n"
                    "  magpie ls -o json\n",
        .group = VERB_FUNCTIONS,
        .shared = VERB_SERVER | VERB_SHOWS | VERB_QUIET,
        .run = ls_run,
};
