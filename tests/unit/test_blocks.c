/* Memory for bytes in flight: lent, given back, and bounded in sum. */
#include "gateway/blocks.h"

#include "testing.h"

#define LIMIT (8u * BLOCK_SMALL)

TEST(blocks_are_lent_up_to_the_bound)
{
        struct block *lent[8];
        struct blocks blocks;

        blocks_init(&blocks, LIMIT);
        for (size_t i = 0; i < 8; i++) {
                lent[i] = block_take(&blocks, 1);
                ck_assert_ptr_nonnull(lent[i]);
        }
        ck_assert_ptr_null(block_take(&blocks, 1));
        block_give(&blocks, lent[0]);
        lent[0] = block_take(&blocks, 1);
        ck_assert_ptr_nonnull(lent[0]);
        for (size_t i = 0; i < 8; i++)
                block_give(&blocks, lent[i]);
        blocks_deinit(&blocks);
}
TEST_END

TEST(what_clients_do_not_take_counts_like_blocks)
{
        struct block *first, *second;
        struct blocks blocks;

        blocks_init(&blocks, LIMIT);
        ck_assert(blocks_charge(&blocks, 6 * BLOCK_SMALL));
        first = block_take(&blocks, 1);
        second = block_take(&blocks, 1);
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(second);
        ck_assert_ptr_null(block_take(&blocks, 1));
        blocks_release(&blocks, 6 * BLOCK_SMALL);
        block_give(&blocks, first);
        block_give(&blocks, second);
        ck_assert_uint_eq(blocks.used_bytes, 0);
        blocks_deinit(&blocks);
}
TEST_END

TEST(what_clients_do_not_take_leaves_a_quarter_for_requests)
{
        struct blocks blocks;

        blocks_init(&blocks, LIMIT);
        ck_assert(!blocks_charge(&blocks, LIMIT / 4 * 3 + 1));
        ck_assert(!blocks_charge(&blocks, SIZE_MAX));
        ck_assert_uint_eq(blocks.used_bytes, 0);
        ck_assert(blocks_have_room(&blocks, LIMIT / 4 * 3));
        ck_assert(blocks_charge(&blocks, LIMIT / 4 * 3));
        ck_assert(!blocks_have_room(&blocks, 1));
        ck_assert(!blocks_charge(&blocks, 1));
        blocks_deinit(&blocks);
}
TEST_END

TEST(memory_is_scarce_when_half_of_it_is_lent)
{
        struct blocks blocks;

        blocks_init(&blocks, LIMIT);
        ck_assert(!blocks_are_scarce(&blocks));
        ck_assert(blocks_charge(&blocks, LIMIT / 2 + 1));
        ck_assert(blocks_are_scarce(&blocks));
        blocks_release(&blocks, 1);
        ck_assert(!blocks_are_scarce(&blocks));
        blocks_deinit(&blocks);
}
TEST_END

TEST_MAIN("blocks", blocks_are_lent_up_to_the_bound, what_clients_do_not_take_counts_like_blocks,
          what_clients_do_not_take_leaves_a_quarter_for_requests,
          memory_is_scarce_when_half_of_it_is_lent)
