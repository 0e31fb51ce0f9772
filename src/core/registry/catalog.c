/* The catalog: one table of users, one of functions, one of layers; see catalog.h and table.h.
 *
 * Making the next catalog copies the tables and builds their indexes anew: about half a millisecond
 * for ten thousand functions, on the store's thread, once for a whole batch of changes. In return
 * readers need no lock and no counter, and there is no code that changes a table.
 */
#include "core/registry/catalog.h"

#include "base/hash.h"
#include "core/registry/table.h"

#include <stdlib.h>

enum user_key { USER_BY_ID, USER_BY_EMAIL, USER_BY_NAME_SPACE, USER_KEY_COUNT };

enum function_key {
        FUNCTION_BY_ID,
        FUNCTION_BY_OWNER,
        FUNCTION_BY_NAME, /* with the owner */
        FUNCTION_BY_ROUTE,
        FUNCTION_BY_DIGEST,
        FUNCTION_BY_LAYERS, /* the digest of their tree */
        FUNCTION_KEY_COUNT,
};

enum layer_key {
        LAYER_BY_ID,
        LAYER_BY_OWNER,
        LAYER_BY_NAME, /* with the owner */
        LAYER_BY_DIGEST,
        LAYER_KEY_COUNT,
};

_Static_assert(FUNCTION_KEY_COUNT <= TABLE_KEYS_MAX && LAYER_KEY_COUNT <= TABLE_KEYS_MAX,
               "an entry has room for every key");

struct catalog {
        uint64_t seed;
        struct table users, functions, layers;
};

static uint32_t hash_one(struct slice a, uint64_t seed)
{
        return (uint32_t)hash_bytes(a.data, a.length, seed);
}

static uint32_t hash_two(struct slice a, struct slice b, uint64_t seed)
{
        return hash_one(b, hash_bytes(a.data, a.length, seed));
}

static bool text_is(const char *text, struct slice wanted)
{
        return slice_equal(slice_of(text), wanted);
}

static const char *user_id(const void *user)
{
        return ((const struct user *)user)->id;
}

static void user_hash_keys(const void *item, uint64_t seed, uint32_t *ret_hashes)
{
        const struct user *user = item;

        ret_hashes[USER_BY_ID] = hash_one(slice_of(user->id), seed);
        ret_hashes[USER_BY_EMAIL] = hash_one(slice_of(user->email), seed);
        ret_hashes[USER_BY_NAME_SPACE] = hash_one(slice_of(user->name_space), seed);
}

static void user_take_reference(void *user)
{
        (void)user_ref(user);
}

static void user_drop_reference(void *user)
{
        user_unref(user);
}

static const struct table_kind users_kind = {
        .key_count = USER_KEY_COUNT,
        .id = user_id,
        .hash_keys = user_hash_keys,
        .ref = user_take_reference,
        .unref = user_drop_reference,
};

static const char *function_id(const void *function)
{
        return ((const struct function *)function)->id;
}

static void function_hash_keys(const void *item, uint64_t seed, uint32_t *ret_hashes)
{
        const struct function *function = item;
        struct slice name = slice_of(function->name);

        ret_hashes[FUNCTION_BY_ID] = hash_one(slice_of(function->id), seed);
        ret_hashes[FUNCTION_BY_OWNER] = hash_one(slice_of(function->owner_id), seed);
        ret_hashes[FUNCTION_BY_NAME] = hash_two(slice_of(function->owner_id), name, seed);
        ret_hashes[FUNCTION_BY_ROUTE] = hash_two(slice_of(function->owner_name_space), name, seed);
        ret_hashes[FUNCTION_BY_DIGEST] = hash_one(slice_of(function->code_digest), seed);
        ret_hashes[FUNCTION_BY_LAYERS] = hash_one(slice_of(function->layers_digest), seed);
}

static void function_take_reference(void *function)
{
        (void)function_ref(function);
}

static void function_drop_reference(void *function)
{
        function_unref(function);
}

static const struct table_kind functions_kind = {
        .key_count = FUNCTION_KEY_COUNT,
        .id = function_id,
        .hash_keys = function_hash_keys,
        .ref = function_take_reference,
        .unref = function_drop_reference,
};

static const char *layer_id(const void *layer)
{
        return ((const struct layer *)layer)->id;
}

static void layer_hash_keys(const void *item, uint64_t seed, uint32_t *ret_hashes)
{
        const struct layer *layer = item;
        struct slice owner = slice_of(layer->owner_id);

        ret_hashes[LAYER_BY_ID] = hash_one(slice_of(layer->id), seed);
        ret_hashes[LAYER_BY_OWNER] = hash_one(owner, seed);
        ret_hashes[LAYER_BY_NAME] = hash_two(owner, slice_of(layer->name), seed);
        ret_hashes[LAYER_BY_DIGEST] = hash_one(slice_of(layer->digest), seed);
}

static void layer_take_reference(void *layer)
{
        (void)layer_ref(layer);
}

static void layer_drop_reference(void *layer)
{
        layer_unref(layer);
}

static const struct table_kind layers_kind = {
        .key_count = LAYER_KEY_COUNT,
        .id = layer_id,
        .hash_keys = layer_hash_keys,
        .ref = layer_take_reference,
        .unref = layer_drop_reference,
};

struct user *catalog_find_user(const struct catalog *catalog, struct slice id)
{
        uint32_t hash = hash_one(id, catalog->seed);
        table_place place = 0;
        struct user *user;

        while ((user = table_next(&catalog->users, USER_BY_ID, hash, &place)))
                if (text_is(user->id, id))
                        return user;
        return NULL;
}

struct user *catalog_find_user_by_email(const struct catalog *catalog, struct slice email)
{
        uint32_t hash = hash_one(email, catalog->seed);
        table_place place = 0;
        struct user *user;

        while ((user = table_next(&catalog->users, USER_BY_EMAIL, hash, &place)))
                if (text_is(user->email, email))
                        return user;
        return NULL;
}

struct user *catalog_find_user_by_name_space(const struct catalog *catalog, struct slice name_space)
{
        uint32_t hash = hash_one(name_space, catalog->seed);
        table_place place = 0;
        struct user *user;

        while ((user = table_next(&catalog->users, USER_BY_NAME_SPACE, hash, &place)))
                if (text_is(user->name_space, name_space))
                        return user;
        return NULL;
}

struct function *catalog_find_function(const struct catalog *catalog, struct slice id)
{
        uint32_t hash = hash_one(id, catalog->seed);
        table_place place = 0;
        struct function *function;

        while ((function = table_next(&catalog->functions, FUNCTION_BY_ID, hash, &place)))
                if (text_is(function->id, id))
                        return function;
        return NULL;
}

struct function *catalog_find_function_by_name(const struct catalog *catalog, struct slice owner_id,
                                               struct slice name)
{
        uint32_t hash = hash_two(owner_id, name, catalog->seed);
        table_place place = 0;
        struct function *function;

        while ((function = table_next(&catalog->functions, FUNCTION_BY_NAME, hash, &place)))
                if (text_is(function->owner_id, owner_id) && text_is(function->name, name))
                        return function;
        return NULL;
}

struct function *catalog_find_function_by_route(const struct catalog *catalog,
                                                struct slice name_space, struct slice name)
{
        uint32_t hash = hash_two(name_space, name, catalog->seed);
        table_place place = 0;
        struct function *function;

        while ((function = table_next(&catalog->functions, FUNCTION_BY_ROUTE, hash, &place)))
                if (text_is(function->owner_name_space, name_space) &&
                    text_is(function->name, name))
                        return function;
        return NULL;
}

struct layer *catalog_find_layer(const struct catalog *catalog, struct slice id)
{
        uint32_t hash = hash_one(id, catalog->seed);
        table_place place = 0;
        struct layer *layer;

        while ((layer = table_next(&catalog->layers, LAYER_BY_ID, hash, &place)))
                if (text_is(layer->id, id))
                        return layer;
        return NULL;
}

struct layer *catalog_find_layer_by_name(const struct catalog *catalog, struct slice owner_id,
                                         struct slice name, uint32_t version)
{
        uint32_t hash = hash_two(owner_id, name, catalog->seed);
        struct layer *layer, *newest = NULL;
        table_place place = 0;

        while ((layer = table_next(&catalog->layers, LAYER_BY_NAME, hash, &place))) {
                if (!text_is(layer->owner_id, owner_id) || !text_is(layer->name, name))
                        continue;
                if (layer->version == version)
                        return layer;
                if (!newest || layer->version > newest->version)
                        newest = layer;
        }
        return version == 0 ? newest : NULL;
}

size_t catalog_each_function(const struct catalog *catalog,
                             bool (*visit)(struct function *function, void *context), void *context)
{
        for (size_t i = 0; visit && i < catalog->functions.count; i++)
                if (!visit(catalog->functions.entries[i].item, context))
                        break;
        return catalog->functions.count;
}

size_t catalog_each_function_of(const struct catalog *catalog, struct slice owner_id,
                                bool (*visit)(struct function *function, void *context),
                                void *context)
{
        uint32_t hash = hash_one(owner_id, catalog->seed);
        table_place place = 0;
        struct function *function;
        bool wanted = visit != NULL;
        size_t count = 0;

        while ((function = table_next(&catalog->functions, FUNCTION_BY_OWNER, hash, &place))) {
                if (!text_is(function->owner_id, owner_id))
                        continue;
                wanted = wanted && visit(function, context);
                count++;
        }
        return count;
}

size_t catalog_each_layer_of(const struct catalog *catalog, struct slice owner_id,
                             bool (*visit)(struct layer *layer, void *context), void *context)
{
        uint32_t hash = hash_one(owner_id, catalog->seed);
        bool wanted = visit != NULL;
        table_place place = 0;
        struct layer *layer;
        size_t count = 0;

        while ((layer = table_next(&catalog->layers, LAYER_BY_OWNER, hash, &place))) {
                if (!text_is(layer->owner_id, owner_id))
                        continue;
                wanted = wanted && visit(layer, context);
                count++;
        }
        return count;
}

size_t catalog_user_count(const struct catalog *catalog)
{
        return catalog->users.count;
}

bool catalog_uses_digest(const struct catalog *catalog, const char *digest)
{
        uint32_t hash = hash_one(slice_of(digest), catalog->seed);
        const struct function *function;
        const struct layer *layer;
        table_place place = 0;

        while ((function = table_next(&catalog->functions, FUNCTION_BY_DIGEST, hash, &place)))
                if (strcmp(function->code_digest, digest) == 0)
                        return true;
        place = 0;
        while ((function = table_next(&catalog->functions, FUNCTION_BY_LAYERS, hash, &place)))
                if (strcmp(function->layers_digest, digest) == 0)
                        return true;
        place = 0;
        while ((layer = table_next(&catalog->layers, LAYER_BY_DIGEST, hash, &place)))
                if (strcmp(layer->digest, digest) == 0)
                        return true;
        return false;
}

/* The changes to one of the tables, sorted by id; of several to one id the last one counts. */
struct edits {
        size_t count;
        struct table_edit *at; /* owned */
};

struct ordered_edit {
        struct table_edit edit;
        size_t order;
};

static int edit_compare(const void *left, const void *right)
{
        const struct ordered_edit *a = left, *b = right;
        int order = strcmp(a->edit.id, b->edit.id);

        return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

enum table_name { TABLE_USERS, TABLE_FUNCTIONS, TABLE_LAYERS };

static struct table_edit edit_of(const struct catalog_change *change, enum table_name *ret_table)
{
        switch (change->kind) {
        case CATALOG_USER_PUT:
                *ret_table = TABLE_USERS;
                return (struct table_edit){.id = change->user->id, .item = change->user};
        case CATALOG_USER_REMOVE:
                *ret_table = TABLE_USERS;
                return (struct table_edit){.id = change->id};
        case CATALOG_FUNCTION_PUT:
                *ret_table = TABLE_FUNCTIONS;
                return (struct table_edit){.id = change->function->id, .item = change->function};
        case CATALOG_FUNCTION_REMOVE:
                *ret_table = TABLE_FUNCTIONS;
                return (struct table_edit){.id = change->id};
        case CATALOG_LAYER_PUT:
                *ret_table = TABLE_LAYERS;
                return (struct table_edit){.id = change->layer->id, .item = change->layer};
        case CATALOG_LAYER_REMOVE:
                *ret_table = TABLE_LAYERS;
                return (struct table_edit){.id = change->id};
        }
        abort(); /* not a kind: our own bug */
}

/* False without memory. */
static bool edits_collect(const struct catalog_change *changes, size_t count,
                          enum table_name of_table, struct edits *ret_edits)
{
        struct ordered_edit *all = calloc(count + 1, sizeof(*all));
        struct table_edit *last = calloc(count + 1, sizeof(*last));
        size_t all_count = 0, last_count = 0;

        if (!all || !last) {
                free(all);
                free(last);
                return false;
        }
        for (size_t i = 0; i < count; i++) {
                enum table_name table;
                struct table_edit edit = edit_of(&changes[i], &table);
                if (table == of_table)
                        all[all_count++] = (struct ordered_edit){.edit = edit, .order = i};
        }
        qsort(all, all_count, sizeof(*all), edit_compare);
        for (size_t i = 0; i < all_count; i++)
                if (i + 1 == all_count || strcmp(all[i].edit.id, all[i + 1].edit.id) != 0)
                        last[last_count++] = all[i].edit;
        free(all);
        *ret_edits = (struct edits){.count = last_count, .at = last};
        return true;
}

static bool user_is_removed(const struct edits *users, const char *id)
{
        size_t low = 0, high = users->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(id, users->at[middle].id);
                if (order == 0)
                        return users->at[middle].item == NULL;
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return false;
}

static bool function_is_of_removed_user(const void *item, const void *context)
{
        return user_is_removed(context, ((const struct function *)item)->owner_id);
}

static bool layer_is_of_removed_user(const void *item, const void *context)
{
        return user_is_removed(context, ((const struct layer *)item)->owner_id);
}

/* The changes to each table. */
struct all_edits {
        struct edits users, functions, layers;
};

static bool catalog_merge(struct catalog *catalog, const struct catalog *old,
                          const struct all_edits *edits)
{
        const struct edits *users = &edits->users, *functions = &edits->functions,
                           *layers = &edits->layers;
        /* Without changes to users nobody's things need to be looked at. */
        bool some = users->count > 0;

        return table_merge(&old->users, users->at, users->count, old->seed, NULL, NULL,
                           &catalog->users) &&
               table_merge(&old->functions, functions->at, functions->count, old->seed,
                           some ? function_is_of_removed_user : NULL, users, &catalog->functions) &&
               table_merge(&old->layers, layers->at, layers->count, old->seed,
                           some ? layer_is_of_removed_user : NULL, users, &catalog->layers);
}

static struct catalog catalog_of_nothing(uint64_t seed)
{
        return (struct catalog){
                .seed = seed,
                .users.kind = &users_kind,
                .functions.kind = &functions_kind,
                .layers.kind = &layers_kind,
        };
}

struct catalog *catalog_with(const struct catalog *catalog, const struct catalog_change *changes,
                             size_t count)
{
        struct catalog *made = calloc(1, sizeof(*made));
        struct all_edits edits = {0};

        if (!made)
                return NULL;
        *made = catalog_of_nothing(catalog->seed);
        if (!edits_collect(changes, count, TABLE_USERS, &edits.users) ||
            !edits_collect(changes, count, TABLE_FUNCTIONS, &edits.functions) ||
            !edits_collect(changes, count, TABLE_LAYERS, &edits.layers) ||
            !catalog_merge(made, catalog, &edits)) {
                catalog_free(made);
                made = NULL;
        }
        free(edits.users.at);
        free(edits.functions.at);
        free(edits.layers.at);
        return made;
}

struct catalog *catalog_new_empty(uint64_t seed)
{
        const struct catalog nothing = catalog_of_nothing(seed);

        return catalog_with(&nothing, NULL, 0);
}

void catalog_free(struct catalog *catalog)
{
        if (!catalog)
                return;
        table_deinit(&catalog->users);
        table_deinit(&catalog->functions);
        table_deinit(&catalog->layers);
        free(catalog);
}
