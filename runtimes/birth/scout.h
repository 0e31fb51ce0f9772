/* The nursery's scout: its first copy. It takes itself for an instance, loads a stand-in, answers a call of
 * it, and ends: so the nursery knows what pages later copies will write to (foresight.h). */
#pragma once

#include "birth.h"

#include <stdbool.h>

/* What it hears, whole frames (docs/worker-protocol.md): a BOOT with the stand-in's variables, an INVOKE. */
struct scout_errand {
        const void *boot, *call;
        size_t boot_size, call_size;
};

/* True in the scout, whose worker socket is descriptor 3. The nursery says so where it has learnt nothing,
 * and goes on. */
bool scout_send(const struct birth_ways *ways, const struct scout_errand *errand);
