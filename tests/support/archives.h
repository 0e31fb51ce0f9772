/* Archives made byte by byte, so that a test can put into them what no honest packer would. */
#pragma once

#include "base/buffer.h"

#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline void put(struct buffer *to, const void *data, size_t length)
{
        ck_assert_int_eq(buffer_append(to, data, length), 0);
}

static inline void put_u16(struct buffer *to, uint32_t value)
{
        put(to, (unsigned char[]){value & 255, value >> 8 & 255}, 2);
}

static inline void put_u32(struct buffer *to, uint32_t value)
{
        put_u16(to, value & 0xffff);
        put_u16(to, value >> 16);
}

/* A zip with stored members: APPNOTE.TXT 6.3.10, section 4.3. */
struct zip {
        struct buffer bytes;     /* the archive so far */
        struct buffer directory; /* its central directory */
        uint32_t members;
        uint32_t flags; /* of the members to come: 1 says encrypted, 2048 UTF-8 */
};

static inline void zip_begin(struct zip *zip)
{
        *zip = (struct zip){.flags = 2048};
        buffer_init(&zip->bytes, 1 << 28);
        buffer_init(&zip->directory, 1 << 28);
}

static inline uint32_t zip_crc32(struct slice content)
{
        uint32_t crc = 0xffffffff;

        for (size_t i = 0; i < content.length; i++) {
                crc ^= (unsigned char)content.data[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        return ~crc;
}

/* What the local header and the one in the directory have in common. */
static inline void zip_put_common(struct buffer *to, const struct zip *zip, struct slice name,
                                  struct slice content)
{
        put_u16(to, 20); /* version needed */
        put_u16(to, zip->flags);
        put_u32(to, 0);    /* stored; time */
        put_u16(to, 0x21); /* date */
        put_u32(to, zip_crc32(content));
        put_u32(to, (uint32_t)content.length);
        put_u32(to, (uint32_t)content.length);
        put_u16(to, (uint32_t)name.length);
        put_u16(to, 0); /* extra */
}

static inline void zip_add(struct zip *zip, struct slice name, mode_t mode, struct slice content)
{
        uint32_t offset = (uint32_t)zip->bytes.length;

        put(&zip->bytes, "PK\3\4", 4);
        zip_put_common(&zip->bytes, zip, name, content);
        put(&zip->bytes, name.data, name.length);
        put(&zip->bytes, content.data, content.length);

        put(&zip->directory, "PK\1\2", 4);
        put_u16(&zip->directory, 3 << 8 | 20); /* made on Unix */
        zip_put_common(&zip->directory, zip, name, content);
        put_u32(&zip->directory, 0); /* comment, disk */
        put_u16(&zip->directory, 0);
        put_u32(&zip->directory, mode << 16);
        put_u32(&zip->directory, offset);
        put(&zip->directory, name.data, name.length);
        zip->members++;
}

/* The finished archive; buffer_deinit(&zip->bytes) frees it. */
static inline struct slice zip_end(struct zip *zip)
{
        uint32_t offset = (uint32_t)zip->bytes.length;

        put(&zip->bytes, zip->directory.data, zip->directory.length);
        put(&zip->bytes, "PK\5\6", 4);
        put_u32(&zip->bytes, 0);
        put_u16(&zip->bytes, zip->members);
        put_u16(&zip->bytes, zip->members);
        put_u32(&zip->bytes, (uint32_t)zip->directory.length);
        put_u32(&zip->bytes, offset);
        put_u16(&zip->bytes, 0);
        buffer_deinit(&zip->directory);
        return buffer_slice(&zip->bytes);
}

/* A ustar member: type '0' file, '1' hard link, '2' link, '3' '4' devices, '5' folder, '6' fifo. */
static inline void tar_add(struct buffer *tar, const char *name, char type, mode_t mode,
                           const char *link, struct slice content)
{
        static const char zeros[512];
        char header[512] = {0};
        unsigned sum = 0;

        ck_assert_uint_lt(strlen(name), 100);
        memcpy(header, name, strlen(name));
        (void)snprintf(header + 100, 8, "%07o", mode);
        (void)snprintf(header + 108, 8, "%07o", 0);
        (void)snprintf(header + 116, 8, "%07o", 0);
        (void)snprintf(header + 124, 12, "%011zo", content.length);
        (void)snprintf(header + 136, 12, "%011o", 1700000000);
        memset(header + 148, ' ', 8);
        header[156] = type;
        memcpy(header + 157, link, strlen(link));
        memcpy(header + 257, "ustar\00000", 8);
        for (size_t i = 0; i < sizeof(header); i++)
                sum += (unsigned char)header[i];
        (void)snprintf(header + 148, 8, "%06o", sum);
        put(tar, header, sizeof(header));
        put(tar, content.data, content.length);
        put(tar, zeros, (512 - content.length % 512) % 512);
}

static inline void tar_end(struct buffer *tar)
{
        static const char zeros[1024];

        put(tar, zeros, sizeof(zeros));
}

/* Appends the gzipped bytes. */
static inline void gzip(struct slice plain, struct buffer *to)
{
        size_t size = plain.length + plain.length / 100 + 4096, used = 0;
        char *packed = malloc(size);
        struct archive *archive = archive_write_new();
        struct archive_entry *entry = archive_entry_new();

        ck_assert_ptr_nonnull(packed);
        ck_assert_int_eq(archive_write_set_format_raw(archive), ARCHIVE_OK);
        ck_assert_int_eq(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
        ck_assert_int_eq(archive_write_open_memory(archive, packed, size, &used), ARCHIVE_OK);
        archive_entry_set_pathname(entry, "x");
        archive_entry_set_filetype(entry, AE_IFREG);
        ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
        ck_assert_int_eq(archive_write_data(archive, plain.data, plain.length),
                         (ssize_t)plain.length);
        ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
        put(to, packed, used);
        archive_entry_free(entry);
        archive_write_free(archive);
        free(packed);
}
