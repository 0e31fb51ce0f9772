/* `magpie deploy [PATH]`: code and settings to a node; see deploy.h. */
#include "cli/deploy.h"

#include "base/auto.h"
#include "cli/guess.h"
#include "cli/human.h"
#include "cli/options.h"

#include <errno.h>
#include <libgen.h>
#include <locale.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What the flags said; the key is the one of function.yaml. */
struct deploy_flags {
        const char *name, *runtime, *handler, *memory, *timeout, *keep_alive, *concurrency, *min,
                *max, *zygote, *image, *contract, *port, *network;
        struct text_list env, layers, reach;
        bool is_public, is_private, dry_run;
};

static void deploy_deinit(struct deploy *deploy)
{
        manifest_deinit(&deploy->manifest);
        package_deinit(&deploy->package);
        buffer_deinit(&deploy->zip);
        client_close(&deploy->client);
        client_close(&deploy->watcher);
}

/* The folder that holds the code. The caller frees. */
static char *deploy_folder(const struct deploy *deploy)
{
        AUTO(memory_free) char *copy = text_copy(deploy->path);
        struct stat info;

        if (stat(deploy->path, &info) == 0 && S_ISDIR(info.st_mode))
                return text_copy(deploy->path);
        return text_copy(dirname(copy));
}

/* A function.yaml inside of a zip. -ENOENT where there is none. */
static int deploy_read_packed_manifest(struct deploy *deploy, struct err *err)
{
        AUTO(package_deinit) struct package package = {0};
        AUTO(buffer_deinit) struct buffer text;
        const struct package_file *file;
        int r;

        buffer_init(&text, MANIFEST_MAX + 1);
        r = package_collect(deploy->path, &package, err);
        if (r < 0)
                return r;
        file = package_find(&package, MANIFEST_FILE);
        if (!file)
                return -ENOENT;
        r = package_peek(&package, file, &text, err);
        if (r == 0)
                r = manifest_parse(&deploy->manifest, buffer_slice(&text), err);
        if (r < 0)
                (void)err_prefix(err, "%s in '%s'", MANIFEST_FILE, deploy->path);
        return r;
}

static int deploy_read_manifest(struct deploy *deploy, struct err *err)
{
        AUTO(memory_free) char *folder = deploy_folder(deploy);
        AUTO(memory_free) char *path = text_format("%s/%s", folder, MANIFEST_FILE);
        int r = -ENOENT;

        if (package_is_zip(deploy->path))
                r = deploy_read_packed_manifest(deploy, err);
        if (r == -ENOENT)
                r = manifest_read(&deploy->manifest, path, err);
        return r == -ENOENT ? 0 : r;
}

static int deploy_apply_flags(struct manifest *manifest, const struct deploy_flags *flags,
                              struct err *err)
{
        const struct {
                const char *key, *value;
        } settings[] = {
                {"name", flags->name},
                {"runtime", flags->runtime},
                {"handler", flags->handler},
                {"memory", flags->memory},
                {"timeout", flags->timeout},
                {"keepAlive", flags->keep_alive},
                {"concurrency", flags->concurrency},
                {"min", flags->min},
                {"max", flags->max},
                {"zygote", flags->zygote},
                {"image", flags->image},
                {"contract", flags->contract},
                {"port", flags->port},
                {"network", flags->network},
                {"public", flags->is_public    ? "true"
                           : flags->is_private ? "false"
                                               : NULL},
        };
        int r = 0;

        for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) && r == 0; i++)
                if (settings[i].value)
                        r = manifest_set(manifest, settings[i].key, settings[i].value, err);
        for (size_t i = 0; i < flags->env.count && r == 0; i++)
                r = manifest_set_env(manifest, flags->env.items[i], err);
        /* Said here, they are all there are: which of the file's would they come behind? */
        if (flags->layers.count > 0)
                text_list_deinit(&manifest->layers);
        for (size_t i = 0; i < flags->layers.count && r == 0; i++)
                r = manifest_add_layer(manifest, flags->layers.items[i], err);
        if (flags->reach.count > 0)
                manifest_clear_reach(manifest);
        for (size_t i = 0; i < flags->reach.count && r == 0; i++)
                r = manifest_add_reach(manifest, flags->reach.items[i], err);
        if (r == 0 && manifest->max >= 0 && manifest->min > manifest->max)
                r = err_set(err, -EINVAL, "min %ld is more than max %ld", manifest->min,
                            manifest->max);
        return r;
}

/* Runs `build:` where the code lies; a zip has been built already. What it prints is for the person,
 * not for a pipe. */
static int deploy_build(const struct deploy *deploy, struct err *err)
{
        static char shell[] = "sh", option[] = "-c";
        AUTO(memory_free) char *folder = deploy_folder(deploy);
        char *arguments[] = {shell, option, deploy->manifest.build, NULL};
        posix_spawn_file_actions_t actions;
        int status = 0, r;
        pid_t pid;

        if (!deploy->manifest.build || package_is_zip(deploy->path))
                return 0;
        if (!deploy->cli->quiet)
                say_note("building: %s", deploy->manifest.build);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return err_set(err, -ENOMEM, "out of memory");
        r = posix_spawn_file_actions_addchdir_np(&actions, folder);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(&pid, "/bin/sh", &actions, NULL, arguments, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return err_errno(err, -r, "cannot run the build command");
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return err_set(err, -EIO, "the build failed with %s %d: %s",
                       WIFEXITED(status) ? "exit status" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                       deploy->manifest.build);
}

static int deploy_pack(struct deploy *deploy, struct err *err)
{
        int r;

        progress_show(&deploy->progress, "packing %s ...", deploy->manifest.name);
        buffer_init(&deploy->zip, PACKAGE_ZIP_MAX);
        r = package_pack(&deploy->package, &deploy->zip, err);
        progress_clear(&deploy->progress);
        return r;
}

/* Everything up to the packed code. */
static int deploy_prepare(struct deploy *deploy, const struct deploy_flags *flags)
{
        bool is_unsaid = false; /* what cannot be told from the code either */
        struct err err;
        int r = deploy_read_manifest(deploy, &err);

        if (r == 0)
                r = deploy_apply_flags(&deploy->manifest, flags, &err);
        if (r < 0) {
                say_error("%s", err.text);
                return r == -EINVAL ? CLI_USAGE : CLI_FAILED;
        }
        if (deploy->manifest.image) {
                r = deploy_image_prepare(deploy, &err);
                if (r < 0)
                        say_error("%s", err.text);
                return r < 0 ? CLI_USAGE : CLI_OK;
        }
        r = deploy_build(deploy, &err);
        if (r == 0)
                r = package_collect(deploy->path, &deploy->package, &err);
        if (r == 0) {
                r = guess_fill(&deploy->manifest, &deploy->package, deploy->cli->quiet, &err);
                is_unsaid = r == -EINVAL;
        }
        if (r == 0)
                r = deploy_pack(deploy, &err);
        if (r < 0)
                say_error("%s", err.text);
        if (r == -ENOENT)
                say_hint("magpie new NAME makes a folder with a function that works");
        return r == 0 ? CLI_OK : is_unsaid ? CLI_USAGE : CLI_FAILED;
}

/* --dry-run: the settings as they would be sent, and the files. */
static void deploy_show_plan(const struct deploy *deploy)
{
        AUTO(json_free) cJSON *plan = manifest_to_json(&deploy->manifest);
        cJSON *files;

        if (deploy->manifest.image) {
                print_json(plan);
                return;
        }
        files = cJSON_AddArrayToObject(plan, "files");
        for (size_t i = 0; i < deploy->package.count; i++)
                (void)cJSON_AddItemToArray(files,
                                           cJSON_CreateString(deploy->package.files[i].name));
        (void)cJSON_AddNumberToObject(plan, "packedBytes", (double)deploy->zip.length);
        print_json(plan);
}

/* The command that deploys the same thing once more, from where this one was given. The caller frees. */
static char *deploy_command(const struct deploy *deploy, const struct deploy_flags *flags)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "/._-+@:,=";
        const char *path = strcmp(deploy->path, ".") == 0 ? "" : deploy->path;
        const char *quote = path[strspn(path, plain)] ? "'" : "";

        return text_format("magpie deploy%s%s%s%s%s%s%s%s", *path ? " " : "", quote, path, quote,
                           flags->image ? " --image " : "", flags->image ? flags->image : "",
                           flags->name ? " --name " : "", flags->name ? flags->name : "");
}

static void deploy_show_result(const struct deploy *deploy, const struct deploy_flags *flags,
                               const cJSON *function)
{
        AUTO(memory_free) char *again = deploy_command(deploy, flags);
        const char *name = json_text(function, "name");
        const char *handler = json_text(function, deploy->manifest.image ? "contract" : "handler");

        if (deploy->cli->quiet) {
                (void)puts(name);
                return;
        }
        say_done("%s is deployed: version %.0f, %s%s%s, %s%s", name,
                 json_number(function, "version"), json_text(function, "runtime"),
                 *handler ? " " : "", handler, json_text(function, "memory"),
                 json_flag(function, "public") ? ", public" : "");
        if (deploy->cli->json)
                print_json(function);
        else
                (void)printf("%s%s\n", deploy->client.url, json_text(function, "url"));
        (void)fflush(stdout);
        if (json_number(function, "version") > 1)
                return;
        say_hint("magpie invoke %s -d '{\"name\": \"you\"}'", name);
        if (!json_flag(function, "public"))
                say_hint("the url answers you alone; %s --public opens it to everybody", again);
}

static int deploy_all(struct deploy *deploy, const struct deploy_flags *flags)
{
        AUTO(json_free) cJSON *function = NULL;
        int exit_code = deploy_prepare(deploy, flags);

        if (exit_code != CLI_OK)
                return exit_code;
        if (flags->dry_run) {
                deploy_show_plan(deploy);
                return CLI_OK;
        }
        exit_code = client_open(&deploy->client, deploy->cli);
        if (exit_code == CLI_OK && deploy->manifest.image)
                exit_code = client_open(&deploy->watcher, deploy->cli);
        if (exit_code == CLI_OK)
                exit_code = deploy_send(deploy, &function);
        if (exit_code == CLI_OK)
                deploy_show_result(deploy, flags, function);
        return exit_code;
}

static int deploy_as_told(struct deploy *deploy, const struct deploy_flags *flags,
                          const struct arguments *arguments)
{
        /* libarchive translates file names by the locale: in "C" it can not. */
        (void)setlocale(LC_CTYPE, "C.UTF-8");
        progress_init(&deploy->progress, deploy->cli->quiet);
        if (arguments->count == 1)
                deploy->path = arguments->items[0];
        if (flags->is_public && flags->is_private)
                return usage_error(&verb_deploy, "--public or --private, not both");
        return deploy_all(deploy, flags);
}

static int deploy_run(struct cli *cli, int argc, char **argv)
{
        struct deploy_flags flags = {0};
        const struct option options[] = {
                {"name", 0, OPTION_TEXT, "NAME", "what it is called (else the folder's name)",
                 &flags.name},
                {"runtime", 0, OPTION_TEXT, "RUNTIME",
                 "python3, node, native or exec (else from the code)", &flags.runtime},
                {"handler", 0, OPTION_TEXT, "FILE.FUNCTION",
                 "what to call; for native and exec the program's path", &flags.handler},
                {"memory", 0, OPTION_TEXT, "SIZE", "most memory of an instance (new: 128MiB)",
                 &flags.memory},
                {"timeout", 0, OPTION_TEXT, "TIME", "longest a call may take (new: 30s)",
                 &flags.timeout},
                {"env", 0, OPTION_LIST, "NAME=VALUE", "an environment variable; may be repeated",
                 &flags.env},
                {"concurrency", 0, OPTION_TEXT, "N", "calls an instance may hold at once (new: 1)",
                 &flags.concurrency},
                {"min", 0, OPTION_TEXT, "N", "instances to keep ready (new: 0)", &flags.min},
                {"max", 0, OPTION_TEXT, "N", "most instances at once (new: 1000)", &flags.max},
                {"keep-alive", 0, OPTION_TEXT, "TIME",
                 "how long an idle instance is kept (new: 10m); 0s: not at all; auto: learned",
                 &flags.keep_alive},
                {"zygote", 0, OPTION_TEXT, "auto|off",
                 "off: each interpreter is started plainly, not forked (new: auto)", &flags.zygote},
                {"image", 0, OPTION_TEXT, "REF", "a container image instead of code", &flags.image},
                {"contract", 0, OPTION_TEXT, "exec|http|lambda",
                 "how the image's program is asked (guessed from the image)", &flags.contract},
                {"port", 0, OPTION_TEXT, "N", "contract http: where it listens (new: 8080)",
                 &flags.port},
                {"network", 0, OPTION_TEXT, "none|egress",
                 "egress: it may reach the outside (new: none)", &flags.network},
                {"reach", 0, OPTION_LIST, "NAME",
                 "with egress: private addresses that the server calls so; may be repeated",
                 &flags.reach},
                {"layer", 0, OPTION_LIST, "NAME[:VERSION]", "a layer at /opt", &flags.layers},
                {"public", 0, OPTION_FLAG, NULL, "anybody may call the function's url",
                 &flags.is_public},
                {"private", 0, OPTION_FLAG, NULL, "only you may call it (new: so it is)",
                 &flags.is_private},
                {"dry-run", 0, OPTION_FLAG, NULL, "show what would be sent, and send nothing",
                 &flags.dry_run},
                {0},
        };
        AUTO(deploy_deinit) struct deploy deploy = {.cli = cli, .path = "."};
        struct arguments arguments;
        int exit_code;

        manifest_init(&deploy.manifest);
        if (options_parse(cli, &verb_deploy, options, argc, argv, &arguments, &exit_code))
                exit_code = deploy_as_told(&deploy, &flags, &arguments);
        text_list_deinit(&flags.env);
        text_list_deinit(&flags.layers);
        text_list_deinit(&flags.reach);
        return exit_code;
}

const struct verb verb_deploy = {
        .name = "deploy",
        .arguments = "[PATH] [OPTIONS]",
        .summary = "ship a function, or a new version of it",
        .about = "Packs a folder, a file or a zip (PATH, else this folder), sends it to the node,\n"
                 "which checks that it starts, and prints the function's url. What the flags do\n"
                 "not say comes from function.yaml beside the code; what that does not say is\n"
                 "guessed from the code. Calls that are running finish on the old version.\n"
                 "Settings that are said nowhere stay what they are; a new function begins with\n"
                 "what stands behind `new:`.\n"
                 "A .magpieignore names what to leave out.\n"
                 "With --image, or `image:` in function.yaml, the node pulls a container image\n"
                 "instead; MAGPIE_REGISTRY_USER and MAGPIE_REGISTRY_PASSWORD, or what `docker\n"
                 "login` left, tell its registry who you are.",
        .examples = "  magpie deploy\n"
                    "  magpie deploy hello.py --env GREETING=Hi --memory 256MiB\n"
                    "  magpie deploy ./api --public\n"
                    "  magpie deploy --image registry.example/team/app:1.0\n"
                    "  magpie deploy ./api --dry-run     # what would be sent?\n",
        .group = VERB_START,
        .shared = VERB_SERVER | VERB_SHOWS | VERB_QUIET,
        .arguments_max = 1,
        .run = deploy_run,
};
