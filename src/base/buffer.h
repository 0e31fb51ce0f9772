/* A growing run of bytes that knows its bound. Appending beyond `limit` fails with -ENOBUFS, so
 * that nothing from outside decides how much memory is used. */
#pragma once

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct buffer {
        char *data;      /* owned; NULL while empty */
        size_t length;   /* bytes in use */
        size_t capacity; /* bytes allocated */
        size_t limit;    /* bytes that may be used at most */
};

void buffer_init(struct buffer *buffer, size_t limit);
void buffer_deinit(struct buffer *buffer); /* also as AUTO(buffer_deinit) */

/* 0, -ENOBUFS beyond the limit, -ENOMEM. On failure the buffer is as it was. */
int buffer_reserve(struct buffer *buffer, size_t extra);
int buffer_append(struct buffer *buffer, const void *data, size_t length);
int buffer_append_text(struct buffer *buffer, const char *text);
int buffer_printf(struct buffer *buffer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes, keeps the rest. */
void buffer_consume(struct buffer *buffer, size_t count);
/* Keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Keeps the memory where it is no more than `keep` bytes. */
void buffer_clear_down_to(struct buffer *buffer, size_t keep);
/* Exchanges what they hold, not the limits. */
void buffer_swap(struct buffer *a, struct buffer *b);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
        return slice_make(buffer->data, buffer->length);
}
