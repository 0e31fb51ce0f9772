/* A borrowed run of bytes: not NUL-terminated, never owned. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

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

/* ASCII case is ignored. */
static inline bool slice_equal_fold(struct slice a, struct slice b)
{
        return a.length == b.length && (a.length == 0 || strncasecmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_starts_with(struct slice text, struct slice prefix)
{
        return text.length >= prefix.length &&
               (prefix.length == 0 || memcmp(text.data, prefix.data, prefix.length) == 0);
}

static inline struct slice slice_skip(struct slice text, size_t count)
{
        return (struct slice){.data = text.data + count, .length = text.length - count};
}
