/* A copy of all figures, one row a function, for metrics_text.c to spell out without a lock. */
#pragma once

#include "gateway/metrics.h"

#define FUNCTION_LABEL_SIZE (2 * NAME_MAX_LENGTH + 2) /* namespace/name */

/* What has been counted for one function, by all threads. */
struct figures {
        uint64_t count[START_KIND_COUNT][OUTCOME_COUNT];
        uint64_t bucket[DURATION_BUCKETS];
        uint64_t duration_sum_us;
        uint64_t shed;
        uint64_t ahead; /* boots ahead of calls */
};

/* One function, all its versions together, and what was deleted under its name and still runs. */
struct function_row {
        char label[FUNCTION_LABEL_SIZE];
        struct figures figures;
        size_t idle, frozen, busy, starting, ending, waiters;
};

/* On a gateway thread. 0 or -ENOMEM; the caller frees the rows. */
int metrics_rows_take(struct gateway *gateway, struct function_row **ret_rows, size_t *ret_count);
