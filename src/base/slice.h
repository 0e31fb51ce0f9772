/* A borrowed run of bytes: not NUL-terminated, never owned. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
        const char *data;
        size_t length;
};

#define SLICE(literal) ((struct slice){.data = (literal), .length = sizeof(literal) - 1})

static inline struct slice slice_of(const char *text)
{
        return (struct slice){.data = text, .length = strlen(text)};
}

static inline struct slice slice_make(const char *data, size_t length)
{
        return (struct slice){.data = data, .length = length};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
        return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* ASCII case is ignored; no locale has a say. */
static inline bool slice_equal_fold(struct slice a, struct slice b)
{
        if (a.length != b.length)
                return false;
        for (size_t i = 0; i < a.length; i++) {
                unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
                if (x == y)
                        continue;
                if ((x ^ y) != 0x20 || (x | 0x20) < 'a' || (x | 0x20) > 'z')
                        return false;
        }
        return true;
}

static inline bool slice_starts_with(struct slice text, struct slice prefix)
{
        return text.length >= prefix.length &&
               (prefix.length == 0 || memcmp(text.data, prefix.data, prefix.length) == 0);
}

/* ASCII case is ignored. */
static inline bool slice_starts_with_fold(struct slice text, struct slice prefix)
{
        return text.length >= prefix.length &&
               slice_equal_fold((struct slice){.data = text.data, .length = prefix.length}, prefix);
}

static inline struct slice slice_skip(struct slice text, size_t count)
{
        return (struct slice){.data = text.data + count, .length = text.length - count};
}
