/* `magpie inspect NAME`: everything about one function. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/suggest.h"

#include <time.h>

static void inspect_line(const char *label, char *value)
{
        (void)printf("%s%-13s%s", style_on(stdout, STYLE_DIM), label,
                     style_on(stdout, STYLE_PLAIN));
        print_foreign(stdout, slice_of(value));
        (void)putchar('\n');
        free(value);
}

static void inspect_limits(const cJSON *function)
{
        inspect_line("memory", text_copy(json_text(function, "memory")));
        inspect_line("timeout", text_copy(json_text(function, "timeout")));
        inspect_line("keep-alive", text_copy(json_text(function, "keepAlive")));
        inspect_line("zygote", text_copy(json_text(function, "zygote")));
        inspect_line("concurrency", text_format("%.0f", json_number(function, "concurrency")));
        inspect_line("instances", text_format("%.0f to %.0f", json_number(function, "min"),
                                              json_number(function, "max")));
}

static void inspect_print(const cJSON *function, const char *node_url)
{
        const cJSON *instances = cJSON_GetObjectItemCaseSensitive(function, "instances");
        const cJSON *variables = cJSON_GetObjectItemCaseSensitive(function, "env");
        time_t now = time(NULL);

        inspect_line("name", text_copy(json_text(function, "name")));
        inspect_line("id", text_copy(json_text(function, "functionId")));
        inspect_line("url", text_format("%s%s", node_url, json_text(function, "url")));
        inspect_line("access",
                     text_copy(json_flag(function, "public") ? "public: anybody may call the url"
                                                             : "private: only you may call it"));
        inspect_line("runtime", text_copy(json_text(function, "runtime")));
        inspect_line("handler", text_copy(json_text(function, "handler")));
        inspect_limits(function);
        inspect_line("now",
                     human_instances(json_number(instances, "busy"), json_number(instances, "idle"),
                                     json_number(instances, "frozen"),
                                     json_number(instances, "starting")));
        inspect_line("version", text_format("%.0f", json_number(function, "version")));
        inspect_line("code", human_bytes(json_number(function, "codeBytes")));
        inspect_line("digest", text_copy(json_text(function, "codeDigest")));
        inspect_line("created", human_age(json_text(function, "createdAt"), now));
        inspect_line("updated", human_age(json_text(function, "updatedAt"), now));
        for (const cJSON *variable = json_first(variables); variable; variable = variable->next)
                inspect_line("env",
                             text_format("%s=%s", variable->string,
                                         cJSON_IsString(variable) ? variable->valuestring : ""));
}

static int inspect_run(struct cli *cli, int argc, char **argv)
{
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *function = NULL;
        AUTO(memory_free) char *path = NULL;
        struct arguments arguments;
        int exit_code;

        if (!options_parse(cli, &verb_inspect, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        path = client_path("/api/v1/functions/%s", arguments.items[0]);
        exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code =
                        client_ask_json(&client, &(struct request){.method = "GET", .path = path},
                                        arguments.items[0], &function);
        if (exit_code == CLI_NOT_FOUND)
                suggest_function(&client, arguments.items[0]);
        if (exit_code != CLI_OK)
                return exit_code;
        if (cli->quiet)
                (void)puts(json_text(function, "name"));
        else if (cli->json)
                print_json(function);
        else
                inspect_print(function, client.url);
        return CLI_OK;
}

const struct verb verb_inspect = {
        .name = "inspect",
        .arguments = "NAME [OPTIONS]",
        .summary = "show everything about a function",
        .about = "Shows a function's settings, its url, and its instances now. NAME may be its id.",
        .examples = "  magpie inspect hello\n"
                    "  magpie inspect hello -o json\n",
        .group = VERB_FUNCTIONS,
        .shared = VERB_SERVER | VERB_SHOWS | VERB_QUIET,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = inspect_run,
};
