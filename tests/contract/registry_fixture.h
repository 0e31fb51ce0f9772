/* What each adapter of the port registry_store gives to the contract suite. */
#pragma once

#include "ports/registry_store.h"

/* A registry with nothing in it that nobody else uses. Fails the test where that cannot be had. */
struct registry_store *fixture_open(struct catalog_listener *listener);
/* After the registry was closed. */
void fixture_remove(void);
