/* The nursery's first copy. It takes itself for an instance, loads a stand-in and answers a call of it,
 * and ends: so the nursery knows what pages later copies will write to (foresight.h). */
#pragma once

#include "birth.h"

#include <stdbool.h>

/* True in the copy, whose worker socket is descriptor 3. `variables` are what a function's BOOT would bring,
 * each with a NUL behind it, and are there for the stand-in. The nursery goes on without the knowledge where
 * the trial fails. */
bool trial_make(const struct birth_ways *ways, const char *variables, size_t size);
