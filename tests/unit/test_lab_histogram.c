/* Counts are exact, values nearly so, and merging loses nothing. */
#include "lab/histogram.h"
#include "lab/random.h"
#include "testing.h"

static struct histogram histogram, other, both;

TEST(each_value_lies_in_a_bucket_at_most_one_percent_wide)
{
        for (uint64_t value = 0; value < HISTOGRAM_VALUE_MAX; value += 1 + value / 777) {
                size_t bucket = histogram_bucket(value);
                uint64_t low, high;

                histogram_bounds(bucket, &low, &high);
                ck_assert_uint_lt(bucket, HISTOGRAM_BUCKETS);
                ck_assert(low <= value && value <= high);
                ck_assert_uint_le((high - low) * 100, value);
        }
}
TEST_END

TEST(buckets_follow_one_another_without_gap_or_overlap)
{
        uint64_t expected = 0, low, high = 0;

        for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
                histogram_bounds(bucket, &low, &high);
                ck_assert_uint_eq(low, expected);
                expected = high + 1;
        }
        ck_assert_uint_eq(high, HISTOGRAM_VALUE_MAX);
}
TEST_END

TEST(percentiles_of_a_known_distribution_are_within_half_a_percent)
{
        histogram_init(&histogram);
        for (uint64_t i = 1; i <= 100000; i++)
                histogram_record(&histogram, i * 1000, 1);
        for (int share = 1; share < 100; share++) {
                double found = (double)histogram_percentile(&histogram, share / 100.0);
                double expected = share * 1000000.0;
                ck_assert_double_le(found / expected, 1.005);
                ck_assert_double_ge(found / expected, 0.995);
        }
        ck_assert_uint_eq(histogram_percentile(&histogram, 1), 100000000);
        ck_assert_uint_eq(histogram.min_ns, 1000);
        ck_assert_double_eq(histogram_mean_ns(&histogram), 50000500);
}
TEST_END

TEST(a_percentile_is_the_smallest_value_that_so_many_do_not_exceed)
{
        histogram_init(&histogram);
        histogram_record(&histogram, 10, 99);
        histogram_record(&histogram, 200, 1);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0.5), 10);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0.99), 10);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0.991), 200);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0), 10);
}
TEST_END

/* Of `count` values, `low` are 1 and all others 2. */
static uint64_t percentile_of(uint64_t low, uint64_t count, double share)
{
        histogram_init(&histogram);
        histogram_record(&histogram, 1, low);
        if (low < count)
                histogram_record(&histogram, 2, count - low);
        return histogram_percentile(&histogram, share);
}

TEST(a_share_given_in_percent_has_the_rank_that_it_means)
{
        static const uint64_t counts[] = {999, 1000, 2000, 10000, 1000000, 30000000000};

        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
                for (uint64_t tenths = 1; tenths < 1000; tenths++) {
                        uint64_t rank = (tenths * counts[i] + 999) / 1000;
                        double share = (double)tenths / 10 / 100;

                        ck_assert_uint_eq(percentile_of(rank, counts[i], share), 1);
                        ck_assert_uint_eq(percentile_of(rank - 1, counts[i], share), 2);
                }
}
TEST_END

TEST(an_empty_histogram_has_no_figures)
{
        histogram_init(&histogram);
        ck_assert_uint_eq(histogram_percentile(&histogram, 0.99), 0);
        ck_assert_double_eq(histogram_mean_ns(&histogram), 0);
}
TEST_END

TEST(merging_is_as_if_all_had_been_counted_in_one)
{
        struct random random;

        random_init(&random, 7);
        histogram_init(&histogram);
        histogram_init(&other);
        histogram_init(&both);
        for (int i = 0; i < 50000; i++) {
                uint64_t value = random_next(&random) >> (22 + random_next(&random) % 40);
                histogram_record(i % 3 == 0 ? &histogram : &other, value, 1);
                histogram_record(&both, value, 1);
        }
        histogram_merge(&histogram, &other);
        ck_assert_mem_eq(&histogram, &both, sizeof(both));
}
TEST_END

TEST(merging_an_empty_one_changes_nothing)
{
        histogram_init(&histogram);
        histogram_init(&other);
        histogram_record(&histogram, 12345, 3);
        both = histogram;
        histogram_merge(&histogram, &other);
        ck_assert_mem_eq(&histogram, &both, sizeof(both));
        histogram_merge(&other, &histogram);
        ck_assert_mem_eq(&other, &both, sizeof(both));
}
TEST_END

TEST(clearing_leaves_nothing_behind)
{
        histogram_init(&histogram);
        histogram_init(&other);
        histogram_record(&histogram, 1, 1);
        histogram_record(&histogram, 1ull << 50, 5);
        histogram_clear(&histogram);
        ck_assert_mem_eq(&histogram, &other, sizeof(other));
}
TEST_END

TEST(a_value_beyond_all_bounds_counts_as_the_largest)
{
        histogram_init(&histogram);
        histogram_record(&histogram, UINT64_MAX / 2, 1);
        ck_assert_uint_eq(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
        ck_assert_uint_eq(histogram_percentile(&histogram, 1), UINT64_MAX / 2);
}
TEST_END

TEST_MAIN("lab_histogram", each_value_lies_in_a_bucket_at_most_one_percent_wide,
          buckets_follow_one_another_without_gap_or_overlap,
          percentiles_of_a_known_distribution_are_within_half_a_percent,
          a_percentile_is_the_smallest_value_that_so_many_do_not_exceed,
          a_share_given_in_percent_has_the_rank_that_it_means, an_empty_histogram_has_no_figures,
          merging_is_as_if_all_had_been_counted_in_one, merging_an_empty_one_changes_nothing,
          clearing_leaves_nothing_behind, a_value_beyond_all_bounds_counts_as_the_largest)
