/* The registry in memory: the reference for the port registry_store, and its fake in tests.
 *
 * Nothing survives close(). There is no thread: submit() applies and publishes on the caller's, one
 * caller at a time; done() comes through the mailbox all the same. */
#pragma once

#include "ports/registry_store.h"

/* Publishes an empty catalog. `seed` salts the catalog's tables. 0 or -ENOMEM. */
int registry_memory_open(uint64_t seed, struct catalog_listener *listener,
                         struct registry_store **ret_store, struct err *err);
