/* Requests as SQL; see database.h.
 *
 * The constraints of the schema decide: a UNIQUE that fails is "taken", a REFERENCES that fails is
 * "no such owner". So there is no look first and change later, and a batch needs no second copy of
 * the registry to decide on.
 */
#include "adapters/sqlite/database.h"

#include "base/auto.h"

#include <errno.h>
#include <stdlib.h>

static void bind_text(sqlite3_stmt *statement, int number, const char *text)
{
        /* The text outlives the step, and binding a short text cannot fail but for memory, which
         * the NOT NULL of every column then reports. */
        (void)sqlite3_bind_text(statement, number, text, -1, SQLITE_STATIC);
}

static void bind_number(sqlite3_stmt *statement, int number, uint64_t value)
{
        (void)sqlite3_bind_int64(statement, number, (sqlite3_int64)value);
}

/* What became of a statement that changes something, whose last step gave `code`. */
static enum store_result conclude(struct database *database, sqlite3_stmt *statement, int code,
                                  struct err *err)
{
        (void)sqlite3_reset(statement);
        if (code == SQLITE_DONE)
                return STORE_OK;
        if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
                return STORE_TAKEN;
        if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
                return STORE_NOT_FOUND;
        (void)database_error(database, "writing to the database", err);
        return STORE_FAILED;
}

static enum store_result execute(struct database *database, sqlite3_stmt *statement,
                                 struct err *err)
{
        return conclude(database, statement, sqlite3_step(statement), err);
}

static enum store_result create_user(struct database *database, const struct user *user,
                                     struct err *err)
{
        sqlite3_stmt *insert = database_statement(database, STATEMENT_USER_INSERT);

        bind_text(insert, 1, user->id);
        bind_text(insert, 2, user->email);
        bind_text(insert, 3, user->name_space);
        bind_text(insert, 4, user->password_hash);
        bind_number(insert, 5, user->created_ms);
        bind_number(insert, 6, user->token_epoch);
        bind_number(insert, 7, user->is_admin);
        return execute(database, insert, err);
}

static enum store_result no_memory(struct err *err)
{
        (void)err_errno(err, -ENOMEM, "writing to the database");
        return STORE_FAILED;
}

/* False without memory. */
static bool bind_image(sqlite3_stmt *statement, int place, const struct image *image)
{
        AUTO(buffer_deinit) struct buffer bytes;

        buffer_init(&bytes, 2 * IMAGE_TEXT_MAX);
        if (!image)
                return sqlite3_bind_null(statement, place) == SQLITE_OK;
        return image_pack(image, &bytes) == 0 &&
               sqlite3_bind_blob(statement, place, bytes.data, (int)bytes.length,
                                 SQLITE_TRANSIENT) == SQLITE_OK;
}

static bool bind_function(sqlite3_stmt *statement, const struct function *function)
{
        bind_text(statement, 1, function->id);
        bind_text(statement, 2, function->owner_id);
        bind_text(statement, 3, function->name);
        bind_text(statement, 4, runtime_name(function->runtime));
        bind_text(statement, 5, function->handler);
        bind_text(statement, 6, function->code_digest);
        bind_number(statement, 7, function->code_bytes);
        bind_number(statement, 8, function->version);
        bind_number(statement, 9, function->created_ms);
        bind_number(statement, 10, function->updated_ms);
        bind_number(statement, 11, function->memory_bytes);
        bind_number(statement, 12, function->tmp_bytes);
        bind_number(statement, 13, function->timeout_ms);
        bind_number(statement, 14, function->keep_alive_ms);
        bind_number(statement, 15, function->concurrency);
        bind_number(statement, 16, function->min_instances);
        bind_number(statement, 17, function->max_instances);
        bind_number(statement, 18, function->cpu_millis);
        bind_number(statement, 19, function->is_public);
        bind_number(statement, 20, function->starts_plainly);
        bind_text(statement, 21, contract_name(function->contract));
        bind_text(statement, 22, network_name(function->network));
        bind_number(statement, 23, function->port);
        bind_text(statement, 24, function->image_reference);
        bind_text(statement, 26, function->layers_digest);
        bind_text(statement, 27, function->reach);
        return bind_image(statement, 25, function->image);
}

static enum store_result create_env(struct database *database, const struct function *function,
                                    struct err *err)
{
        enum store_result result = STORE_OK;

        for (size_t i = 0; result == STORE_OK && i < function->env_count; i++) {
                sqlite3_stmt *insert = database_statement(database, STATEMENT_ENV_INSERT);
                bind_text(insert, 1, function->id);
                bind_number(insert, 2, i);
                bind_text(insert, 3, function->env[i]);
                result = execute(database, insert, err);
        }
        return result;
}

static enum store_result create_layers(struct database *database, const struct function *function,
                                       struct err *err)
{
        enum store_result result = STORE_OK;

        for (size_t i = 0; result == STORE_OK && i < function->layer_count; i++) {
                sqlite3_stmt *insert = database_statement(database, STATEMENT_LAYERS_INSERT);
                bind_text(insert, 1, function->id);
                bind_number(insert, 2, i);
                bind_text(insert, 3, function->layers[i].id);
                result = execute(database, insert, err);
                if (result == STORE_OK && sqlite3_changes(database->connection) == 0)
                        result = STORE_NOT_FOUND;
        }
        return result;
}

/* What lies in tables of its own. */
static enum store_result create_parts(struct database *database, const struct function *function,
                                      struct err *err)
{
        enum store_result result = create_env(database, function, err);

        return result == STORE_OK ? create_layers(database, function, err) : result;
}

static enum store_result delete_parts(struct database *database, const struct function *function,
                                      struct err *err)
{
        static const enum statement deletions[] = {STATEMENT_ENV_DELETE, STATEMENT_LAYERS_DELETE};
        enum store_result result = STORE_OK;

        for (size_t i = 0; result == STORE_OK && i < sizeof(deletions) / sizeof(deletions[0]);
             i++) {
                sqlite3_stmt *delete = database_statement(database, deletions[i]);
                bind_text(delete, 1, function->id);
                result = execute(database, delete, err);
        }
        return result;
}

static enum store_result create_function(struct database *database, const struct function *function,
                                         struct err *err)
{
        sqlite3_stmt *insert = database_statement(database, STATEMENT_FUNCTION_INSERT);
        enum store_result result;

        result = bind_function(insert, function) ? execute(database, insert, err) : no_memory(err);
        return result == STORE_OK ? create_parts(database, function, err) : result;
}

/* Why did an UPDATE meet no row? */
static enum store_result explain_missed_update(struct database *database, const char *id,
                                               struct err *err)
{
        sqlite3_stmt *select = database_statement(database, STATEMENT_FUNCTION_EXISTS);
        int code;

        bind_text(select, 1, id);
        code = sqlite3_step(select);
        (void)sqlite3_reset(select);
        if (code == SQLITE_ROW)
                return STORE_CONFLICT;
        if (code == SQLITE_DONE)
                return STORE_NOT_FOUND;
        (void)database_error(database, "reading the database", err);
        return STORE_FAILED;
}

static enum store_result update_function(struct database *database, const struct function *function,
                                         struct err *err)
{
        sqlite3_stmt *statement = database_statement(database, STATEMENT_FUNCTION_UPDATE);
        enum store_result result;

        result = bind_function(statement, function) ? execute(database, statement, err)
                                                    : no_memory(err);
        if (result == STORE_OK && sqlite3_changes(database->connection) == 0)
                return explain_missed_update(database, function->id, err);
        if (result == STORE_OK)
                result = delete_parts(database, function, err);
        return result == STORE_OK ? create_parts(database, function, err) : result;
}

static enum store_result delete_by_id(struct database *database, enum statement statement,
                                      const char *id, struct err *err)
{
        sqlite3_stmt *delete = database_statement(database, statement);
        enum store_result result;

        bind_text(delete, 1, id);
        result = execute(database, delete, err);
        return result == STORE_OK && sqlite3_changes(database->connection) == 0 ? STORE_NOT_FOUND
                                                                                : result;
}

/* The next number of the name. */
static enum store_result number_layer(struct database *database, struct layer *layer,
                                      struct err *err)
{
        sqlite3_stmt *number = database_statement(database, STATEMENT_LAYER_NUMBER);
        int64_t version = 0;
        int code;

        bind_text(number, 1, layer->owner_id);
        bind_text(number, 2, layer->name);
        code = sqlite3_step(number);
        if (code == SQLITE_ROW) {
                version = sqlite3_column_int64(number, 0);
                code = sqlite3_step(number);
        }
        if (code == SQLITE_DONE && version > LAYER_VERSION_MAX) {
                (void)sqlite3_reset(number);
                (void)err_set(err, -EOVERFLOW, "layer '%s' has had too many versions", layer->name);
                return STORE_FAILED;
        }
        layer->version = (uint32_t)version;
        return conclude(database, number, code, err);
}

static enum store_result publish_layer(struct database *database, struct layer *layer,
                                       struct err *err)
{
        sqlite3_stmt *insert;
        enum store_result result = number_layer(database, layer, err);

        if (result != STORE_OK)
                return result;
        insert = database_statement(database, STATEMENT_LAYER_INSERT);
        bind_text(insert, 1, layer->id);
        bind_text(insert, 2, layer->owner_id);
        bind_text(insert, 3, layer->name);
        bind_number(insert, 4, layer->version);
        bind_text(insert, 5, layer->digest);
        bind_number(insert, 6, layer->bytes);
        bind_number(insert, 7, layer->created_ms);
        return execute(database, insert, err);
}

static enum store_result remove_layer(struct database *database, const char *id, struct err *err)
{
        sqlite3_stmt *delete = database_statement(database, STATEMENT_LAYER_DELETE);
        enum store_result result;

        bind_text(delete, 1, id);
        result = execute(database, delete, err);
        /* Here the constraint that fails is of the row that refers to this one. */
        if (result == STORE_NOT_FOUND)
                return STORE_IN_USE;
        return result == STORE_OK && sqlite3_changes(database->connection) == 0 ? STORE_NOT_FOUND
                                                                                : result;
}

enum store_result database_apply(struct database *database, const struct store_request *request,
                                 struct err *err)
{
        switch (request->kind) {
        case STORE_USER_CREATE:
                return create_user(database, request->user, err);
        case STORE_USER_DELETE:
                return delete_by_id(database, STATEMENT_USER_DELETE, request->id, err);
        case STORE_FUNCTION_CREATE:
                return create_function(database, request->function, err);
        case STORE_FUNCTION_UPDATE:
                return update_function(database, request->function, err);
        case STORE_FUNCTION_DELETE:
                return delete_by_id(database, STATEMENT_FUNCTION_DELETE, request->id, err);
        case STORE_LAYER_PUBLISH:
                return publish_layer(database, request->layer, err);
        case STORE_LAYER_REMOVE:
                return remove_layer(database, request->id, err);
        }
        abort(); /* not a kind: our own bug */
}
