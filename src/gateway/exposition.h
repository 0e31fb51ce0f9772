/* Writes Prometheus' text format, version 0.0.4: families of samples, labels escaped. Errors add up
 * in `result`: look once, at the end. */
#pragma once

#include "base/buffer.h"

struct exposition {
        struct buffer *text;
        int result; /* 0, -ENOBUFS, -ENOMEM */
};

#define EXPOSITION_LABELS_MAX 4

/* Ends with a NULL name. */
struct exposition_label {
        const char *name, *value;
};

/* `type`: "counter", "gauge", "histogram". Before the samples of that name. */
void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help);
void exposition_sample(struct exposition *exposition, const char *name,
                       const struct exposition_label *labels, double value);
/* `buckets` counts each for itself, one more of them than there are bounds. Nothing is written where
 * all are 0. */
void exposition_histogram(struct exposition *exposition, const char *name,
                          const struct exposition_label *labels, const uint32_t *bounds_us,
                          const uint64_t *buckets, size_t bucket_count, uint64_t sum_us);
