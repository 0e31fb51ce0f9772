/* The nursery's scout: its first copy. It takes itself for an instance, loads a stand-in, answers a call of
 * it, and ends: so the nursery knows what pages later copies will write to (foresight.h). */
#pragma once

#include "birth.h"

#include <stdbool.h>

/* True in the scout, whose worker socket is descriptor 3. `variables` are what a function's BOOT would bring,
 * each with a NUL behind it, and are there for the stand-in. The nursery says so where it has learnt nothing,
 * and goes on. */
bool scout_send(const struct birth_ways *ways, const char *variables, size_t size);
