/* A log-linear histogram of durations: exact counts, values to within 0.4 %, a fixed size.
 *
 * Below 256 each nanosecond has a bucket; above, each power of two is cut into 128 equal ones, so
 * a bucket is at most 1/128 of its values wide and its middle at most 1/256 away from any of them.
 * After Gil Tene's HdrHistogram. Values beyond HISTOGRAM_VALUE_MAX (73 minutes) count as that.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 4608
#define HISTOGRAM_VALUE_MAX ((1ull << 42) - 1)

struct histogram {
        uint64_t count, sum_ns;
        uint64_t min_ns, max_ns; /* exact; of an empty one UINT64_MAX and 0 */
        uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
/* As after histogram_init(), touching only what was used. */
void histogram_clear(struct histogram *histogram);
/* Adds all of `from`. Exact: merging loses nothing. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The smallest value that at least `share` (0 to 1) of all do not exceed; 0 where it is empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);
double histogram_mean_ns(const struct histogram *histogram);

/* The bucket of a value, and the values it stands for: from `low` up to and with `high`. */
size_t histogram_bucket(uint64_t value_ns);
void histogram_bounds(size_t bucket, uint64_t *ret_low_ns, uint64_t *ret_high_ns);

static inline void histogram_record(struct histogram *histogram, uint64_t value_ns, uint64_t times)
{
        histogram->buckets[histogram_bucket(value_ns)] += times;
        histogram->count += times;
        histogram->sum_ns += value_ns * times;
        if (value_ns < histogram->min_ns)
                histogram->min_ns = value_ns;
        if (value_ns > histogram->max_ns)
                histogram->max_ns = value_ns;
}
