/* Frames of the worker protocol; see worker_protocol.h. */
#include "wire/worker_protocol.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>

#define CALL_FLAGS (WORKER_FLAG_END | WORKER_FLAG_HTTP)
#define READY_FLAGS (CALL_FLAGS | WORKER_FLAG_LANES | WORKER_FLAG_TRUNKS | WORKER_FLAG_RING)

struct wire_header {
        uint8_t type, flags;
        uint16_t meta_length;
        uint32_t id;
        uint64_t value;
};

_Static_assert(sizeof(struct wire_header) == WORKER_HEADER_SIZE, "no padding");

void worker_frame_encode_header(const struct worker_frame *frame, void *ret_header)
{
        struct wire_header header = {
                .type = (uint8_t)frame->type,
                .flags = frame->flags,
                .meta_length = htole16((uint16_t)frame->meta.length),
                .id = htole32(frame->id),
                .value = htole64(frame->value),
        };

        assert(frame->meta.length <= WORKER_META_MAX);
        memcpy(ret_header, &header, sizeof(header));
}

void worker_header_address(void *bytes, uint32_t id, uint64_t value)
{
        struct wire_header header;

        memcpy(&header, bytes, sizeof(header));
        header.id = htole32(id);
        header.value = htole64(value);
        memcpy(bytes, &header, sizeof(header));
}

void worker_header_end(void *bytes)
{
        struct wire_header header;

        memcpy(&header, bytes, sizeof(header));
        header.flags |= WORKER_FLAG_END;
        memcpy(bytes, &header, sizeof(header));
}

int worker_frame_decode(const void *message, size_t length, struct worker_frame *ret_frame)
{
        struct wire_header header;
        const char *body = (const char *)message + sizeof(header);
        size_t body_length, meta_length;

        if (length < sizeof(header) || length > WORKER_FRAME_MAX)
                return -EPROTO;
        memcpy(&header, message, sizeof(header));
        body_length = length - sizeof(header);
        meta_length = le16toh(header.meta_length);
        if (header.type < WORKER_INVOKE || header.type > WORKER_BELL)
                return -EPROTO;
        if (header.flags & ~(header.type == WORKER_READY ? READY_FLAGS : CALL_FLAGS))
                return -EPROTO;
        if (meta_length > body_length || meta_length > WORKER_META_MAX)
                return -EPROTO;

        *ret_frame = (struct worker_frame){
                .type = (enum worker_frame_type)header.type,
                .flags = header.flags,
                .id = le32toh(header.id),
                .value = le64toh(header.value),
                .meta = slice_make(body, meta_length),
                .payload = slice_make(body + meta_length, body_length - meta_length),
        };
        return 0;
}

uint64_t worker_start_encode(const struct worker_start *start)
{
        return (uint64_t)start->interpreter_us << 32 | start->import_us;
}

int worker_start_decode(uint64_t value, uint64_t most_us, struct worker_start *ret_start)
{
        struct worker_start start = {.interpreter_us = (uint32_t)(value >> 32),
                                     .import_us = (uint32_t)value};

        if ((uint64_t)start.interpreter_us + start.import_us > most_us)
                return -EPROTO;
        *ret_start = start;
        return 0;
}

/* A token character (RFC 9110, section 5.6.2). */
static bool is_name_byte(unsigned char byte)
{
        if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
            (byte >= 'A' && byte <= 'Z'))
                return true;
        return byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

/* Visible, blank, tab or beyond ASCII (RFC 9110, section 5.5). */
static bool is_value_byte(unsigned char byte)
{
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

const char *worker_boot_next_string(struct slice *strings)
{
        const char *string = strings->data;
        const char *nul = strings->length > 0 ? memchr(string, '\0', strings->length) : NULL;

        if (!nul)
                return NULL;
        *strings = slice_skip(*strings, (size_t)(nul - string) + 1);
        return string;
}

bool worker_meta_next_line(struct slice *meta, struct slice *ret_line)
{
        const char *end = meta->length > 0 ? memchr(meta->data, '\n', meta->length) : NULL;

        if (!end)
                return false;
        *ret_line = slice_make(meta->data, (size_t)(end - meta->data));
        *meta = slice_skip(*meta, ret_line->length + 1);
        return true;
}

bool worker_meta_next_header(struct slice *meta, struct slice *ret_name, struct slice *ret_value,
                             int *ret_error)
{
        struct slice line, name, value;
        const char *colon;

        *ret_error = 0;
        if (meta->length == 0)
                return false;

        *ret_error = -EPROTO;
        if (!worker_meta_next_line(meta, &line) || line.length == 0)
                return false;
        colon = memchr(line.data, ':', line.length);
        if (!colon || colon == line.data)
                return false;
        name = slice_make(line.data, (size_t)(colon - line.data));
        value = slice_skip(line, name.length + 1);
        for (size_t i = 0; i < name.length; i++)
                if (!is_name_byte((unsigned char)name.data[i]))
                        return false;
        for (size_t i = 0; i < value.length; i++)
                if (!is_value_byte((unsigned char)value.data[i]))
                        return false;

        *ret_error = 0;
        *ret_name = name;
        *ret_value = value;
        return true;
}
