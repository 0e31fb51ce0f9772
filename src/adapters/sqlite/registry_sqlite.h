/* The registry in an SQLite database, docs/adr/0002-sqlite-registry.md.
 *
 * One thread writes: it takes all requests that wait, puts them into one transaction, a savepoint
 * each, and commits once with fsync; then it publishes the new catalog and answers. */
#pragma once

#include "ports/registry_store.h"

/* Opens or makes the database (0600), checks and loads it, and publishes the first catalog before
 * it returns. `seed` salts the catalog's tables. One process at a time: -EBUSY where another has
 * it. 0, or a negative errno and a sentence. */
int registry_sqlite_open(const char *path, uint64_t seed, struct catalog_listener *listener,
                         struct registry_store **ret_store, struct err *err);
