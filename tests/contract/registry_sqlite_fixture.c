/* The contract suite's registry in SQLite. */
#include "adapters/sqlite/registry_sqlite.h"
#include "registry_fixture.h"

#include "temporary.h"

static struct temporary folder;

struct registry_store *fixture_open(struct catalog_listener *listener)
{
        struct registry_store *store = NULL;
        struct err err;

        temporary_make(&folder);
        ck_assert_msg(registry_sqlite_open(temporary_path(&folder, "magpie.db"), 1, listener,
                                           &store, &err) == 0,
                      "%s", err.text);
        return store;
}

void fixture_remove(void)
{
        temporary_remove(&folder);
}
