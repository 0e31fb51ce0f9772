/* `magpie login [URL] --email E`: keep a token for a node. */
#include "base/auto.h"
#include "cli/account.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

#include <string.h>

/* What a bare `magpie ls` would talk to is not the node that was just logged in to. */
static bool needs_naming(const char *url)
{
        AUTO(memory_free) char *usual = NULL;
        struct cli bare = {0};

        return target_url(&bare, &usual, NULL) < 0 || strcmp(usual, url) != 0;
}

static int login_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *answer = NULL;
        const char *email = NULL;
        const struct option options[] = {
                {"email", 'e', OPTION_TEXT, "ADDRESS", "your account's e-mail address", &email},
                {0},
        };
        struct arguments arguments;
        struct err err;
        int exit_code;

        if (!options_parse(cli, &verb_login, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        if (!email)
                return usage_error(&verb_login,
                                   "who are you? magpie login --email YOU@EXAMPLE.ORG");
        if (arguments.count == 1)
                cli->server = arguments.items[0];
        exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code = account_send(&client, "/api/v1/users/login", email, false, &answer);
        if (exit_code != CLI_OK)
                return exit_code;

        if (config_keep_token(client.url, email, json_text(answer, "token"), &err) < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        say_done("you are %s at %s", email, client.url);
        if (client.token_is_given) {
                say_note("MAGPIE_TOKEN is set, and counts before what was kept now");
                say_hint("unset MAGPIE_TOKEN");
        }
        if (needs_naming(client.url))
                say_hint("export MAGPIE_URL=%s to talk to it without --server", client.url);
        return CLI_OK;
}

const struct verb verb_login = {
        .name = "login",
        .arguments = "[URL] --email ADDRESS [OPTIONS]",
        .summary = "log in to a node and keep its token",
        .about = "Asks for your password, and keeps the node's token for you in "
                 "~/.config/magpie/tokens.json.\n"
                 "Where the input is no terminal, its first line is the password.",
        .examples = "  magpie login --email you@example.org\n"
                    "  magpie login https://faas.example.org --email you@example.org\n"
                    "  magpie login --email ci@example.org < password.txt\n",
        .group = VERB_ACCOUNT,
        .shared = VERB_SERVER,
        .arguments_max = 1,
        .run = login_run,
};
