/* Text on the heap for a program that runs for a moment: a command that has no memory left has
 * nothing better to do than to say so and end with CLI_FAILED, so these never return NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The caller frees. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_copy(const char *text);
char *text_copy_span(const char *text, size_t length);
/* Like realloc(3) and calloc(3). */
void *memory_grow(void *memory, size_t count, size_t size);
void *memory_zeroed(size_t count, size_t size);

/* A growing list of owned texts, always ended by NULL. */
struct text_list {
        char **items; /* NULL while empty */
        size_t count;
};

void text_list_add(struct text_list *list, char *text); /* takes the text over */
void text_list_deinit(struct text_list *list);          /* also as AUTO(text_list_deinit) */

bool text_starts_with(const char *text, const char *prefix);
bool text_ends_with(const char *text, const char *suffix);

/* The first two whole numbers in a text ("v20.11.0" has 20 and 11). False where there are fewer. */
bool text_two_numbers(const char *text, unsigned long *ret_first, unsigned long *ret_second);

/* The candidate nearest to `text` by edits (swaps count once), if it is near enough to be a slip of
 * the fingers; else NULL. `candidates` is ended by NULL. */
const char *text_nearest(const char *text, const char *const *candidates);
