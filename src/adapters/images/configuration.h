/* An image's configuration: what it runs, and how. OCI image specification 1.1, "config.md". */
#pragma once

#include "adapters/images/image_manifest.h"
#include "core/registry/function.h"

#include <cjson/cJSON.h>

#define CONFIGURATION_PORT_DEFAULT 8080u

struct configuration {
        cJSON *document; /* owns the texts */
        struct platform platform;
        size_t layer_count;
        char (*diff_ids)[SHA256_HEX_LENGTH + 1]; /* of the unpacked layers, the lowest first */
        size_t word_count, env_count;
        const char *words[IMAGE_WORDS_MAX]; /* Entrypoint, then Cmd */
        size_t entry_word_count;            /* how many of them are the Entrypoint's */
        const char *env[IMAGE_ENV_MAX];     /* "NAME=value"; none begins with MAGPIE_ */
        const char *directory;              /* as it stands there; "" where it says nothing */
        const char *user;                   /* likewise */
        int stop_signal;                    /* StopSignal's number; 0 where it says nothing */
        uint32_t exposed_port;              /* 0 unless it exposes exactly one of TCP */
        enum contract labelled_contract; /* CONTRACT_NONE: the label magpie.contract is not there */
        uint32_t labelled_port;          /* magpie.port; 0: not there */
};

/* The caller calls configuration_deinit() afterwards, after a failure as well. 0; -EINVAL and a
 * sentence; -ENOMEM. */
int configuration_parse(struct slice text, struct configuration *ret_configuration,
                        struct err *err);
void configuration_deinit(struct configuration *configuration);

/* The value of a variable, or NULL. */
const char *configuration_variable(const struct configuration *configuration, const char *name);

/* How its program wants to be asked, as far as the image makes it plain: by its label; by an entry
 * point of AWS Lambda's images; by a port of TCP that it exposes, or PORT in its environment; else
 * CONTRACT_EXEC. */
enum contract configuration_contract(const struct configuration *configuration);
/* Where a server in it listens: the label, else PORT, else the exposed one, else 8080. */
uint32_t configuration_port(const struct configuration *configuration);
