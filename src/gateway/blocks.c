/* Blocks of memory; see blocks.h. */
#include "gateway/blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_KEPT 256
#define LARGE_KEPT 16

void blocks_init(struct blocks *blocks, size_t limit_bytes)
{
        *blocks = (struct blocks){.limit_bytes = limit_bytes};
}

static void blocks_free_stock(struct block *block)
{
        while (block) {
                struct block *next = block->next;
                free(block);
                block = next;
        }
}

void blocks_deinit(struct blocks *blocks)
{
        blocks_free_stock(blocks->small);
        blocks_free_stock(blocks->large);
        blocks->small = blocks->large = NULL;
}

struct block *block_take(struct blocks *blocks, size_t size)
{
        uint32_t capacity = size <= BLOCK_SMALL ? BLOCK_SMALL : BLOCK_LARGE;

        return blocks->used_bytes + capacity > blocks->limit_bytes
                       ? NULL
                       : block_take_anyway(blocks, size);
}

struct block *block_take_anyway(struct blocks *blocks, size_t size)
{
        bool is_small = size <= BLOCK_SMALL;
        struct block **stock = is_small ? &blocks->small : &blocks->large;
        uint32_t capacity = is_small ? BLOCK_SMALL : BLOCK_LARGE;
        struct block *block = *stock;

        assert(size <= BLOCK_LARGE);
        if (block) {
                *stock = block->next;
                *(is_small ? &blocks->small_count : &blocks->large_count) -= 1;
        } else {
                block = malloc(sizeof(*block) + capacity);
                if (!block)
                        return NULL;
                block->capacity = capacity;
        }
        block->next = NULL;
        block->start = block->end = 0;
        blocks->used_bytes += capacity;
        return block;
}

void block_give(struct blocks *blocks, struct block *block)
{
        bool is_small;

        if (!block)
                return;
        explicit_bzero(block->data, block->end);
        is_small = block->capacity == BLOCK_SMALL;
        blocks->used_bytes -= block->capacity;
        if (is_small ? blocks->small_count >= SMALL_KEPT : blocks->large_count >= LARGE_KEPT) {
                free(block);
                return;
        }
        block->next = is_small ? blocks->small : blocks->large;
        *(is_small ? &blocks->small : &blocks->large) = block;
        *(is_small ? &blocks->small_count : &blocks->large_count) += 1;
}

bool blocks_have_room(const struct blocks *blocks, size_t bytes)
{
        size_t most = blocks->limit_bytes - blocks->limit_bytes / 4;

        return blocks->used_bytes < most && bytes <= most - blocks->used_bytes;
}

bool blocks_charge(struct blocks *blocks, size_t bytes)
{
        if (!blocks_have_room(blocks, bytes))
                return false;
        blocks->used_bytes += bytes;
        return true;
}

void blocks_release(struct blocks *blocks, size_t bytes)
{
        assert(bytes <= blocks->used_bytes);
        blocks->used_bytes -= bytes;
}

bool blocks_are_scarce(const struct blocks *blocks)
{
        return blocks->used_bytes > blocks->limit_bytes / 2;
}
