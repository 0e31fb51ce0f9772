/* A table of immutable, shared values in order of their ids, with hash indexes over their keys.
 *
 * A table is never changed: table_merge() makes the next one from the last. An entry carries the
 * hashes of its item's keys, so that merging ten thousand items looks only at those that are new.
 * An index is an array of chain heads and, beside the entries, of next places; chains run in order
 * of id, so that one chain also lists everything that shares a key.
 */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define TABLE_KEYS_MAX 6

/* What a table must know of its items. */
struct table_kind {
        size_t key_count;
        const char *(*id)(const void *item);
        void (*hash_keys)(const void *item, uint64_t seed, uint32_t *ret_hashes);
        void (*ref)(void *item);
        void (*unref)(void *item);
};

/* What becomes of one id. */
struct table_edit {
        const char *id;
        void *item; /* NULL: it is removed */
};

typedef uint32_t table_place; /* position + 1; 0 is nowhere */

struct table_entry {
        void *item; /* one reference */
        uint32_t hashes[TABLE_KEYS_MAX];
};

struct table_index {
        uint32_t mask;
        table_place *heads; /* mask + 1 of them; owned, `next` lies behind */
        table_place *next;  /* one an entry */
};

struct table {
        const struct table_kind *kind;
        size_t count;
        struct table_entry *entries;
        struct table_index indexes[TABLE_KEYS_MAX];
};

/* A table of `old`'s items and the edits, which are sorted by id and have each id once. `drop`, if
 * not NULL, says of each item whether it is left out. False without memory. */
bool table_merge(const struct table *old, const struct table_edit *edits, size_t edit_count,
                 uint64_t seed, bool (*drop)(const void *item, const void *context),
                 const void *context, struct table *ret_table);
void table_deinit(struct table *table);

/* Walks the items whose key number `key` has this hash: begin with place 0; NULL at the end. */
void *table_next(const struct table *table, size_t key, uint32_t hash, table_place *place);
