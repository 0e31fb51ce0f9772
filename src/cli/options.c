/* Parsing options and showing help from one table; see options.h. */
#include "cli/options.h"

#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32

/* The parser's state: the verb's own options and the shared ones in one list. */
struct parser {
        const struct verb *verb;
        struct option options[OPTIONS_MAX];
        size_t count;
        const char *format; /* -o */
        bool help;
};

static void parser_add(struct parser *parser, struct option option)
{
        if (parser->count < OPTIONS_MAX)
                parser->options[parser->count++] = option;
}

static void parser_init(struct parser *parser, struct cli *cli, const struct verb *verb,
                        const struct option *options)
{
        *parser = (struct parser){.verb = verb};
        for (; options && options->name; options++)
                parser_add(parser, *options);
        if (verb->shared & VERB_SHOWS)
                parser_add(parser,
                           (struct option){"output", 'o', OPTION_TEXT, "json|table",
                                           "print JSON instead of a table", &parser->format});
        if (verb->shared & VERB_QUIET)
                parser_add(parser,
                           (struct option){"quiet", 'q', OPTION_FLAG, NULL,
                                           "print names only, say nothing else", &cli->quiet});
        if (verb->shared & VERB_SERVER)
                parser_add(parser, (struct option){"server", 0, OPTION_TEXT, "URL",
                                                   "the node to talk to (else MAGPIE_URL, "
                                                   "else http://127.0.0.1:8080)",
                                                   &cli->server});
        parser_add(parser,
                   (struct option){"help", 'h', OPTION_FLAG, NULL, "show this", &parser->help});
}

int usage_error(const struct verb *verb, const char *format, ...)
{
        char *text = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&text, format, args) >= 0)
                say_error("%s", text);
        va_end(args);
        free(text);
        say_hint("magpie %s --help shows how it is used", verb->name);
        return CLI_USAGE;
}

static void print_option(const struct option *option)
{
        char *left = text_format("%c%c%c --%s%s%s", option->letter ? '-' : ' ',
                                 option->letter ? option->letter : ' ', option->letter ? ',' : ' ',
                                 option->name, option->value ? " " : "",
                                 option->value ? option->value : "");
        (void)printf("  %s%-28s%s  %s\n", style_on(stdout, STYLE_NAME), left,
                     style_on(stdout, STYLE_PLAIN), option->help);
        free(left);
}

static void print_heading(const char *text)
{
        (void)printf("\n%s%s%s\n", style_on(stdout, STYLE_BOLD), text,
                     style_on(stdout, STYLE_PLAIN));
}

static void print_help(const struct parser *parser)
{
        const struct verb *verb = parser->verb;

        (void)printf("%susage:%s magpie %s%s%s\n\n", style_on(stdout, STYLE_BOLD),
                     style_on(stdout, STYLE_PLAIN), verb->name, *verb->arguments ? " " : "",
                     verb->arguments);
        (void)printf("%s\n", verb->about ? verb->about : verb->summary);
        print_heading("options");
        for (size_t i = 0; i < parser->count; i++)
                print_option(&parser->options[i]);
        if (verb->examples) {
                print_heading("examples");
                (void)fputs(verb->examples, stdout);
        }
}

static const struct option *parser_find(const struct parser *parser, const char *name,
                                        size_t length)
{
        for (size_t i = 0; i < parser->count; i++)
                if (strlen(parser->options[i].name) == length &&
                    strncmp(parser->options[i].name, name, length) == 0)
                        return &parser->options[i];
        return NULL;
}

static const struct option *parser_find_letter(const struct parser *parser, char letter)
{
        for (size_t i = 0; i < parser->count; i++)
                if (parser->options[i].letter == letter)
                        return &parser->options[i];
        return NULL;
}

static int unknown_option(const struct parser *parser, const char *name, size_t length)
{
        const char *names[OPTIONS_MAX + 1] = {0};
        const char *nearest;
        char *given = text_copy_span(name, length);
        int exit_code;

        for (size_t i = 0; i < parser->count; i++)
                names[i] = parser->options[i].name;
        nearest = text_nearest(given, names);
        if (nearest)
                exit_code = usage_error(parser->verb,
                                        "magpie %s has no option --%s; did you mean --%s?",
                                        parser->verb->name, given, nearest);
        else
                exit_code = usage_error(parser->verb, "magpie %s has no option --%s",
                                        parser->verb->name, given);
        free(given);
        return exit_code;
}

static void option_store(const struct option *option, const char *value)
{
        switch (option->kind) {
        case OPTION_FLAG:
                *(bool *)option->target = true;
                return;
        case OPTION_TEXT:
                *(const char **)option->target = value;
                return;
        case OPTION_LIST:
                text_list_add(option->target, text_copy(value));
                return;
        }
}

/* argv[*at] begins with "--". CLI_OK or CLI_USAGE. */
static int parse_long(struct parser *parser, int argc, char **argv, int *at)
{
        const char *name = argv[*at] + 2, *equals = strchr(name, '=');
        size_t length = equals ? (size_t)(equals - name) : strlen(name);
        const struct option *option = parser_find(parser, name, length);

        if (!option)
                return unknown_option(parser, name, length);
        if (option->kind == OPTION_FLAG && equals)
                return usage_error(parser->verb, "--%s takes no value", option->name);
        if (option->kind != OPTION_FLAG && !equals && *at + 1 >= argc)
                return usage_error(parser->verb, "--%s needs a value: --%s %s", option->name,
                                   option->name, option->value);
        if (option->kind == OPTION_FLAG)
                option_store(option, NULL);
        else
                option_store(option, equals ? equals + 1 : argv[++*at]);
        return CLI_OK;
}

/* argv[*at] is "-x", "-xVALUE" or several flags in one. CLI_OK or CLI_USAGE. */
static int parse_letters(struct parser *parser, int argc, char **argv, int *at)
{
        for (const char *letter = argv[*at] + 1; *letter; letter++) {
                const struct option *option = parser_find_letter(parser, *letter);
                if (!option)
                        return usage_error(parser->verb, "magpie %s has no option -%c",
                                           parser->verb->name, *letter);
                if (option->kind == OPTION_FLAG) {
                        option_store(option, NULL);
                        continue;
                }
                if (letter[1] == '\0' && *at + 1 >= argc)
                        return usage_error(parser->verb, "-%c needs a value: -%c %s", *letter,
                                           *letter, option->value);
                option_store(option, letter[1] ? letter + 1 : argv[++*at]);
                break;
        }
        return CLI_OK;
}

static int parse_all(struct parser *parser, int argc, char **argv, struct arguments *arguments)
{
        int exit_code = CLI_OK;

        for (int at = 1; at < argc && exit_code == CLI_OK; at++) {
                if (strcmp(argv[at], "--") == 0) {
                        while (++at < argc)
                                arguments->items[arguments->count++] = argv[at];
                } else if (text_starts_with(argv[at], "--")) {
                        exit_code = parse_long(parser, argc, argv, &at);
                } else if (argv[at][0] == '-' && argv[at][1]) {
                        exit_code = parse_letters(parser, argc, argv, &at);
                } else {
                        /* Never ahead of `at`, so nothing unread is overwritten. */
                        arguments->items[arguments->count++] = argv[at];
                }
        }
        return exit_code;
}

static int check_count(const struct verb *verb, const struct arguments *arguments)
{
        if (arguments->count < verb->arguments_min)
                return usage_error(verb, "something is missing: magpie %s %s", verb->name,
                                   verb->arguments);
        if (arguments->count > verb->arguments_max)
                return usage_error(verb, "'%s' is one too many: magpie %s %s",
                                   arguments->items[verb->arguments_max], verb->name,
                                   verb->arguments);
        return CLI_OK;
}

static int check_format(struct cli *cli, const struct parser *parser)
{
        if (!parser->format || strcmp(parser->format, "table") == 0)
                return CLI_OK;
        if (strcmp(parser->format, "json") != 0)
                return usage_error(parser->verb, "-o takes json or table, not '%s'",
                                   parser->format);
        cli->json = true;
        return CLI_OK;
}

bool options_parse(struct cli *cli, const struct verb *verb, const struct option *options, int argc,
                   char **argv, struct arguments *ret_arguments, int *ret_exit)
{
        struct parser parser;

        parser_init(&parser, cli, verb, options);
        *ret_arguments = (struct arguments){.items = argv + 1};
        *ret_exit = parse_all(&parser, argc, argv, ret_arguments);
        if (*ret_exit == CLI_OK && parser.help) {
                print_help(&parser);
                return false;
        }
        if (*ret_exit == CLI_OK)
                *ret_exit = check_format(cli, &parser);
        if (*ret_exit == CLI_OK)
                *ret_exit = check_count(verb, ret_arguments);
        return *ret_exit == CLI_OK;
}

bool number_parse(const char *text, long most, long *ret_number)
{
        char *end;
        long number;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        number = strtol(text, &end, 10);
        if (errno || *end || number > most)
                return false;
        *ret_number = number;
        return true;
}
