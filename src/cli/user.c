/* `magpie user create|me|delete`: the account itself. */
#include "base/auto.h"
#include "cli/account.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/output.h"

#include <string.h>
#include <unistd.h>

#define ANSWER_MAX 16

static int user_create(const struct cli *cli, const char *email)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *answer = NULL;
        int exit_code;

        if (!email)
                return usage_error(&verb_user, "whose account? magpie user create --email ADDRESS");
        exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code = account_send(&client, "/api/v1/users", email, true, &answer);
        if (exit_code != CLI_OK)
                return exit_code;
        say_done("%s has an account at %s", email, client.url);
        say_hint("magpie login --email %s", email);
        return CLI_OK;
}

static int user_fetch(struct client *client, cJSON **ret_user)
{
        return client_ask_json(client,
                               &(struct request){.method = "GET", .path = "/api/v1/users/me"}, NULL,
                               ret_user);
}

static int user_me(const struct cli *cli)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *user = NULL;
        int exit_code = client_open(&client, cli);

        if (exit_code == CLI_OK)
                exit_code = user_fetch(&client, &user);
        if (exit_code != CLI_OK)
                return exit_code;
        if (cli->json)
                print_json(user);
        else
                (void)puts(json_text(user, "email"));
        return CLI_OK;
}

/* Deleting cannot be undone: a person confirms, a script says --yes. */
static bool user_confirms(const char *email)
{
        char answer[ANSWER_MAX] = "";

        if (!isatty(STDIN_FILENO)) {
                say_error("this deletes %s and all its functions for good", email);
                say_hint("say so: magpie user delete --yes");
                return false;
        }
        (void)fprintf(stderr, "Delete %s and all its functions for good? [y/N] ", email);
        return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static int user_delete(const struct cli *cli, bool confirmed)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *user = NULL;
        AUTO(reply_deinit) struct reply reply = {0};
        struct err err;
        int exit_code = client_open(&client, cli);

        if (exit_code == CLI_OK)
                exit_code = user_fetch(&client, &user);
        if (exit_code != CLI_OK)
                return exit_code;
        if (!confirmed && !user_confirms(json_text(user, "email")))
                return CLI_FAILED;
        exit_code = client_ask(&client,
                               &(struct request){.method = "DELETE", .path = "/api/v1/users/me"},
                               NULL, &reply);
        if (exit_code != CLI_OK)
                return exit_code;
        /* What `login` kept is another account's where the token came from elsewhere. */
        if (!client.token_is_given && config_forget_token(client.url, &err) < 0)
                say_note("%s", err.text); /* the account is gone all the same */
        say_done("%s is deleted", json_text(user, "email"));
        return CLI_OK;
}

static int user_run(struct cli *cli, int argc, char **argv)
{
        static const char *const actions[] = {"create", "me", "delete", NULL};
        const char *email = NULL, *action, *nearest;
        bool confirmed = false;
        const struct option options[] = {
                {"email", 'e', OPTION_TEXT, "ADDRESS", "create: the new account's address", &email},
                {"yes", 'y', OPTION_FLAG, NULL, "delete: do not ask", &confirmed},
                {0},
        };
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_user, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        action = arguments.items[0];
        if (strcmp(action, "create") == 0)
                return user_create(cli, email);
        if (strcmp(action, "me") == 0)
                return user_me(cli);
        if (strcmp(action, "delete") == 0)
                return user_delete(cli, confirmed);
        nearest = text_nearest(action, actions);
        return usage_error(&verb_user, "'%s' is not create, me or delete%s%s%s", action,
                           nearest ? "; did you mean '" : "", nearest ? nearest : "",
                           nearest ? "'?" : "");
}

const struct verb verb_user = {
        .name = "user",
        .arguments = "create|me|delete [OPTIONS]",
        .summary = "make an account, see who you are, delete yourself",
        .about = "create  makes an account (the password is asked for; off a terminal it is the "
                 "first line of the input)\n"
                 "me      shows whom the node takes you for\n"
                 "delete  deletes your account, its tokens and all its functions",
        .examples = "  magpie user create --email you@example.org\n"
                    "  magpie user me\n",
        .group = VERB_ACCOUNT,
        .shared = VERB_SERVER | VERB_SHOWS,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = user_run,
};
