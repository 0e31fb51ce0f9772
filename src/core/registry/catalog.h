/* The catalog: an immutable snapshot of all users, functions and layers, for lookup without locks.
 *
 * The store's writer makes a new catalog for each committed batch and publishes it; gateway threads
 * read the one that is current. A catalog and what it leads to stay valid until the reader's next
 * loop turn; keep a reference (function_ref) to hold something longer.
 */
#pragma once

#include "core/registry/function.h"
#include "core/registry/layer.h"

struct catalog;

enum catalog_change_kind {
        CATALOG_USER_PUT,
        CATALOG_USER_REMOVE, /* with functions and layers */
        CATALOG_FUNCTION_PUT,
        CATALOG_FUNCTION_REMOVE,
        CATALOG_LAYER_PUT,
        CATALOG_LAYER_REMOVE,
};

struct catalog_change {
        enum catalog_change_kind kind;
        struct user *user;         /* PUT */
        struct function *function; /* PUT: also replaces the version that was there */
        struct layer *layer;       /* PUT */
        const char *id;            /* REMOVE */
};

/* `seed` salts the hash tables (random, see base/hash.h). NULL without memory. */
struct catalog *catalog_new_empty(uint64_t seed);
/* A new catalog with the changes applied in order; the old one stays as it is. Takes references of
 * its own. Ids are never used twice: what was removed does not come back. NULL without memory. */
struct catalog *catalog_with(const struct catalog *catalog, const struct catalog_change *changes,
                             size_t count);
void catalog_free(struct catalog *catalog); /* NULL is fine */

/* Each borrows from the catalog; NULL where there is none. One hash lookup each. */
struct user *catalog_find_user(const struct catalog *catalog, struct slice id);
struct user *catalog_find_user_by_email(const struct catalog *catalog, struct slice email);
struct user *catalog_find_user_by_name_space(const struct catalog *catalog,
                                             struct slice name_space);
struct function *catalog_find_function(const struct catalog *catalog, struct slice id);
struct function *catalog_find_function_by_name(const struct catalog *catalog, struct slice owner_id,
                                               struct slice name);
struct function *catalog_find_function_by_route(const struct catalog *catalog,
                                                struct slice name_space, struct slice name);
struct layer *catalog_find_layer(const struct catalog *catalog, struct slice id);
/* Version 0: the newest. */
struct layer *catalog_find_layer_by_name(const struct catalog *catalog, struct slice owner_id,
                                         struct slice name, uint32_t version);

/* In order of creation (that of their ids), until `visit` returns false; NULL visits none. Returns
 * how many there are. */
size_t catalog_each_function(const struct catalog *catalog,
                             bool (*visit)(struct function *function, void *context),
                             void *context);
size_t catalog_each_function_of(const struct catalog *catalog, struct slice owner_id,
                                bool (*visit)(struct function *function, void *context),
                                void *context);
size_t catalog_each_layer_of(const struct catalog *catalog, struct slice owner_id,
                             bool (*visit)(struct layer *layer, void *context), void *context);
size_t catalog_user_count(const struct catalog *catalog);
/* Is it any function's code, or the tree of its layers, or a layer? For collecting bundles. */
bool catalog_uses_digest(const struct catalog *catalog, const char *digest);
