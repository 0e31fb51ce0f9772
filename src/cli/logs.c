/* `magpie logs NAME`: what a function wrote. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/logview.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/suggest.h"

#define LINES_DEFAULT 100
#define LINES_MAX 10000

/* The node stops, or the function is gone: who follows would else wait for nothing. */
static int logs_say_end(struct client *client, const char *name)
{
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s", name);
        struct err err;

        if (client_send(client, &(struct request){.method = "GET", .path = path}, &reply, &err) ==
                    0 &&
            reply.status == 404) {
                say_error("%s has been deleted: no more of what it writes comes", name);
                return CLI_NOT_FOUND;
        }
        say_error("the node ended the connection: no more of what %s writes comes", name);
        say_hint("magpie logs %s -f goes on when it is there again", name);
        return CLI_FAILED;
}

static int logs_on_data(void *context, struct slice data)
{
        return logview_feed(context, data);
}

static char *logs_path(const char *name, const char *invocation, long lines, bool follow)
{
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s/logs", name);
        AUTO(memory_free)
        char *filter = invocation ? client_path("&invocation=%s", invocation) : text_copy("");

        return text_format("%s?limit=%ld%s%s", path, lines, filter, follow ? "&follow=1" : "");
}

static int logs_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(logview_deinit) struct logview view;
        AUTO(memory_free) char *path = NULL;
        const char *count = NULL, *invocation = NULL;
        long lines = LINES_DEFAULT;
        bool follow = false;
        const struct option options[] = {
                {"follow", 'f', OPTION_FLAG, NULL, "wait for new lines and show them as they come",
                 &follow},
                {"lines", 'n', OPTION_TEXT, "N", "how many lines at most, the newest ones (100)",
                 &count},
                {"invocation", 'i', OPTION_TEXT, "ID", "only what this invocation wrote",
                 &invocation},
                {0},
        };
        struct arguments arguments;
        int exit_code;

        logview_init(&view, stdout, false);
        if (!options_parse(cli, &verb_logs, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        if (count && (!number_parse(count, LINES_MAX, &lines) || lines == 0))
                return usage_error(&verb_logs, "-n takes a number from 1 to %d, not '%s'",
                                   LINES_MAX, count);
        if (count && follow)
                return usage_error(&verb_logs, "-n counts lines that are there, -f waits for new "
                                               "ones: one or the other");
        view.json = cli->json;
        path = logs_path(arguments.items[0], invocation, lines, follow);
        exit_code = client_open(&client, cli);
        if (exit_code != CLI_OK)
                return exit_code;
        exit_code = client_ask(&client,
                               &(struct request){.method = "GET",
                                                 .path = path,
                                                 .on_data = follow ? logs_on_data : NULL,
                                                 .context = &view},
                               arguments.items[0], &reply);
        if (exit_code == CLI_NOT_FOUND)
                suggest_function(&client, arguments.items[0]);
        if (exit_code != CLI_OK)
                return exit_code;
        if (follow)
                return logs_say_end(&client, arguments.items[0]);
        logview_print_calls(&view, buffer_slice(&reply.body));
        if (reply.body.length == 0 && !view.json)
                say_note("%s has written nothing%s", arguments.items[0],
                         invocation ? " in that invocation" : "");
        return exit_code;
}

const struct verb verb_logs = {
        .name = "logs",
        .arguments = "NAME [OPTIONS]",
        .summary = "show what a function wrote",
        .about = "Shows what a function wrote to stdout and stderr, and what the platform has to\n"
                 "say about it: the newest call first, of each its lines as they were written; "
                 "with\n"
                 "-f the new lines as they come.",
        .examples = "  magpie logs hello\n"
                    "  magpie logs hello -f\n"
                    "  magpie logs hello -n 5 -o json\n",
        .group = VERB_START,
        .shared = VERB_SERVER | VERB_SHOWS,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = logs_run,
};
