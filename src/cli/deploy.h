/* One `magpie deploy`, from settings and code to a function that runs. */
#pragma once

#include "cli/client.h"
#include "cli/manifest.h"
#include "cli/output.h"
#include "cli/package.h"

struct deploy {
        const struct cli *cli;
        const char *path; /* a file, a folder or a zip */
        struct manifest manifest;
        struct package package;
        struct buffer zip;
        struct client client;
        struct progress progress;
};

/* Sends settings and code: a new function, or a new version of the one that has this name. Returns
 * a cli_exit, having said what went wrong. The caller frees *ret_function (the API's object) with
 * json_free(). */
int deploy_send(struct deploy *deploy, cJSON **ret_function);
