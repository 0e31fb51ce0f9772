/* `magpie help`: the overview, or the page of one verb. */
#include "cli/options.h"
#include "cli/output.h"

#include <string.h>

static const char *group_title(enum verb_group group)
{
        switch (group) {
        case VERB_START:
                return "Write and ship a function";
        case VERB_FUNCTIONS:
                return "Look after functions";
        case VERB_ACCOUNT:
                return "Who you are";
        case VERB_NODE:
                return "Run a node";
        case VERB_GROUP_COUNT:
                break;
        }
        return "";
}

static void print_group(enum verb_group group)
{
        (void)printf("\n%s%s%s\n", style_on(stdout, STYLE_BOLD), group_title(group),
                     style_on(stdout, STYLE_PLAIN));
        for (const struct verb *const *verb = verbs; *verb; verb++)
                if ((*verb)->group == group)
                        (void)printf("  %s%-9s%s %s\n", style_on(stdout, STYLE_NAME), (*verb)->name,
                                     style_on(stdout, STYLE_PLAIN), (*verb)->summary);
}

static void print_overview(void)
{
        (void)printf("%smagpie%s runs functions: code goes in, a request comes, an answer goes "
                     "out.\n",
                     style_on(stdout, STYLE_BOLD), style_on(stdout, STYLE_PLAIN));
        for (int group = 0; group < VERB_GROUP_COUNT; group++)
                print_group((enum verb_group)group);
        (void)printf("\n%sTry it%s\n"
                     "  magpie new hello && magpie deploy hello\n"
                     "  magpie invoke hello -d '{\"name\": \"you\"}'\n"
                     "\nmagpie VERB --help explains a verb.\n",
                     style_on(stdout, STYLE_BOLD), style_on(stdout, STYLE_PLAIN));
}

static int help_run(struct cli *cli, int argc, char **argv)
{
        static char page[] = "--help";
        struct arguments arguments;
        const struct verb *verb;
        int exit_code;

        if (!options_parse(cli, &verb_help, NULL, argc, argv, &arguments, &exit_code))
                return exit_code;
        if (arguments.count == 0) {
                print_overview();
                return CLI_OK;
        }
        verb = verb_find(arguments.items[0]);
        if (!verb)
                return verb_unknown(arguments.items[0]);
        return verb->run(cli, 2, (char *[]){arguments.items[0], page, NULL});
}

const struct verb verb_help = {
        .name = "help",
        .arguments = "[VERB]",
        .summary = "this overview, or the page of one verb",
        .examples = "  magpie help deploy\n",
        .group = VERB_NODE,
        .arguments_max = 1,
        .run = help_run,
};
