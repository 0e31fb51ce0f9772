/* Blocks of memory for bytes in flight: borrowed from a per-thread stock, wiped when given back,
 * and bounded in sum, so that slow clients and long lines cannot use up the machine.
 *
 * An idle connection holds none. A wiped block never shows one tenant's bytes to another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SMALL 4096u
#define BLOCK_LARGE 69632u /* a worker frame and a little more */

struct block {
        struct block *next; /* in the stock */
        uint32_t capacity;
        uint32_t start, end; /* the bytes in use */
        char data[];
};

struct blocks {
        struct block *small, *large;
        size_t small_count, large_count; /* in the stock */
        size_t used_bytes, limit_bytes;  /* lent out, and charged */
};

void blocks_init(struct blocks *blocks, size_t limit_bytes);
void blocks_deinit(struct blocks *blocks);
/* An empty block that holds `size` (<= BLOCK_LARGE) bytes, or NULL beyond the bound. */
struct block *block_take(struct blocks *blocks, size_t size);
/* The same, beyond the bound too: for what is bounded otherwise. */
struct block *block_take_anyway(struct blocks *blocks, size_t size);
void block_give(struct blocks *blocks, struct block *block); /* NULL is fine */

/* Bytes of answers that lie elsewhere until their clients take them count too. They leave a quarter
 * of the memory to requests: who does not read shall not keep out those who do. */
bool blocks_have_room(const struct blocks *blocks, size_t bytes);
/* False beyond that; then nothing is charged. */
bool blocks_charge(struct blocks *blocks, size_t bytes);
void blocks_release(struct blocks *blocks, size_t bytes);
/* Who can do with less should: half of the memory is in use. */
bool blocks_are_scarce(const struct blocks *blocks);

static inline size_t block_length(const struct block *block)
{
        return block ? block->end - block->start : 0;
}
