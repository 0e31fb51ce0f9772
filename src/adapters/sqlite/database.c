/* Opening the database and keeping its schema; see database.h. */
#include "adapters/sqlite/database.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x6d677069 /* "mgpi" */
#define BUSY_TIMEOUT_MS 500       /* for a predecessor that is about to end */

/* Each script leads from the schema version that is its position to the next one. Never change one
 * that was released: add another. */
static const char *const migrations[] = {
        "CREATE TABLE users ("
        "  id TEXT PRIMARY KEY,"
        "  email TEXT NOT NULL UNIQUE,"
        "  name_space TEXT NOT NULL UNIQUE,"
        "  password_hash TEXT NOT NULL,"
        "  created_ms INTEGER NOT NULL,"
        "  token_epoch INTEGER NOT NULL,"
        "  is_admin INTEGER NOT NULL"
        ") STRICT;"
        "CREATE TABLE functions ("
        "  id TEXT PRIMARY KEY,"
        "  owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
        "  name TEXT NOT NULL,"
        "  runtime TEXT NOT NULL,"
        "  handler TEXT NOT NULL,"
        "  code_digest TEXT NOT NULL,"
        "  code_bytes INTEGER NOT NULL,"
        "  version INTEGER NOT NULL,"
        "  created_ms INTEGER NOT NULL,"
        "  updated_ms INTEGER NOT NULL,"
        "  memory_bytes INTEGER NOT NULL,"
        "  tmp_bytes INTEGER NOT NULL,"
        "  timeout_ms INTEGER NOT NULL,"
        "  keep_alive_ms INTEGER NOT NULL,"
        "  concurrency INTEGER NOT NULL,"
        "  min_instances INTEGER NOT NULL,"
        "  max_instances INTEGER NOT NULL,"
        "  cpu_millis INTEGER NOT NULL,"
        "  is_public INTEGER NOT NULL,"
        "  UNIQUE (owner_id, name)"
        ") STRICT;"
        "CREATE TABLE function_env ("
        "  function_id TEXT NOT NULL REFERENCES functions (id) ON DELETE CASCADE,"
        "  position INTEGER NOT NULL,"
        "  assignment TEXT NOT NULL," /* NAME=value */
        "  PRIMARY KEY (function_id, position)"
        ") STRICT, WITHOUT ROWID;",
        "ALTER TABLE functions ADD COLUMN starts_plainly INTEGER NOT NULL DEFAULT 0;",
        "ALTER TABLE functions ADD COLUMN contract TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE functions ADD COLUMN network TEXT NOT NULL DEFAULT 'none';"
        "ALTER TABLE functions ADD COLUMN port INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE functions ADD COLUMN image_reference TEXT NOT NULL DEFAULT '';"
        "ALTER TABLE functions ADD COLUMN image BLOB;", /* image_pack(); NULL: none */
        "CREATE TABLE layer_names ("
        "  owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
        "  name TEXT NOT NULL,"
        "  last_version INTEGER NOT NULL," /* also where that was removed */
        "  PRIMARY KEY (owner_id, name)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE layers ("
        "  id TEXT PRIMARY KEY,"
        "  owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
        "  name TEXT NOT NULL,"
        "  version INTEGER NOT NULL,"
        "  digest TEXT NOT NULL,"
        "  bytes INTEGER NOT NULL,"
        "  created_ms INTEGER NOT NULL,"
        "  UNIQUE (owner_id, name, version)"
        ") STRICT;"
        "CREATE TABLE function_layers ("
        "  function_id TEXT NOT NULL REFERENCES functions (id) ON DELETE CASCADE,"
        "  position INTEGER NOT NULL,"
        "  layer_id TEXT NOT NULL REFERENCES layers (id),"
        "  PRIMARY KEY (function_id, position)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX function_layers_by_layer ON function_layers (layer_id);"
        "ALTER TABLE functions ADD COLUMN layers_digest TEXT NOT NULL DEFAULT '';",
        "ALTER TABLE functions ADD COLUMN reach TEXT NOT NULL DEFAULT '';",
};

#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* FUNCTION_INSERT and FUNCTION_UPDATE number their parameters alike, so that one function binds
 * both; the update leaves out those that never change. */
static const char *const statement_texts[STATEMENT_COUNT] = {
        [STATEMENT_USER_INSERT] = "INSERT INTO users (id, email, name_space, password_hash,"
                                  "  created_ms, token_epoch, is_admin)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [STATEMENT_USER_DELETE] = "DELETE FROM users WHERE id = ?1",
        [STATEMENT_FUNCTION_INSERT] =
                "INSERT INTO functions (id, owner_id, name, runtime, handler, code_digest,"
                "  code_bytes, version, created_ms, updated_ms, memory_bytes, tmp_bytes,"
                "  timeout_ms, keep_alive_ms, concurrency, min_instances, max_instances,"
                "  cpu_millis, is_public, starts_plainly, contract, network, port,"
                "  image_reference, image, layers_digest, reach)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
                "  ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)",
        [STATEMENT_FUNCTION_UPDATE] =
                "UPDATE functions SET name = ?3, runtime = ?4, handler = ?5, code_digest = ?6,"
                "  code_bytes = ?7, version = ?8, updated_ms = ?10, memory_bytes = ?11,"
                "  tmp_bytes = ?12, timeout_ms = ?13, keep_alive_ms = ?14, concurrency = ?15,"
                "  min_instances = ?16, max_instances = ?17, cpu_millis = ?18, is_public = ?19,"
                "  starts_plainly = ?20, contract = ?21, network = ?22, port = ?23,"
                "  image_reference = ?24, image = ?25, layers_digest = ?26, reach = ?27"
                " WHERE id = ?1 AND version = ?8 - 1",
        [STATEMENT_FUNCTION_DELETE] = "DELETE FROM functions WHERE id = ?1",
        [STATEMENT_FUNCTION_EXISTS] = "SELECT 1 FROM functions WHERE id = ?1",
        [STATEMENT_ENV_INSERT] = "INSERT INTO function_env (function_id, position, assignment)"
                                 " VALUES (?1, ?2, ?3)",
        [STATEMENT_ENV_DELETE] = "DELETE FROM function_env WHERE function_id = ?1",
        [STATEMENT_ENV_SELECT] = "SELECT assignment FROM function_env WHERE function_id = ?1"
                                 " ORDER BY position",
        [STATEMENT_LAYER_NUMBER] =
                "INSERT INTO layer_names (owner_id, name, last_version) VALUES (?1, ?2, 1)"
                " ON CONFLICT DO UPDATE SET last_version = last_version + 1"
                " RETURNING last_version",
        [STATEMENT_LAYER_INSERT] =
                "INSERT INTO layers (id, owner_id, name, version, digest, bytes, created_ms)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [STATEMENT_LAYER_DELETE] = "DELETE FROM layers WHERE id = ?1",
        /* No row where it is somebody else's. */
        [STATEMENT_LAYERS_INSERT] =
                "INSERT INTO function_layers (function_id, position, layer_id)"
                " SELECT f.id, ?2, l.id FROM functions f JOIN layers l ON l.owner_id = f.owner_id"
                " WHERE f.id = ?1 AND l.id = ?3",
        [STATEMENT_LAYERS_DELETE] = "DELETE FROM function_layers WHERE function_id = ?1",
        [STATEMENT_LAYERS_SELECT] =
                "SELECT l.id, l.name, l.version FROM function_layers u"
                " JOIN layers l ON l.id = u.layer_id WHERE u.function_id = ?1 ORDER BY u.position",
};

/* SQLite's primary result codes in the language of errno. */
static int errno_of(int code)
{
        switch (code & 0xff) {
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_AUTH:
                return -EACCES;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        default:
                return -EIO;
        }
}

int database_error(const struct database *database, const char *doing, struct err *err)
{
        int code = errno_of(sqlite3_errcode(database->connection));

        return err_set(err, code, "%s: %s", doing, sqlite3_errmsg(database->connection));
}

int database_run(struct database *database, const char *sql, const char *doing, struct err *err)
{
        if (sqlite3_exec(database->connection, sql, NULL, NULL, NULL) == SQLITE_OK)
                return 0;
        return database_error(database, doing, err);
}

sqlite3_stmt *database_statement(struct database *database, enum statement statement)
{
        sqlite3_stmt *prepared = database->statements[statement];

        (void)sqlite3_reset(prepared); /* repeats the error of the last step, which was handled */
        (void)sqlite3_clear_bindings(prepared);
        return prepared;
}

/* The one number that `sql` asks for. */
static int database_ask(struct database *database, const char *sql, int *ret_number,
                        struct err *err)
{
        sqlite3_stmt *statement = NULL;
        int r = 0;

        if (sqlite3_prepare_v2(database->connection, sql, -1, &statement, NULL) != SQLITE_OK ||
            sqlite3_step(statement) != SQLITE_ROW)
                r = database_error(database, "reading its version", err);
        else
                *ret_number = sqlite3_column_int(statement, 0);
        (void)sqlite3_finalize(statement);
        return r;
}

/* A lock that lasts as long as the connection keeps a second process out: the catalog in memory is
 * the truth for readers, so nobody else may write. */
static int database_configure(struct database *database, struct err *err)
{
        return database_run(database,
                            "PRAGMA locking_mode = EXCLUSIVE;"
                            "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA foreign_keys = ON;"
                            "PRAGMA trusted_schema = OFF;"
                            "PRAGMA cache_size = -1024;",
                            "opening it", err);
}

static int database_check(struct database *database, struct err *err)
{
        sqlite3_stmt *statement = NULL;
        const char *finding = NULL;
        int r = 0;

        if (sqlite3_prepare_v2(database->connection, "PRAGMA quick_check(1)", -1, &statement,
                               NULL) != SQLITE_OK ||
            sqlite3_step(statement) != SQLITE_ROW)
                r = database_error(database, "checking it", err);
        else
                finding = (const char *)sqlite3_column_text(statement, 0);
        if (r == 0 && (!finding || strcmp(finding, "ok") != 0))
                r = err_set(err, -EUCLEAN, "it is damaged: %s", finding ? finding : "no memory");
        (void)sqlite3_finalize(statement);
        return r;
}

static int database_migrate(struct database *database, struct err *err)
{
        int application = 0, version = 0, tables = 0;
        char done[96];
        int r = database_ask(database, "PRAGMA application_id", &application, err);

        if (r == 0)
                r = database_ask(database, "PRAGMA user_version", &version, err);
        if (r == 0)
                r = database_ask(database, "SELECT count(*) FROM sqlite_schema", &tables, err);
        if (r < 0)
                return r;
        if (application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0))
                return err_set(err, -EUCLEAN, "it is the database of another program");
        if (version > SCHEMA_VERSION)
                return err_set(err, -EUCLEAN,
                               "it was written by a newer magpie (schema %d, this one knows %d)",
                               version, SCHEMA_VERSION);

        for (; r == 0 && version < SCHEMA_VERSION; version++) {
                (void)snprintf(done, sizeof(done),
                               "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                               APPLICATION_ID, version + 1);
                r = database_run(database, "BEGIN IMMEDIATE", "making its tables", err);
                if (r == 0)
                        r = database_run(database, migrations[version], "making its tables", err);
                if (r == 0)
                        r = database_run(database, done, "making its tables", err);
        }
        return r;
}

static int database_prepare(struct database *database, struct err *err)
{
        for (size_t i = 0; i < STATEMENT_COUNT; i++)
                if (sqlite3_prepare_v3(database->connection, statement_texts[i], -1,
                                       SQLITE_PREPARE_PERSISTENT, &database->statements[i],
                                       NULL) != SQLITE_OK)
                        return database_error(database, "preparing its statements", err);
        return 0;
}

/* It holds password hashes: nobody else may read it. SQLite gives the log beside it the same
 * mode. */
static int database_make_file(const char *path, struct err *err)
{
        AUTO(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

        return fd < 0 ? err_errno(err, -errno, "it cannot be opened") : 0;
}

int database_open(const char *path, struct database *ret_database, struct err *err)
{
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        struct database database = {0};
        int r = database_make_file(path, err);

        if (r == 0 && sqlite3_open_v2(path, &database.connection, flags, NULL) != SQLITE_OK)
                r = database.connection ? database_error(&database, "opening it", err)
                                        : err_errno(err, -ENOMEM, "opening it");
        if (r == 0)
                r = sqlite3_busy_timeout(database.connection, BUSY_TIMEOUT_MS) == SQLITE_OK
                            ? database_configure(&database, err)
                            : database_error(&database, "opening it", err);
        if (r == 0)
                r = database_check(&database, err);
        if (r == 0)
                r = database_migrate(&database, err);
        if (r == 0)
                r = database_prepare(&database, err);
        if (r < 0) {
                database_close(&database);
                if (r == -EBUSY)
                        (void)err_set(err, r, "another process is using it");
                (void)err_prefix(err, "database %s", path);
                return r;
        }
        *ret_database = database;
        return 0;
}

void database_close(struct database *database)
{
        for (size_t i = 0; i < STATEMENT_COUNT; i++)
                (void)sqlite3_finalize(database->statements[i]);
        (void)sqlite3_close(database->connection);
        *database = (struct database){0};
}
