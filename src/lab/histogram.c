/* Buckets; see histogram.h. */
#include "lab/histogram.h"

#include <math.h>
#include <string.h>

#define PRECISION_BITS 7 /* 128 buckets a power of two */
#define LINEAR_END (2u << PRECISION_BITS)
#define SHARE_ERROR 1e-12 /* of a share that was reckoned from percent, many times over */

size_t histogram_bucket(uint64_t value_ns)
{
        int shift;

        if (value_ns < LINEAR_END)
                return (size_t)value_ns;
        if (value_ns > HISTOGRAM_VALUE_MAX)
                value_ns = HISTOGRAM_VALUE_MAX;
        shift = 63 - __builtin_clzll(value_ns) - PRECISION_BITS;
        return ((size_t)shift << PRECISION_BITS) + (size_t)(value_ns >> shift);
}

void histogram_bounds(size_t bucket, uint64_t *ret_low_ns, uint64_t *ret_high_ns)
{
        size_t shift = bucket < LINEAR_END ? 0 : (bucket >> PRECISION_BITS) - 1;
        uint64_t steps = bucket - (shift << PRECISION_BITS);

        *ret_low_ns = steps << shift;
        *ret_high_ns = ((steps + 1) << shift) - 1;
}

void histogram_init(struct histogram *histogram)
{
        memset(histogram, 0, sizeof(*histogram));
        histogram->min_ns = UINT64_MAX;
}

/* The buckets that may hold something: [*ret_first, *ret_end). */
static void used_buckets(const struct histogram *histogram, size_t *ret_first, size_t *ret_end)
{
        *ret_first = histogram->count > 0 ? histogram_bucket(histogram->min_ns) : 0;
        *ret_end = histogram->count > 0 ? histogram_bucket(histogram->max_ns) + 1 : 0;
}

void histogram_clear(struct histogram *histogram)
{
        size_t first, end;

        used_buckets(histogram, &first, &end);
        memset(histogram->buckets + first, 0, (end - first) * sizeof(histogram->buckets[0]));
        histogram->count = histogram->sum_ns = histogram->max_ns = 0;
        histogram->min_ns = UINT64_MAX;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
        size_t first, end;

        used_buckets(from, &first, &end);
        for (size_t i = first; i < end; i++)
                histogram->buckets[i] += from->buckets[i];
        histogram->count += from->count;
        histogram->sum_ns += from->sum_ns;
        if (from->min_ns < histogram->min_ns)
                histogram->min_ns = from->min_ns;
        if (from->max_ns > histogram->max_ns)
                histogram->max_ns = from->max_ns;
}

/* The middle of a bucket, but no value that was never there at the ends. */
static uint64_t bucket_value(const struct histogram *histogram, size_t bucket)
{
        uint64_t low, high, middle;

        histogram_bounds(bucket, &low, &high);
        middle = low + (high - low) / 2;
        if (middle > histogram->max_ns)
                return histogram->max_ns;
        return middle < histogram->min_ns ? histogram->min_ns : middle;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
        size_t first, end;
        uint64_t seen = 0, rank;

        if (histogram->count == 0)
                return 0;
        /* 99.9 / 100 of 1,000 is a trace more than 999. */
        rank = (uint64_t)ceil(share * (double)histogram->count * (1 - SHARE_ERROR));
        if (rank >= histogram->count)
                return histogram->max_ns;
        if (rank == 0)
                rank = 1;
        used_buckets(histogram, &first, &end);
        for (size_t i = first; i < end; i++) {
                seen += histogram->buckets[i];
                if (seen >= rank)
                        return bucket_value(histogram, i);
        }
        return histogram->max_ns;
}

double histogram_mean_ns(const struct histogram *histogram)
{
        return histogram->count > 0 ? (double)histogram->sum_ns / (double)histogram->count : 0;
}
