/* How long one fetch may go on, looked at wherever it could take long. */
#pragma once

#include "adapters/images/outcome.h"
#include "base/clock.h"

#include <stdatomic.h>

struct patience {
        uint64_t deadline_ns; /* CLOCK_MONOTONIC */
        const atomic_bool *stopping;
};

/* IMAGE_READY: go on. */
static inline enum image_result patience_check(const struct patience *patience, struct err *err)
{
        if (atomic_load_explicit(patience->stopping, memory_order_relaxed)) {
                (void)err_set(err, -ECANCELED, "the server is about to end");
                return IMAGE_STOPPED;
        }
        if (clock_now_ns() > patience->deadline_ns) {
                (void)err_set(err, -ETIMEDOUT,
                              "pulling the image takes longer than this server "
                              "allows");
                return IMAGE_LATE;
        }
        return IMAGE_READY;
}
