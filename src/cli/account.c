/* E-mail address and password to a node; see account.h. */
#include "cli/account.h"

#include "base/auto.h"
#include "cli/output.h"
#include "cli/password.h"

#include <string.h>
#include <unistd.h>

#define TAKEN "if it is yours: magpie login --email YOU"
#define UNKNOWN "no account yet: magpie user create --email YOU"

static int ask_password(bool twice, char **ret_password)
{
        AUTO(password_free) char *password = NULL, *again = NULL;
        struct err err;

        if (password_read("password", &password, &err) < 0) {
                say_error("%s", err.text);
                return CLI_USAGE;
        }
        if (twice && isatty(STDIN_FILENO)) {
                if (password_read("and again", &again, &err) < 0) {
                        say_error("%s", err.text);
                        return CLI_USAGE;
                }
                if (strcmp(password, again) != 0) {
                        say_error("the two passwords differ");
                        return CLI_USAGE;
                }
        }
        *ret_password = memory_steal(&password);
        return CLI_OK;
}

int account_send(struct client *client, const char *path, const char *email, bool twice,
                 cJSON **ret_answer)
{
        AUTO(password_free) char *password = NULL, *body = NULL;
        AUTO(json_free) cJSON *fields = cJSON_CreateObject();
        int exit_code = ask_password(twice, &password);

        if (exit_code != CLI_OK)
                return exit_code;
        (void)cJSON_AddStringToObject(fields, "email", email);
        (void)cJSON_AddStringToObject(fields, "password", password);
        body = cJSON_PrintUnformatted(fields);
        if (!body) {
                say_error("out of memory");
                return CLI_FAILED;
        }
        /* A token that has run out must not stand in the way of getting a new one. */
        free(client->token);
        client->token = NULL;
        return client_ask_json(client,
                               &(struct request){.method = "POST",
                                                 .path = path,
                                                 .content_type = "application/json",
                                                 .body = slice_of(body),
                                                 .remedy = twice ? TAKEN : UNKNOWN},
                               NULL, ret_answer);
}
