/* What fuzz harnesses share. */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls it, or tests/fuzz/replay.c. Always returns 0; a broken promise aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_EXPECT(condition)                                                                     \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);   \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

/* A copy of exact size, so that a sanitizer sees the first byte too far. The caller frees it. */
static inline char *fuzz_copy(const void *data, size_t length)
{
        char *copy = malloc(length ? length : 1);

        FUZZ_EXPECT(copy);
        if (length > 0)
                memcpy(copy, data, length);
        return copy;
}

/* Takes text up to and without `end` off the front, or all that is left. */
static inline struct slice fuzz_take_until(struct slice *input, char end)
{
        const char *mark = input->length > 0 ? memchr(input->data, end, input->length) : NULL;
        size_t length = mark ? (size_t)(mark - input->data) : input->length;
        struct slice taken = slice_make(input->data, length);

        *input = slice_skip(*input, mark ? length + 1 : length);
        return taken;
}
