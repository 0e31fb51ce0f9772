/* The cache of verified credentials: hits, ends, and who has to go. */
#include "core/auth/token_cache.h"

#include "testing.h"

#define NOW 1000

static struct token_cache cache;

/* Digests with the same `set` share one set; `name` tells them apart. */
static struct credential_digest digest_of(uint32_t set, uint8_t name)
{
        struct credential_digest digest = {0};

        memcpy(digest.bytes, &set, sizeof(set));
        digest.bytes[15] = name;
        return digest;
}

static void put(uint32_t set, uint8_t name, uint64_t until_s)
{
        struct credential_digest digest = digest_of(set, name);

        token_cache_put(&cache, &digest, "01ARYZ6S41041061050R3GG28A", name, until_s, NOW);
}

static const struct token_cache_entry *find(uint32_t set, uint8_t name, uint64_t now_s)
{
        struct credential_digest digest = digest_of(set, name);

        return token_cache_find(&cache, &digest, now_s);
}

TEST(an_empty_cache_knows_nothing_not_even_zeros)
{
        token_cache_init(&cache);
        ck_assert_ptr_null(find(0, 0, 0));
        ck_assert_ptr_null(find(7, 1, NOW));
}
TEST_END

TEST(what_was_put_is_found_until_its_time)
{
        token_cache_init(&cache);
        put(5, 1, NOW + 60);
        ck_assert_ptr_nonnull(find(5, 1, NOW + 59));
        ck_assert_str_eq(find(5, 1, NOW)->user_id, "01ARYZ6S41041061050R3GG28A");
        ck_assert_uint_eq(find(5, 1, NOW)->epoch, 1);
        ck_assert_ptr_null(find(5, 1, NOW + 60));
        ck_assert_ptr_null(find(5, 2, NOW));
        ck_assert_ptr_null(find(6, 1, NOW));
        ck_assert_ptr_null(find(5 + TOKEN_CACHE_SETS, 1, NOW));
}
TEST_END

TEST(the_oldest_of_a_full_set_goes)
{
        token_cache_init(&cache);
        for (uint8_t name = 1; name <= TOKEN_CACHE_WAYS + 1; name++)
                put(9, name, NOW + 60);
        ck_assert_ptr_null(find(9, 1, NOW));
        for (uint8_t name = 2; name <= TOKEN_CACHE_WAYS + 1; name++)
                ck_assert_ptr_nonnull(find(9, name, NOW));
}
TEST_END

TEST(a_dead_entry_goes_before_a_living_one)
{
        token_cache_init(&cache);
        put(9, 1, NOW + 60);
        put(9, 2, NOW);
        put(9, 3, NOW + 60);
        put(9, 4, NOW + 60);
        put(9, 5, NOW + 60);
        ck_assert_ptr_nonnull(find(9, 1, NOW));
        ck_assert_ptr_nonnull(find(9, 5, NOW));
}
TEST_END

TEST(putting_again_replaces_and_pushes_nobody_out)
{
        token_cache_init(&cache);
        for (uint8_t name = 1; name <= TOKEN_CACHE_WAYS; name++)
                put(9, name, NOW + 60);
        put(9, 2, NOW + 600);
        for (uint8_t name = 1; name <= TOKEN_CACHE_WAYS; name++)
                ck_assert_ptr_nonnull(find(9, name, NOW));
        ck_assert_ptr_nonnull(find(9, 2, NOW + 599));
}
TEST_END

TEST_MAIN("token_cache", an_empty_cache_knows_nothing_not_even_zeros,
          what_was_put_is_found_until_its_time, the_oldest_of_a_full_set_goes,
          a_dead_entry_goes_before_a_living_one, putting_again_replaces_and_pushes_nobody_out)
