/* Text on the heap; see text.h. */
#include "cli/text.h"

#include "cli/cli.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAREST_LENGTH_MAX 48

static void *memory_checked(void *memory)
{
        if (!memory) {
                (void)fputs("magpie: out of memory\n", stderr);
                exit(CLI_FAILED);
        }
        return memory;
}

void *memory_grow(void *memory, size_t count, size_t size)
{
        return memory_checked(reallocarray(memory, count ? count : 1, size));
}

void *memory_zeroed(size_t count, size_t size)
{
        return memory_checked(calloc(count ? count : 1, size));
}

char *text_format(const char *format, ...)
{
        va_list args;
        char *text = NULL;
        int length;

        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        return memory_checked(length < 0 ? NULL : text);
}

char *text_copy(const char *text)
{
        return memory_checked(strdup(text));
}

char *text_copy_span(const char *text, size_t length)
{
        return memory_checked(strndup(text, length));
}

void text_list_add(struct text_list *list, char *text)
{
        list->items = memory_grow(list->items, list->count + 2, sizeof(*list->items));
        list->items[list->count++] = text;
        list->items[list->count] = NULL;
}

void text_list_deinit(struct text_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                free(list->items[i]);
        free(list->items);
        *list = (struct text_list){0};
}

bool text_starts_with(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *text, const char *suffix)
{
        size_t length = strlen(text), tail = strlen(suffix);
        return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

bool text_two_numbers(const char *text, unsigned long *ret_first, unsigned long *ret_second)
{
        static const char digits[] = "0123456789";
        const char *first = strpbrk(text, digits);
        const char *second = first ? strpbrk(first + strspn(first, digits), digits) : NULL;

        if (!second)
                return false;
        *ret_first = strtoul(first, NULL, 10);
        *ret_second = strtoul(second, NULL, 10);
        return true;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
        size_t least = a < b ? a : b;
        return least < c ? least : c;
}

/* Edits between two words: insert, delete, change, swap of neighbours ("optimal string alignment").
 * Both are at most NEAREST_LENGTH_MAX long. */
static size_t text_distance(const char *a, const char *b)
{
        size_t rows[NEAREST_LENGTH_MAX + 1][NEAREST_LENGTH_MAX + 1];
        size_t a_length = strlen(a), b_length = strlen(b);

        for (size_t i = 0; i <= a_length; i++)
                rows[i][0] = i;
        for (size_t j = 0; j <= b_length; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_length; i++) {
                for (size_t j = 1; j <= b_length; j++) {
                        size_t change = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                        rows[i][j] = smallest(rows[i - 1][j] + 1, rows[i][j - 1] + 1, change);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            rows[i - 2][j - 2] + 1 < rows[i][j])
                                rows[i][j] = rows[i - 2][j - 2] + 1;
                }
        }
        return rows[a_length][b_length];
}

const char *text_nearest(const char *text, const char *const *candidates)
{
        const char *nearest = NULL;
        size_t length = strlen(text), best = SIZE_MAX;

        if (length > NEAREST_LENGTH_MAX)
                return NULL;
        for (; *candidates; candidates++) {
                size_t most = strlen(*candidates) <= 3 ? 1 : strlen(*candidates) <= 6 ? 2 : 3;
                if (strlen(*candidates) > NEAREST_LENGTH_MAX)
                        continue;
                size_t distance = text_distance(text, *candidates);
                if (length >= 2 && text_starts_with(*candidates, text))
                        distance = 1; /* a word that was begun: `magpie dep` */
                if (distance <= most && distance < best && distance < length) {
                        best = distance;
                        nearest = *candidates;
                }
        }
        return nearest;
}
