/* What is known of a function before it is deployed: function.yaml, and the flags that say the same.
 * Both go through manifest_set(), so they are checked by the same rules.
 *
 * function.yaml is a flat mapping (keys below; env holds another one, layers a list), at most
 * MANIFEST_MAX bytes, one document, without anchors, aliases or tags. What is unknown, doubled or out
 * of bounds is an error with its line. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "cli/text.h"

#include <cjson/cJSON.h>

#define MANIFEST_FILE "function.yaml"
#define MANIFEST_MAX 65536

struct manifest {
        char *name, *runtime, *handler, *memory, *timeout, *keep_alive, *zygote, *image, *contract,
                *network;                 /* NULL: not said */
        char *build;                      /* a shell command that makes the code; never sent */
        long concurrency, min, max, port; /* -1: not said */
        int is_public;                    /* -1: not said */
        struct text_list env;             /* "NAME=value", each NAME once */
        bool has_env;                     /* an empty `env:` is said, too */
        struct text_list layers;          /* "name" or "name:version", each name once */
        bool has_layers;                  /* likewise */
        struct text_list reach;           /* names, each once */
        bool has_reach;                   /* likewise */
};

void manifest_init(struct manifest *manifest);
void manifest_deinit(struct manifest *manifest); /* also as AUTO(manifest_deinit) */

/* Sets the key of this name ("keepAlive") from its text. 0, or -EINVAL: the key is unknown or the value
 * is not what it takes. Said again, the newer value counts. */
int manifest_set(struct manifest *manifest, const char *name, const char *value, struct err *err);
/* "NAME=value"; replaces what NAME was. */
int manifest_set_env(struct manifest *manifest, const char *assignment, struct err *err);
/* "name" or "name:version", behind those that are there. */
int manifest_add_layer(struct manifest *manifest, const char *layer, struct err *err);

/* The names that are said from now on replace those that were. */
void manifest_clear_reach(struct manifest *manifest);
int manifest_add_reach(struct manifest *manifest, const char *name, struct err *err);

/* Reads a document on top of what is set. 0; -EINVAL and a sentence that begins with "line N: ". */
int manifest_parse(struct manifest *manifest, struct slice text, struct err *err);
/* The same from a file; the sentence begins with the path. -ENOENT where there is no file. */
int manifest_read(struct manifest *manifest, const char *path, struct err *err);

/* What was said, as the API wants it. The caller frees. NULL without memory. */
cJSON *manifest_to_json(const struct manifest *manifest);
