/* A layer: files that several functions find at /opt, published once by the user whose functions they
 * are. Immutable; shared by reference.
 *
 * Each publication under a name is a version of its own, from 1. The number of one that was removed is
 * never given out again, so "name:version" means the same files as long as it means anything.
 */
#pragma once

#include "core/registry/function.h"

#define LAYER_VERSION_MAX UINT32_MAX

struct layer {
        atomic_uint references;
        char id[ID_LENGTH + 1]; /* of this version */
        char owner_id[ID_LENGTH + 1];
        char name[NAME_MAX_LENGTH + 1];
        uint32_t version; /* the store's choice */
        char digest[DIGEST_LENGTH + 1];
        uint64_t bytes;      /* unpacked size */
        uint64_t created_ms; /* Unix time */
};

/* A zeroed value with one reference, NULL without memory. */
struct layer *layer_new(void);
struct layer *layer_ref(struct layer *layer);
void layer_unref(struct layer *layer); /* NULL is fine */

/* "name:version"; `ret_text` holds LAYER_TEXT_SIZE bytes. */
void layer_format(const struct layer *layer, char *ret_text);
bool function_has_layer(const struct function *function, const struct layer *layer);

struct catalog;

/* Finds what the function's layers name among its owner's, fills in their ids and versions, and copies
 * their digests. 0; -ENOENT and a sentence that names the one that is not there. */
int layers_resolve(const struct catalog *catalog, struct function *function,
                   char ret_digests[LAYERS_MAX][DIGEST_LENGTH + 1], struct err *err);
