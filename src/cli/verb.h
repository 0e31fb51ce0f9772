/* A verb of the command line, and the list of them. */
#pragma once

#include "cli/cli.h"

enum verb_group { VERB_START, VERB_FUNCTIONS, VERB_ACCOUNT, VERB_NODE, VERB_GROUP_COUNT };

enum verb_shared_options {
        VERB_SERVER = 1, /* takes --server: it talks to a node */
        VERB_SHOWS = 2,  /* takes -o: it shows a list or an object */
        VERB_QUIET = 4,  /* takes -q */
};

struct verb {
        const char *name;
        const char *arguments; /* after the name in the usage line: "NAME [OPTIONS]" */
        const char *summary;   /* one line for the overview */
        const char *about;     /* a paragraph for --help; NULL: the summary will do */
        const char *examples;  /* lines for --help, each "command" or "command  # remark" */
        enum verb_group group;
        int shared; /* enum verb_shared_options, added up */
        int arguments_min, arguments_max;
        int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the verb */
};

extern const struct verb verb_bench, verb_deploy, verb_doctor, verb_help, verb_inspect, verb_invoke,
        verb_layer, verb_login, verb_logs, verb_ls, verb_new, verb_rm, verb_serve, verb_user,
        verb_version;

/* Ended by NULL, in the order in which help shows them. */
extern const struct verb *const verbs[];

/* NULL where there is none. */
const struct verb *verb_find(const char *name);
/* The name that was probably meant; NULL where nothing is near. */
const char *verb_guess(const char *name);
/* Says that there is no such verb, and which one may have been meant. Returns CLI_USAGE. */
int verb_unknown(const char *name);
