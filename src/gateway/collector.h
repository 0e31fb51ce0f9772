/* Removes what nobody needs any more: code that was replaced or deleted, layers that were removed,
 * images, logs of functions that are gone. On the first thread; the disk is the crew's. */
#pragma once

#include "base/crew.h"
#include "base/wheel.h"

#include <stdatomic.h>

struct gateway;

struct collector {
        struct timer timer;
        struct letter letter;
        atomic_bool woken;  /* somebody has asked since it looked last */
        atomic_bool posted; /* the letter has not been delivered */
};

/* Begins to look every hour. Before gateway_run(). */
void collector_start(struct gateway *gateway);
/* From any thread: something was deleted or replaced. */
void collector_wake(struct gateway *gateway);
