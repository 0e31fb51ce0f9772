/* The contract suite's registry in memory. */
#include "adapters/memory/registry_memory.h"
#include "registry_fixture.h"

#include "testing.h"

struct registry_store *fixture_open(struct catalog_listener *listener)
{
        struct registry_store *store = NULL;

        ck_assert_int_eq(registry_memory_open(1, listener, &store, NULL), 0);
        return store;
}

void fixture_remove(void)
{
}
