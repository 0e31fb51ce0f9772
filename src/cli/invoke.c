/* `magpie invoke NAME`: call a function, print its raw result. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/logview.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct invoke {
        const char *name;
        struct request request;
        int payload_fd; /* owned unless it is stdin */
        bool wrote;
        char last; /* byte written */
};

static void invoke_deinit(struct invoke *invoke)
{
        if (invoke->payload_fd > STDERR_FILENO)
                fd_close(&invoke->payload_fd);
}

/* The result goes out as it comes in: it may be binary, large, or slow. */
static int invoke_on_data(void *context, struct slice data)
{
        struct invoke *invoke = context;

        if (data.length == 0)
                return 0;
        invoke->wrote = true;
        invoke->last = data.data[data.length - 1];
        if (fwrite(data.data, 1, data.length, stdout) != data.length || fflush(stdout) != 0)
                return errno ? -errno : -EIO;
        return 0;
}

static int invoke_open_payload(const char *path, int *ret_fd)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat info;

        if (fd < 0 || fstat(fd, &info) < 0) {
                say_error("cannot open '%s': %s", path, strerror(errno));
                return CLI_USAGE;
        }
        if (S_ISDIR(info.st_mode)) { /* which can be opened, but not read */
                say_error("cannot read '%s': %s", path, strerror(EISDIR));
                return CLI_USAGE;
        }
        *ret_fd = fd_steal(&fd);
        return CLI_OK;
}

/* -d TEXT, -d @FILE, -d - (stdin); nothing is an empty payload. */
static int invoke_set_payload(struct invoke *invoke, const char *data)
{
        struct request *request = &invoke->request;

        request->content_type = "application/octet-stream";
        if (!data)
                return CLI_OK;
        if (strcmp(data, "-") == 0) {
                invoke->payload_fd = STDIN_FILENO;
        } else if (*data == '@') {
                if (invoke_open_payload(data + 1, &invoke->payload_fd) != CLI_OK)
                        return CLI_USAGE;
        } else {
                request->body = slice_of(data);
                return CLI_OK;
        }
        request->has_body_fd = true;
        request->body_fd = invoke->payload_fd;
        return CLI_OK;
}

static void invoke_show_logs(struct client *client, const char *name, const char *invocation)
{
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(logview_deinit) struct logview view;
        AUTO(memory_free) char *start = client_path("/api/v1/functions/%s/logs", name);
        AUTO(memory_free) char *end = client_path("?limit=10000&invocation=%s", invocation);
        AUTO(memory_free) char *path = text_format("%s%s", start, end);

        logview_init(&view, stderr, false);
        if (client_ask(client, &(struct request){.method = "GET", .path = path}, NULL, &reply) ==
            CLI_OK)
                logview_print_reversed(&view, buffer_slice(&reply.body));
}

/* For the person who watches: the result's line ends, and how the call went. */
static void invoke_show_end(const struct invoke *invoke, const struct reply *reply, bool quiet)
{
        if (invoke->wrote && invoke->last != '\n' && isatty(STDOUT_FILENO))
                (void)putchar('\n');
        (void)fflush(stdout);
        if (!quiet && output_is_lively(stderr) && reply->status < 400 && *reply->start)
                (void)fprintf(stderr, "%s%s start, %.1f ms, invocation %s%s\n",
                              style_on(stderr, STYLE_DIM), reply->start, reply->elapsed_ms,
                              reply->invocation_id, style_on(stderr, STYLE_PLAIN));
}

/* The function answered, and its answer is an error status of its own choice. */
static int invoke_own_error(const struct reply *reply)
{
        say_error("the function answered with status %d", reply->status);
        return CLI_FUNCTION_FAILED;
}

/* Why cannot be told from here: what ends an answer that has begun has no status any more. */
static int invoke_broke_off(const struct invoke *invoke, const struct reply *reply)
{
        say_error("the function's answer broke off");
        problem_hint_logs(invoke->name, reply->invocation_id);
        return CLI_FUNCTION_FAILED;
}

static int invoke_call(struct client *client, struct invoke *invoke, bool quiet, bool logs)
{
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(memory_free) char *path = client_path("/api/v1/functions/execute/%s", invoke->name);
        struct err err;
        int exit_code = CLI_OK;

        invoke->request.method = "POST";
        invoke->request.path = path;
        invoke->request.on_data = invoke_on_data;
        invoke->request.context = invoke;
        if (client_send(client, &invoke->request, &reply, &err) < 0 &&
            !(reply.broke_off && *reply.invocation_id))
                return problem_report_silence(&err);
        invoke_show_end(invoke, &reply, quiet);
        if (reply.broke_off)
                exit_code = invoke_broke_off(invoke, &reply);
        else if (reply.is_problem)
                exit_code = problem_report(&reply, invoke->name);
        else if (reply.status >= 400)
                exit_code = invoke_own_error(&reply);
        if (exit_code == CLI_NOT_FOUND)
                suggest_function(client, invoke->name);
        if (logs && *reply.invocation_id)
                invoke_show_logs(client, invoke->name, reply.invocation_id);
        return exit_code;
}

static int invoke_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        AUTO(invoke_deinit) struct invoke invoke = {.payload_fd = -1};
        const char *data = NULL;
        bool logs = false;
        const struct option options[] = {
                {"data", 'd', OPTION_TEXT, "TEXT", "the payload: TEXT, @FILE, or - for the input",
                 &data},
                {"logs", 'l', OPTION_FLAG, NULL, "show afterwards what the function wrote", &logs},
                {0},
        };
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_invoke, options, argc, argv, &arguments, &exit_code))
                return exit_code;
        invoke.name = arguments.items[0];
        exit_code = invoke_set_payload(&invoke, data);
        if (exit_code == CLI_OK)
                exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code = invoke_call(&client, &invoke, cli->quiet, logs);
        return exit_code;
}

const struct verb verb_invoke = {
        .name = "invoke",
        .arguments = "NAME [OPTIONS]",
        .summary = "call a function and print its result",
        .about = "Calls a function and prints its result as it is. NAME may be its id.\n"
                 "Exit code: 0 it answered, 5 it failed or its answer broke off, 124 it took too\n"
                 "long to begin one, 3 there is none.",
        .examples = "  magpie invoke hello -d '{\"name\": \"you\"}'\n"
                    "  magpie invoke resize -d @photo.jpg > small.jpg\n"
                    "  date | magpie invoke hello -d - --logs\n",
        .group = VERB_START,
        .shared = VERB_SERVER | VERB_QUIET,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = invoke_run,
};
