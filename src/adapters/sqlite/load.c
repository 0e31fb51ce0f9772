/* Reading all users, functions and layers at the start; see database.h.
 *
 * A file can be damaged in ways that no checksum tells, so every text is bounded and every function
 * validated as if a stranger had sent it.
 */
#include "adapters/sqlite/database.h"

#include "base/hash.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>

/* What a failure says it was doing. */
static const char loading[] = "loading the registry";

/* Everything that was read so far; each change holds a reference. */
struct loaded {
        size_t count, capacity;
        struct catalog_change *changes;
};

static void loaded_deinit(struct loaded *loaded)
{
        for (size_t i = 0; i < loaded->count; i++) {
                user_unref(loaded->changes[i].user);
                function_unref(loaded->changes[i].function);
                layer_unref(loaded->changes[i].layer);
        }
        free(loaded->changes);
}

/* Takes the reference over, on failure too. */
static int loaded_add(struct loaded *loaded, struct catalog_change change, struct err *err)
{
        if (loaded->count == loaded->capacity) {
                size_t capacity = loaded->capacity ? 2 * loaded->capacity : 64;
                struct catalog_change *grown =
                        reallocarray(loaded->changes, capacity, sizeof(*grown));
                if (!grown) {
                        user_unref(change.user);
                        function_unref(change.function);
                        layer_unref(change.layer);
                        return err_errno(err, -ENOMEM, loading);
                }
                loaded->changes = grown;
                loaded->capacity = capacity;
        }
        loaded->changes[loaded->count++] = change;
        return 0;
}

/* A text column of the current row that fits into `size` bytes with its NUL. */
static bool read_text(sqlite3_stmt *row, int column, size_t size, char *ret_text)
{
        const char *text = (const char *)sqlite3_column_text(row, column);
        size_t length = (size_t)sqlite3_column_bytes(row, column);

        if (!text || length >= size || strlen(text) != length)
                return false;
        memcpy(ret_text, text, length + 1);
        return true;
}

static uint64_t read_number(sqlite3_stmt *row, int column)
{
        return (uint64_t)sqlite3_column_int64(row, column);
}

static bool read_uint32(sqlite3_stmt *row, int column, uint32_t *ret_number)
{
        uint64_t number = read_number(row, column);

        *ret_number = (uint32_t)number;
        return number <= UINT32_MAX;
}

#define USER_COLUMNS "id, email, name_space, password_hash, created_ms, token_epoch, is_admin"

static bool read_user(sqlite3_stmt *row, struct user *user)
{
        if (!read_text(row, 0, sizeof(user->id), user->id) ||
            !read_text(row, 1, sizeof(user->email), user->email) ||
            !read_text(row, 2, sizeof(user->name_space), user->name_space) ||
            !read_text(row, 3, sizeof(user->password_hash), user->password_hash))
                return false;
        user->created_ms = read_number(row, 4);
        user->token_epoch = read_number(row, 5);
        user->is_admin = read_number(row, 6) != 0;
        return id_is_valid(slice_of(user->id)) &&
               email_validate(slice_of(user->email), NULL) == 0 &&
               name_validate(slice_of(user->name_space), NULL) == 0;
}

#define FUNCTION_COLUMNS                                                                           \
        "f.id, f.owner_id, u.name_space, f.name, f.runtime, f.handler, f.code_digest,"             \
        " f.code_bytes, f.version, f.created_ms, f.updated_ms, f.memory_bytes, f.tmp_bytes,"       \
        " f.timeout_ms, f.keep_alive_ms, f.concurrency, f.min_instances, f.max_instances,"         \
        " f.cpu_millis, f.is_public, f.starts_plainly, f.contract, f.network, f.port,"             \
        " f.image_reference, f.image, f.layers_digest, f.reach"

/* How it is started and what it reaches. */
static bool read_ways(sqlite3_stmt *row, struct function *function)
{
        char contract[16], network[16];

        return read_text(row, 21, sizeof(contract), contract) &&
               contract_parse(slice_of(contract), &function->contract) &&
               read_text(row, 22, sizeof(network), network) &&
               network_parse(slice_of(network), &function->network) &&
               read_uint32(row, 23, &function->port) &&
               read_text(row, 24, sizeof(function->image_reference), function->image_reference) &&
               read_text(row, 26, sizeof(function->layers_digest), function->layers_digest) &&
               read_text(row, 27, sizeof(function->reach), function->reach);
}

static bool read_function(sqlite3_stmt *row, struct function *function)
{
        char runtime[16];

        if (!read_text(row, 0, sizeof(function->id), function->id) ||
            !read_text(row, 1, sizeof(function->owner_id), function->owner_id) ||
            !read_text(row, 2, sizeof(function->owner_name_space), function->owner_name_space) ||
            !read_text(row, 3, sizeof(function->name), function->name) ||
            !read_text(row, 4, sizeof(runtime), runtime) ||
            !runtime_parse(slice_of(runtime), &function->runtime) ||
            !read_text(row, 5, sizeof(function->handler), function->handler) ||
            !read_text(row, 6, sizeof(function->code_digest), function->code_digest))
                return false;
        function->code_bytes = read_number(row, 7);
        function->version = read_number(row, 8);
        function->created_ms = read_number(row, 9);
        function->updated_ms = read_number(row, 10);
        function->memory_bytes = read_number(row, 11);
        function->tmp_bytes = read_number(row, 12);
        function->is_public = read_number(row, 19) != 0;
        function->starts_plainly = read_number(row, 20) != 0;
        return id_is_valid(slice_of(function->id)) && read_uint32(row, 13, &function->timeout_ms) &&
               read_uint32(row, 14, &function->keep_alive_ms) &&
               read_uint32(row, 15, &function->concurrency) &&
               read_uint32(row, 16, &function->min_instances) &&
               read_uint32(row, 17, &function->max_instances) &&
               read_uint32(row, 18, &function->cpu_millis) && read_ways(row, function);
}

static int load_env(struct database *database, struct function *function, struct err *err)
{
        sqlite3_stmt *select = database_statement(database, STATEMENT_ENV_SELECT);
        static const size_t count_max = ENV_MAX_COUNT;
        char *env[ENV_MAX_COUNT];
        size_t count = 0;
        int code, r = 0;

        (void)sqlite3_bind_text(select, 1, function->id, -1, SQLITE_STATIC);
        while (r == 0 && (code = sqlite3_step(select)) == SQLITE_ROW) {
                const char *text = (const char *)sqlite3_column_text(select, 0);
                if (count == count_max)
                        r = err_set(err, -EUCLEAN, "function %s has too long an environment",
                                    function->id);
                else if (!text || !(env[count] = strdup(text)))
                        r = err_errno(err, -ENOMEM, loading);
                else
                        count++;
        }
        if (r == 0 && code != SQLITE_DONE)
                r = database_error(database, loading, err);
        if (r == 0 && function_set_env(function, count, (const char *const *)env) < 0)
                r = err_errno(err, -ENOMEM, loading);
        while (count > 0)
                free(env[--count]);
        (void)sqlite3_reset(select);
        return r;
}

/* Columns `from` and the two behind it. */
static bool read_layer_name(sqlite3_stmt *row, int from, char *ret_id, char *ret_name,
                            uint32_t *ret_version)
{
        return read_text(row, from, ID_LENGTH + 1, ret_id) && id_is_valid(slice_of(ret_id)) &&
               read_text(row, from + 1, NAME_MAX_LENGTH + 1, ret_name) &&
               name_validate(slice_of(ret_name), NULL) == 0 &&
               read_uint32(row, from + 2, ret_version) && *ret_version > 0;
}

static int load_layers(struct database *database, struct function *function, struct err *err)
{
        sqlite3_stmt *select = database_statement(database, STATEMENT_LAYERS_SELECT);
        struct layer_reference layer;
        struct err why;
        int code, r = 0;

        (void)sqlite3_bind_text(select, 1, function->id, -1, SQLITE_STATIC);
        while (r == 0 && (code = sqlite3_step(select)) == SQLITE_ROW) {
                layer = (struct layer_reference){0};
                if (!read_layer_name(select, 0, layer.id, layer.name, &layer.version))
                        r = err_set(err, -EUCLEAN, "a layer of function '%s' is damaged",
                                    function->id);
                else if (function_add_layer(function, &layer, &why) < 0)
                        r = err_set(err, -EUCLEAN, "the layers of function '%s' are damaged: %s",
                                    function->id, why.text);
        }
        if (r == 0 && code != SQLITE_DONE)
                r = database_error(database, loading, err);
        (void)sqlite3_reset(select);
        return r;
}

static int load_image(sqlite3_stmt *row, struct function *function, struct err *err)
{
        const void *bytes = sqlite3_column_blob(row, 25);
        int length = sqlite3_column_bytes(row, 25), r;

        if (!bytes)
                return 0;
        r = image_unpack(slice_make(bytes, (size_t)length), &function->image);
        if (r == -EINVAL)
                return err_set(err, -EUCLEAN, "the image of function '%s' is damaged",
                               function->id);
        return r < 0 ? err_errno(err, r, loading) : 0;
}

static int load_user(struct database *database, sqlite3_stmt *row, struct loaded *loaded,
                     struct err *err)
{
        struct user *user = user_new();

        (void)database;
        if (!user)
                return err_errno(err, -ENOMEM, loading);
        if (!read_user(row, user)) {
                const char *id = (const char *)sqlite3_column_text(row, 0);
                user_unref(user);
                return err_set(err, -EUCLEAN, "the row of user '%s' is damaged",
                               text_quote(slice_of(id ? id : "")).text);
        }
        return loaded_add(loaded, (struct catalog_change){.kind = CATALOG_USER_PUT, .user = user},
                          err);
}

static int load_function(struct database *database, sqlite3_stmt *row, struct loaded *loaded,
                         struct err *err)
{
        struct function *function = function_new();
        struct err why;
        int r;

        if (!function)
                return err_errno(err, -ENOMEM, loading);
        if (!read_function(row, function)) {
                const char *id = (const char *)sqlite3_column_text(row, 0);
                function_unref(function);
                return err_set(err, -EUCLEAN, "the row of function '%s' is damaged",
                               text_quote(slice_of(id ? id : "")).text);
        }
        r = load_image(row, function, err);
        if (r == 0)
                r = load_env(database, function, err);
        if (r == 0)
                r = load_layers(database, function, err);
        if (r == 0 && function_validate(function, &why) < 0)
                r = err_set(err, -EUCLEAN, "the row of function '%s' is damaged: %s", function->id,
                            why.text);
        if (r < 0) {
                function_unref(function);
                return r;
        }
        return loaded_add(
                loaded, (struct catalog_change){.kind = CATALOG_FUNCTION_PUT, .function = function},
                err);
}

#define LAYER_COLUMNS "id, name, version, owner_id, digest, bytes, created_ms"

static bool read_layer(sqlite3_stmt *row, struct layer *layer)
{
        layer->bytes = read_number(row, 5);
        layer->created_ms = read_number(row, 6);
        return read_layer_name(row, 0, layer->id, layer->name, &layer->version) &&
               read_text(row, 3, sizeof(layer->owner_id), layer->owner_id) &&
               read_text(row, 4, sizeof(layer->digest), layer->digest) &&
               strlen(layer->digest) == DIGEST_LENGTH && hex_is_valid(layer->digest, DIGEST_LENGTH);
}

static int load_layer(struct database *database, sqlite3_stmt *row, struct loaded *loaded,
                      struct err *err)
{
        struct layer *layer = layer_new();

        (void)database;
        if (!layer)
                return err_errno(err, -ENOMEM, loading);
        if (!read_layer(row, layer)) {
                const char *id = (const char *)sqlite3_column_text(row, 0);
                layer_unref(layer);
                return err_set(err, -EUCLEAN, "the row of layer '%s' is damaged",
                               text_quote(slice_of(id ? id : "")).text);
        }
        return loaded_add(loaded,
                          (struct catalog_change){.kind = CATALOG_LAYER_PUT, .layer = layer}, err);
}

static int load_rows(struct database *database, const char *sql,
                     int (*load)(struct database *database, sqlite3_stmt *row,
                                 struct loaded *loaded, struct err *err),
                     struct loaded *loaded, struct err *err)
{
        sqlite3_stmt *select = NULL;
        int r = 0, code = SQLITE_DONE;

        if (sqlite3_prepare_v2(database->connection, sql, -1, &select, NULL) != SQLITE_OK)
                return database_error(database, loading, err);
        while (r == 0 && (code = sqlite3_step(select)) == SQLITE_ROW)
                r = load(database, select, loaded, err);
        if (r == 0 && code != SQLITE_DONE)
                r = database_error(database, loading, err);
        (void)sqlite3_finalize(select);
        return r;
}

int database_load(struct database *database, uint64_t seed, struct catalog **ret_catalog,
                  struct err *err)
{
        struct loaded loaded = {0};
        struct catalog *empty = NULL, *catalog = NULL;
        int r = load_rows(database, "SELECT " USER_COLUMNS " FROM users ORDER BY id", load_user,
                          &loaded, err);

        if (r == 0)
                r = load_rows(database,
                              "SELECT " FUNCTION_COLUMNS
                              " FROM functions f JOIN users u ON u.id = f.owner_id ORDER BY f.id",
                              load_function, &loaded, err);
        if (r == 0)
                r = load_rows(database, "SELECT " LAYER_COLUMNS " FROM layers ORDER BY id",
                              load_layer, &loaded, err);
        if (r == 0) {
                empty = catalog_new_empty(seed);
                catalog = empty ? catalog_with(empty, loaded.changes, loaded.count) : NULL;
                if (!catalog)
                        r = err_errno(err, -ENOMEM, loading);
        }
        catalog_free(empty);
        loaded_deinit(&loaded);
        if (r == 0)
                *ret_catalog = catalog;
        return r;
}
