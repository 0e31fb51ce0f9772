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
        struct client watcher; /* of an image: asks how far the node is, while it is */
        uint64_t look_again_ns;
};

/* Of an image (manifest.image is set): completes the settings. 0, or a negative errno and a
 * sentence. */
int deploy_image_prepare(struct deploy *deploy, struct err *err);
/* Settings and, where there are any, credentials for the registry. */
int deploy_image_body(const struct deploy *deploy, struct buffer *body, struct err *err);
/* Shows how far the pull is; now and then, while the node is at it. */
void deploy_image_watch(struct deploy *deploy);

/* Sends settings and code: a new function, or a new version of the one that has this name. Returns
 * a cli_exit, having said what went wrong. The caller frees *ret_function (the API's object) with
 * json_free(). */
int deploy_send(struct deploy *deploy, cJSON **ret_function);
