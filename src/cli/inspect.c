/* `magpie inspect NAME`: everything about one function. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/problem.h"
#include "cli/suggest.h"

#include <string.h>
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

static void inspect_network(const cJSON *function)
{
        const cJSON *reach = cJSON_GetObjectItemCaseSensitive(function, "reach");

        inspect_line("network", text_copy(json_text(function, "network")));
        for (const cJSON *name = json_first(reach); name; name = name->next)
                inspect_line("reach", text_copy(cJSON_IsString(name) ? name->valuestring : ""));
}

/* The words as a shell would take them, more or less: a person reads them. */
static char *inspect_command(const cJSON *words)
{
        char *line = text_copy("");

        for (const cJSON *word = json_first(words); word; word = word->next) {
                const char *text = cJSON_IsString(word) ? word->valuestring : "";
                const char *quote = *text == '\0' || strpbrk(text, " \t\n'\"\\$") ? "'" : "";
                char *longer =
                        text_format("%s%s%s%s%s", line, *line ? " " : "", quote, text, quote);
                free(line);
                line = longer;
        }
        return line;
}

static void inspect_image(const cJSON *function)
{
        const char *contract = json_text(function, "contract");

        inspect_line("image", text_copy(json_text(function, "image")));
        inspect_line("contract",
                     strcmp(contract, "http") == 0
                             ? text_format("http, port %.0f", json_number(function, "port"))
                             : text_copy(contract));
        inspect_line("command",
                     inspect_command(cJSON_GetObjectItemCaseSensitive(function, "command")));
        inspect_line("directory", text_copy(json_text(function, "directory")));
        inspect_line("user", text_copy(json_text(function, "user")));
}

static char *inspect_ms(const cJSON *phases, const char *name)
{
        double ms = json_number(phases, name);

        return ms > 0 ? text_format("%.*f ms", ms < 10 ? 2 : 1, ms) : text_copy("-");
}

/* What the last cold start was made of, and what they are made of on the average. */
static void inspect_phases(const cJSON *last, const cJSON *mean)
{
        static const struct {
                const char *name, *shown;
        } phases[] = {
                {"total", "until loaded"},
                {"sandbox", "  sandbox"},
                {"stock", "    from stock"},
                {"cgroup", "    cgroup"},
                {"namespaces", "    namespaces"},
                {"mounts", "    mounts"},
                {"confine", "    confine"},
                {"exec", "    exec"},
                {"load", "  load"},
                {"interpreter", "    interpreter"},
                {"import", "    import"},
                {"first_byte", "  first byte"},
        };
        AUTO(memory_free) char *heading = text_format("MEAN OF %.0f", json_number(mean, "of"));
        const char *const headings[] = {"COLD START", "LAST", heading, NULL};
        const cJSON *of_last = cJSON_GetObjectItemCaseSensitive(last, "phases");
        const cJSON *of_mean = cJSON_GetObjectItemCaseSensitive(mean, "phases");
        AUTO(listing_deinit) struct listing listing;

        listing_init(&listing, headings);
        for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
                if (json_number(of_last, phases[i].name) <= 0 &&
                    json_number(of_mean, phases[i].name) <= 0)
                        continue;
                listing_add(&listing, text_copy(phases[i].shown));
                listing_add(&listing, inspect_ms(of_last, phases[i].name));
                listing_add(&listing, inspect_ms(of_mean, phases[i].name));
        }
        (void)putchar('\n');
        listing_print(&listing);
}

static char *inspect_cold_starts(const cJSON *cold_starts, const cJSON *last, time_t now)
{
        const char *from = json_text(last, "from");
        AUTO(memory_free) char *age = human_age(json_text(last, "at"), now);

        if (!last)
                return text_copy("none of this version yet");
        return text_format("%.0f of this version; the last %s, %s",
                           json_number(cold_starts, "count"), age,
                           strcmp(from, "interpreter") == 0 ? "by an interpreter that waited"
                           : strcmp(from, "sandbox") == 0   ? "in a sandbox that waited"
                                                            : "all made on request");
}

static void inspect_print(const cJSON *function, const char *node_url)
{
        const cJSON *instances = cJSON_GetObjectItemCaseSensitive(function, "instances");
        const cJSON *layers = cJSON_GetObjectItemCaseSensitive(function, "layers");
        const cJSON *variables = cJSON_GetObjectItemCaseSensitive(function, "env");
        const cJSON *cold = cJSON_GetObjectItemCaseSensitive(function, "coldStarts");
        const cJSON *last = cJSON_GetObjectItemCaseSensitive(cold, "last");
        time_t now = time(NULL);

        inspect_line("name", text_copy(json_text(function, "name")));
        inspect_line("id", text_copy(json_text(function, "functionId")));
        inspect_line("url", text_format("%s%s", node_url, json_text(function, "url")));
        inspect_line("access",
                     text_copy(json_flag(function, "public") ? "public: anybody may call the url"
                                                             : "private: only you may call it"));
        inspect_line("runtime", text_copy(json_text(function, "runtime")));
        if (*json_text(function, "image"))
                inspect_image(function);
        else
                inspect_line("handler", text_copy(json_text(function, "handler")));
        inspect_limits(function);
        inspect_network(function);
        inspect_line("now",
                     human_instances(json_number(instances, "busy"), json_number(instances, "idle"),
                                     json_number(instances, "frozen"),
                                     json_number(instances, "starting")));
        inspect_line("cold starts", inspect_cold_starts(cold, last, now));
        inspect_line("version", text_format("%.0f", json_number(function, "version")));
        inspect_line("code", human_bytes(json_number(function, "codeBytes")));
        inspect_line("digest", text_copy(json_text(function, "codeDigest")));
        for (const cJSON *layer = json_first(layers); layer; layer = layer->next)
                inspect_line("layer", text_copy(cJSON_IsString(layer) ? layer->valuestring : ""));
        inspect_line("created", human_age(json_text(function, "createdAt"), now));
        inspect_line("updated", human_age(json_text(function, "updatedAt"), now));
        for (const cJSON *variable = json_first(variables); variable; variable = variable->next)
                inspect_line("env",
                             text_format("%s=%s", variable->string,
                                         cJSON_IsString(variable) ? variable->valuestring : ""));
        if (last)
                inspect_phases(last, cJSON_GetObjectItemCaseSensitive(cold, "mean"));
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
        if (problem_report_reserved(arguments.items[0]))
                return CLI_NOT_FOUND;
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
        .about = "Shows a function's settings, its url, its instances now, and where the time of "
                 "its\n"
                 "cold starts went. NAME may be its id.",
        .examples = "  magpie inspect hello\n"
                    "  magpie inspect hello -o json\n",
        .group = VERB_FUNCTIONS,
        .shared = VERB_SERVER | VERB_SHOWS | VERB_QUIET,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = inspect_run,
};
