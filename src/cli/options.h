/* Options of a verb, as a table: the parser and `--help` both read it, so they cannot disagree. */
#pragma once

#include "cli/text.h"
#include "cli/verb.h"

enum option_kind {
        OPTION_FLAG, /* `target` is a bool */
        OPTION_TEXT, /* `target` is a const char * */
        OPTION_LIST, /* `target` is a struct text_list; may be repeated */
};

struct option {
        const char *name; /* "memory" for --memory */
        char letter;      /* 'd' for -d; 0: none */
        enum option_kind kind;
        const char *value; /* "SIZE": what --help calls the value */
        const char *help;
        void *target;
};

/* What is left when the options are gone: points into argv. */
struct arguments {
        char **items;
        int count;
};

/* Parses argv[1...] for this verb: its own `options` (ended by one without a name; NULL for none)
 * and the shared ones. True: go on. False: *ret_exit is the program's exit code, and what there was
 * to say (help, or what is wrong) has been said. */
bool options_parse(struct cli *cli, const struct verb *verb, const struct option *options, int argc,
                   char **argv, struct arguments *ret_arguments, int *ret_exit);

/* Says what is wrong, and how to get help for the verb. Returns CLI_USAGE. */
int usage_error(const struct verb *verb, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* A whole number from 0 to `most`. False for anything else. */
bool number_parse(const char *text, long most, long *ret_number);
