/* Sorted entries and their indexes; see table.h. */
#include "core/registry/table.h"

#include <stdlib.h>

/* Where `id` is among the entries from `from` on, or where it would be. */
static size_t table_find_position(const struct table *table, const char *id, size_t from,
                                  bool *ret_found)
{
        size_t low = from, high = table->count;

        *ret_found = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(table->kind->id(table->entries[middle].item), id);
                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void table_append(struct table *table, const struct table_entry *entry,
                         bool (*drop)(const void *item, const void *context), const void *context)
{
        if (drop && drop(entry->item, context))
                return;
        table->kind->ref(entry->item);
        table->entries[table->count++] = *entry;
}

static bool index_build(struct table *table, size_t key)
{
        struct table_index *index = &table->indexes[key];
        size_t buckets = 1;

        while (buckets < 2 * table->count)
                buckets *= 2;
        index->heads = calloc(buckets + table->count, sizeof(*index->heads));
        if (!index->heads)
                return false;
        index->mask = (uint32_t)(buckets - 1);
        index->next = index->heads + buckets;
        /* From the last to the first, so that chains run from the first to the last. */
        for (size_t i = table->count; i-- > 0;) {
                table_place *head = &index->heads[table->entries[i].hashes[key] & index->mask];
                index->next[i] = *head;
                *head = (table_place)(i + 1);
        }
        return true;
}

bool table_merge(const struct table *old, const struct table_edit *edits, size_t edit_count,
                 uint64_t seed, bool (*drop)(const void *item, const void *context),
                 const void *context, struct table *ret_table)
{
        struct table table = {.kind = old->kind};
        size_t position = 0;

        table.entries = calloc(old->count + edit_count + 1, sizeof(*table.entries));
        if (!table.entries)
                return false;
        for (size_t i = 0; i < edit_count; i++) {
                bool found;
                size_t at = table_find_position(old, edits[i].id, position, &found);
                for (; position < at; position++)
                        table_append(&table, &old->entries[position], drop, context);
                position += found;
                if (edits[i].item) {
                        struct table_entry entry = {.item = edits[i].item};
                        old->kind->hash_keys(entry.item, seed, entry.hashes);
                        table_append(&table, &entry, drop, context);
                }
        }
        for (; position < old->count; position++)
                table_append(&table, &old->entries[position], drop, context);

        for (size_t key = 0; key < old->kind->key_count; key++) {
                if (!index_build(&table, key)) {
                        table_deinit(&table);
                        return false;
                }
        }
        *ret_table = table;
        return true;
}

void table_deinit(struct table *table)
{
        for (size_t i = 0; i < table->count; i++)
                table->kind->unref(table->entries[i].item);
        for (size_t key = 0; key < TABLE_KEYS_MAX; key++)
                free(table->indexes[key].heads);
        free(table->entries);
        *table = (struct table){.kind = table->kind};
}

void *table_next(const struct table *table, size_t key, uint32_t hash, table_place *place)
{
        const struct table_index *index = &table->indexes[key];
        table_place at = *place == 0 ? index->heads[hash & index->mask] : index->next[*place - 1];

        while (at != 0 && table->entries[at - 1].hashes[key] != hash)
                at = index->next[at - 1];
        *place = at;
        return at == 0 ? NULL : table->entries[at - 1].item;
}
