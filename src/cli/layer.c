/* `magpie layer publish|ls|rm`: what several functions have at /opt. */
#include "base/auto.h"
#include "cli/client.h"
#include "cli/files.h"
#include "cli/human.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/package.h"
#include "cli/problem.h"
#include "cli/text.h"
#include "core/registry/function.h"

#include <locale.h>
#include <string.h>
#include <time.h>

struct upload {
        struct progress progress;
        const char *name;
};

static void layer_on_progress(void *context, uint64_t sent, uint64_t total)
{
        struct upload *upload = context;

        if (total > 0)
                progress_show(&upload->progress, "uploading %s: %u %%", upload->name,
                              (unsigned)(sent * 100 / total));
}

static int layer_show_published(const struct cli *cli, const struct reply *reply)
{
        AUTO(json_free)
        cJSON *layer =
                cJSON_ParseWithLength(reply->body.data ? reply->body.data : "", reply->body.length);
        const char *text = json_text(layer, "layer");
        AUTO(memory_free) char *size = human_bytes(json_number(layer, "bytes"));

        if (cli->quiet) {
                (void)puts(text);
                return CLI_OK;
        }
        say_done("%s is published: %s", text, size);
        if (cli->json)
                print_json(layer);
        else
                (void)puts(text);
        (void)fflush(stdout);
        say_hint("magpie deploy --layer %s", text);
        return CLI_OK;
}

static int layer_send(const struct cli *cli, const char *name, struct slice archive)
{
        AUTO(memory_free) char *path = client_path("/api/v1/layers/%s", name);
        AUTO(client_close) struct client client = {0};
        AUTO(reply_deinit) struct reply reply = {0};
        struct upload upload = {.name = name};
        const struct request request = {.method = "PUT",
                                        .path = path,
                                        .content_type = "application/octet-stream",
                                        .body = archive,
                                        .on_progress = layer_on_progress,
                                        .context = &upload};
        struct err err;
        int exit_code = client_open(&client, cli), r;

        if (exit_code != CLI_OK)
                return exit_code;
        progress_init(&upload.progress, cli->quiet);
        r = client_send(&client, &request, &reply, &err);
        progress_clear(&upload.progress);
        if (r < 0)
                return problem_report_silence(&err);
        if (reply.status != 201)
                return problem_report(&reply, NULL);
        return layer_show_published(cli, &reply);
}

static int layer_pack(const char *path, struct buffer *archive, struct err *err)
{
        AUTO(package_deinit) struct package package = {0};
        int r;

        if (package_is_archive(path))
                return file_read(path, archive, err);
        r = package_collect(path, &package, err);
        return r < 0 ? r : package_pack(&package, archive, err);
}

static int layer_publish(const struct cli *cli, const char *name, const char *path)
{
        AUTO(buffer_deinit) struct buffer archive;
        struct err err;

        buffer_init(&archive, PACKAGE_ZIP_MAX);
        if (name_validate(slice_of(name), &err) < 0) {
                say_error("%s", err.text);
                return CLI_USAGE;
        }
        /* libarchive translates file names by the locale: in "C" it can not. */
        (void)setlocale(LC_CTYPE, "C.UTF-8");
        if (layer_pack(path, &archive, &err) == 0)
                return layer_send(cli, name, buffer_slice(&archive));
        say_error("%s", err.text);
        return CLI_FAILED;
}

static void layer_print(const cJSON *layers)
{
        static const char *const headings[] = {"LAYER", "SIZE", "PUBLISHED", NULL};
        AUTO(listing_deinit) struct listing listing;

        listing_init(&listing, headings);
        for (const cJSON *layer = json_first(layers); layer; layer = layer->next) {
                listing_add(&listing, text_copy(json_text(layer, "layer")));
                listing_add(&listing, human_bytes(json_number(layer, "bytes")));
                listing_add(&listing, human_age(json_text(layer, "createdAt"), time(NULL)));
        }
        listing_print(&listing);
}

static int layer_ls(const struct cli *cli)
{
        const struct request request = {.method = "GET", .path = "/api/v1/layers"};
        AUTO(client_close) struct client client = {0};
        AUTO(json_free) cJSON *layers = NULL;
        const cJSON *layer;
        int exit_code = client_open(&client, cli);

        if (exit_code == CLI_OK)
                exit_code = client_ask_json(&client, &request, NULL, &layers);
        if (exit_code != CLI_OK)
                return exit_code;
        if (cli->quiet) {
                cJSON_ArrayForEach(layer, layers)(void) puts(json_text(layer, "layer"));
        } else if (cli->json) {
                print_json(layers);
        } else if (cJSON_GetArraySize(layers) == 0) {
                say_note("You have no layers yet.");
                say_hint("magpie layer publish NAME FOLDER makes one");
        } else {
                layer_print(layers);
        }
        return CLI_OK;
}

static int layer_rm(const struct cli *cli, const char *text)
{
        AUTO(client_close) struct client client = {0};
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(memory_free) char *path = NULL;
        struct layer_reference layer;
        struct err err;
        int exit_code;

        if (layer_reference_parse(slice_of(text), &layer, &err) < 0 || layer.version == 0)
                return usage_error(&verb_layer, "'%s' is not NAME:VERSION, such as tools:3", text);
        path = text_format("/api/v1/layers/%s/%u", layer.name, (unsigned)layer.version);
        exit_code = client_open(&client, cli);
        if (exit_code == CLI_OK)
                exit_code = client_ask(&client, &(struct request){.method = "DELETE", .path = path},
                                       NULL, &reply);
        if (exit_code == CLI_OK && cli->quiet)
                (void)puts(text);
        else if (exit_code == CLI_OK)
                say_done("%s is removed", text);
        return exit_code;
}

static int layer_run(struct cli *cli, int argc, char **argv)
{
        static const char *const actions[] = {"publish", "ls", "rm", NULL};
        struct arguments arguments;
        const char *action, *nearest;
        int exit_code;

        if (!options_parse(cli, &verb_layer, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        action = arguments.items[0];
        if (strcmp(action, "publish") == 0 && arguments.count >= 2)
                return layer_publish(cli, arguments.items[1],
                                     arguments.count > 2 ? arguments.items[2] : ".");
        if (strcmp(action, "publish") == 0)
                return usage_error(&verb_layer, "which layer? magpie layer publish NAME [PATH]");
        if (strcmp(action, "ls") == 0)
                return arguments.count == 1
                               ? layer_ls(cli)
                               : usage_error(&verb_layer, "'%s' is one too many: magpie layer ls",
                                             arguments.items[1]);
        if (strcmp(action, "rm") == 0 && arguments.count == 2)
                return layer_rm(cli, arguments.items[1]);
        if (strcmp(action, "rm") == 0)
                return usage_error(&verb_layer, "which layer? magpie layer rm NAME:VERSION");
        nearest = text_nearest(action, actions);
        return usage_error(&verb_layer, "'%s' is not publish, ls or rm%s%s%s", action,
                           nearest ? "; did you mean '" : "", nearest ? nearest : "",
                           nearest ? "'?" : "");
}

const struct verb verb_layer = {
        .name = "layer",
        .arguments = "publish NAME [PATH] | ls | rm NAME:VERSION",
        .summary = "publish, list and remove what functions share at /opt",
        .about = "publish  sends a folder, a zip, tar or tar.gz (PATH, else this folder); each "
                 "time a\n"
                 "         new version\n"
                 "ls       lists your layers\n"
                 "rm       removes one version that no function has\n"
                 "\n"
                 "A function finds its layers' files at /opt: programs in bin, libraries in lib,\n"
                 "Python modules in python, Node modules in nodejs/node_modules.",
        .examples = "  pip install -t deps/python requests && magpie layer publish requests deps\n"
                    "  magpie deploy --layer requests\n"
                    "  magpie layer rm requests:1\n",
        .group = VERB_FUNCTIONS,
        .shared = VERB_SERVER | VERB_SHOWS | VERB_QUIET,
        .arguments_min = 1,
        .arguments_max = 3,
        .run = layer_run,
};
