/* A growing, bounded run of bytes; see buffer.h. */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_FIRST_CAPACITY 256

void buffer_init(struct buffer *buffer, size_t limit)
{
        *buffer = (struct buffer){.limit = limit};
}

void buffer_deinit(struct buffer *buffer)
{
        free(buffer->data);
        buffer->data = NULL;
        buffer->length = buffer->capacity = 0;
}

int buffer_reserve(struct buffer *buffer, size_t extra)
{
        size_t needed;
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST_CAPACITY;
        char *data;

        if (__builtin_add_overflow(buffer->length, extra, &needed) || needed > buffer->limit)
                return -ENOBUFS;
        if (needed <= buffer->capacity)
                return 0;
        if (needed > PTRDIFF_MAX) /* no object is larger; nor can doubling overflow below it */
                return -ENOMEM;

        while (capacity < needed)
                capacity *= 2;
        if (capacity > buffer->limit)
                capacity = buffer->limit;
        /* The byte beyond is for the NUL that vsnprintf(3) insists on. */
        data = realloc(buffer->data, capacity + 1);
        if (!data)
                return -ENOMEM;
        buffer->data = data;
        buffer->capacity = capacity;
        return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t length)
{
        int r = buffer_reserve(buffer, length);
        if (r < 0)
                return r;
        if (length > 0)
                memcpy(buffer->data + buffer->length, data, length);
        buffer->length += length;
        return 0;
}

int buffer_append_text(struct buffer *buffer, const char *text)
{
        return buffer_append(buffer, text, strlen(text));
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
        va_list args, again;
        int length, r;

        va_start(args, format);
        va_copy(again, args);
        length = vsnprintf(NULL, 0, format, args);
        va_end(args);
        r = length < 0 ? -EINVAL : buffer_reserve(buffer, (size_t)length);
        if (r == 0 && length > 0) {
                (void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
                buffer->length += (size_t)length;
        }
        va_end(again);
        return r;
}

void buffer_consume(struct buffer *buffer, size_t count)
{
        if (count >= buffer->length) {
                buffer->length = 0;
                return;
        }
        memmove(buffer->data, buffer->data + count, buffer->length - count);
        buffer->length -= count;
}

void buffer_clear(struct buffer *buffer)
{
        buffer->length = 0;
}

void buffer_clear_down_to(struct buffer *buffer, size_t keep)
{
        if (buffer->capacity > keep)
                buffer_deinit(buffer);
        else
                buffer_clear(buffer);
}

void buffer_swap(struct buffer *a, struct buffer *b)
{
        const struct buffer before = *a;

        *a = (struct buffer){b->data, b->length, b->capacity, before.limit};
        *b = (struct buffer){before.data, before.length, before.capacity, b->limit};
}
