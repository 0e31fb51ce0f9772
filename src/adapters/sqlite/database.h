/* The registry's tables: the schema, and users, functions and layers as rows. Used by one thread at
 * a time. */
#pragma once

#include "ports/registry_store.h"

#include <sqlite3.h>

enum statement {
        STATEMENT_USER_INSERT,
        STATEMENT_USER_DELETE,
        STATEMENT_FUNCTION_INSERT,
        STATEMENT_FUNCTION_UPDATE,
        STATEMENT_FUNCTION_DELETE,
        STATEMENT_FUNCTION_EXISTS,
        STATEMENT_ENV_INSERT,
        STATEMENT_ENV_DELETE,
        STATEMENT_ENV_SELECT,
        STATEMENT_LAYER_NUMBER,
        STATEMENT_LAYER_INSERT,
        STATEMENT_LAYER_DELETE,
        STATEMENT_LAYERS_INSERT,
        STATEMENT_LAYERS_DELETE,
        STATEMENT_LAYERS_SELECT,
        STATEMENT_COUNT,
};

struct database {
        sqlite3 *connection;
        sqlite3_stmt *statements[STATEMENT_COUNT];
};

/* Opens or makes, checks, and brings the schema up to date. On failure nothing is left open. */
int database_open(const char *path, struct database *ret_database, struct err *err);
void database_close(struct database *database);

/* Records what SQLite says about the last call: "`doing`: database or disk is full". Returns the
 * negative errno. */
int database_error(const struct database *database, const char *doing, struct err *err);
/* Runs SQL that gives no rows. */
int database_run(struct database *database, const char *sql, const char *doing, struct err *err);
/* The prepared statement, ready to be bound anew. */
sqlite3_stmt *database_statement(struct database *database, enum statement statement);

/* load.c: everything that is stored. */
int database_load(struct database *database, uint64_t seed, struct catalog **ret_catalog,
                  struct err *err);
/* apply.c: carries out a request inside the open transaction. STORE_FAILED comes with a sentence
 * and may have ended the transaction. */
enum store_result database_apply(struct database *database, const struct store_request *request,
                                 struct err *err);
