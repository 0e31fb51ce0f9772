/* The table of verbs and the way from argv to one of them; see cli.h. */
#include "cli/cli.h"

#include "cli/output.h"
#include "cli/text.h"
#include "cli/verb.h"

#include <errno.h>
#include <string.h>

const struct verb *const verbs[] = {
        &verb_new,    &verb_deploy,  &verb_invoke, &verb_logs, &verb_ls,    &verb_inspect,
        &verb_rm,     &verb_layer,   &verb_login,  &verb_user, &verb_serve, &verb_bench,
        &verb_doctor, &verb_version, &verb_help,   NULL,
};

const struct verb *verb_find(const char *name)
{
        for (const struct verb *const *verb = verbs; *verb; verb++)
                if (strcmp((*verb)->name, name) == 0)
                        return *verb;
        return NULL;
}

const char *verb_guess(const char *name)
{
        /* What other tools call it. */
        static const struct {
                const char *said, *meant;
        } synonyms[] = {
                {"list", "ls"},     {"ps", "ls"},         {"delete", "rm"},
                {"remove", "rm"},   {"call", "invoke"},   {"run", "invoke"},
                {"get", "inspect"}, {"show", "inspect"},  {"create", "new"},
                {"init", "new"},    {"push", "deploy"},   {"up", "deploy"},
                {"start", "serve"}, {"server", "serve"},  {"describe", "inspect"},
                {"signup", "user"}, {"register", "user"}, {"whoami", "user"},
                {"log", "logs"},    {"layers", "layer"},
        };
        const char *names[sizeof(verbs) / sizeof(verbs[0])] = {0};

        for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
                if (strcmp(synonyms[i].said, name) == 0)
                        return synonyms[i].meant;
        for (size_t i = 0; verbs[i]; i++)
                names[i] = verbs[i]->name;
        return text_nearest(name, names);
}

int verb_unknown(const char *name)
{
        const char *nearest = verb_guess(name);

        if (nearest)
                say_error("there is no '%s'; did you mean 'magpie %s'?", name, nearest);
        else
                say_error("there is no '%s'", name);
        say_hint("magpie help lists everything there is");
        return CLI_USAGE;
}

/* `magpie --server URL ls` is `magpie ls` with --server: takes the option off the front. */
static int take_leading_server(struct cli *cli, int *argc, char ***argv)
{
        while (*argc > 1 && text_starts_with((*argv)[1], "--server")) {
                const char *rest = (*argv)[1] + strlen("--server");
                int taken = *rest == '=' ? 1 : 2;
                if (*rest && *rest != '=')
                        break;
                if (*argc <= taken) {
                        say_error("--server needs a value: --server URL");
                        return CLI_USAGE;
                }
                cli->server = *rest == '=' ? rest + 1 : (*argv)[2];
                *argc -= taken;
                *argv += taken;
        }
        return CLI_OK;
}

/* What was printed and could not be written is a failure too: a full disk, a closed pipe. */
static int finish(int exit_code)
{
        errno = 0;
        if ((fflush(stdout) == 0 && !ferror(stdout)) || exit_code != CLI_OK)
                return exit_code;
        if (errno != EPIPE)
                say_error("cannot write the output: %s", strerror(errno));
        return CLI_FAILED;
}

int cli_main(int argc, char **argv, const struct cli_apps *apps)
{
        static char help[] = "help", version[] = "version";
        struct cli cli = {.apps = apps};
        const struct verb *verb;

        if (take_leading_server(&cli, &argc, &argv) != CLI_OK)
                return CLI_USAGE;
        if (argc < 2)
                return finish(verb_help.run(&cli, 1, (char *[]){help, NULL}));
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                argv[1] = help;
        else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
                argv[1] = version;
        verb = verb_find(argv[1]);
        if (!verb)
                return verb_unknown(argv[1]);
        return finish(verb->run(&cli, argc - 1, argv + 1));
}
