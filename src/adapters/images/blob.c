/* Layers' blobs; see blob.h. */
#include "adapters/images/blob.h"

#include "base/text.h"
#include "core/registry/function.h"

#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUOTE(string) text_quote(slice_of(string)).text

/* Reads what lies on the disk; libarchive's callback. */
static la_ssize_t blob_fill(struct archive *archive, void *context, const void **ret_bytes)
{
        struct blob *blob = context;
        ssize_t length;

        blob->result = patience_check(&blob->patience, blob->err);
        if (blob->result != IMAGE_READY)
                goto failed;
        length = read(blob->fd, blob->chunk, sizeof(blob->chunk));
        if (length < 0) {
                blob->result = image_fail(blob->err, -errno, "reading a layer");
                goto failed;
        }
        if (digest_add(&blob->packed, slice_make(blob->chunk, (size_t)length)) < 0) {
                blob->result = image_fail(blob->err, -ENOMEM, "reading a layer");
                goto failed;
        }
        *ret_bytes = blob->chunk;
        return length;
failed:
        archive_set_error(archive, ECANCELED, "ended by us");
        return -1;
}

static enum image_result blob_explain(struct blob *blob)
{
        const char *words = archive_error_string(blob->archive);

        if (blob->result != IMAGE_READY)
                return blob->result;
        if (archive_errno(blob->archive) == ENOMEM)
                blob->result = image_fail(blob->err, -ENOMEM, "unpacking a layer");
        else
                blob->result =
                        image_corrupt(blob->err, "a layer of the image cannot be unpacked: %s",
                                      QUOTE(words ? words : "it is damaged"));
        return blob->result;
}

/* By the first bytes: RFC 1952, section 2.3.1; RFC 8878, section 3.1. */
static int packing_of(int fd)
{
        static const struct {
                struct slice bytes;
                int filter;
        } packings[] = {
                {{"\x1f\x8b", 2}, ARCHIVE_FILTER_GZIP},
                {{"\x28\xb5\x2f\xfd", 4}, ARCHIVE_FILTER_ZSTD},
        };
        char bytes[4];
        ssize_t length = pread(fd, bytes, sizeof(bytes), 0);

        for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]) && length > 0; i++)
                if (slice_starts_with(slice_make(bytes, (size_t)length), packings[i].bytes))
                        return packings[i].filter;
        return ARCHIVE_FILTER_NONE;
}

enum image_result blob_init(struct blob *blob, int fd, const struct patience *patience,
                            uint64_t bytes_left, uint64_t bytes_max, struct err *err)
{
        struct archive_entry *entry;
        int r;

        blob->fd = fd;
        blob->patience = *patience;
        blob->bytes_left = bytes_left;
        blob->bytes_max = bytes_max;
        blob->result = IMAGE_READY;
        blob->ended = false;
        blob->err = err;
        blob->packed = blob->unpacked = (struct digest){0};
        blob->archive = archive_read_new();
        if (!blob->archive || digest_init(&blob->packed) < 0 || digest_init(&blob->unpacked) < 0 ||
            archive_read_support_format_raw(blob->archive) != ARCHIVE_OK ||
            archive_read_support_format_empty(blob->archive) != ARCHIVE_OK ||
            archive_read_append_filter(blob->archive, packing_of(fd)) != ARCHIVE_OK)
                return image_fail(err, -ENOMEM, "unpacking a layer");
        r = archive_read_open(blob->archive, blob, NULL, blob_fill, NULL);
        if (r == ARCHIVE_OK)
                r = archive_read_next_header(blob->archive, &entry);
        /* An empty blob has no entry, and no bytes. */
        blob->ended = r == ARCHIVE_EOF;
        return r == ARCHIVE_OK || r == ARCHIVE_EOF ? IMAGE_READY : blob_explain(blob);
}

void blob_deinit(struct blob *blob)
{
        (void)archive_read_free(blob->archive);
        blob->archive = NULL;
        digest_deinit(&blob->packed);
        digest_deinit(&blob->unpacked);
}

enum image_result blob_read(struct blob *blob, struct slice *ret_bytes)
{
        const void *data = NULL;
        char most[24];
        size_t length = 0;
        la_int64_t offset;
        int r = blob->ended ? ARCHIVE_EOF
                            : archive_read_data_block(blob->archive, &data, &length, &offset);

        if (r == ARCHIVE_EOF) {
                blob->ended = true;
                length = 0;
        } else if (r != ARCHIVE_OK) {
                return blob_explain(blob);
        }
        if (length > blob->bytes_left) {
                size_format(blob->bytes_max, most);
                blob->result = image_refuse(blob->err,
                                            "the image has more than %s when it is unpacked", most);
                return blob->result;
        }
        blob->bytes_left -= length;
        if (length > 0 && digest_add(&blob->unpacked, slice_make(data, length)) < 0) {
                blob->result = image_fail(blob->err, -ENOMEM, "unpacking a layer");
                return blob->result;
        }
        *ret_bytes = slice_make(data, length);
        return IMAGE_READY;
}

/* What no unpacker asks for belongs to the blob all the same. */
static enum image_result blob_drain(struct blob *blob)
{
        struct slice bytes;
        const void *packed;
        enum image_result result;
        la_ssize_t length;

        do {
                result = blob_read(blob, &bytes);
        } while (result == IMAGE_READY && bytes.length > 0);
        if (result != IMAGE_READY)
                return result;
        do {
                length = blob_fill(blob->archive, blob, &packed);
        } while (length > 0);
        return blob->result;
}

enum image_result blob_verify(struct blob *blob, const char *packed_digest,
                              const char *unpacked_digest)
{
        char packed[SHA256_HEX_LENGTH + 1], unpacked[SHA256_HEX_LENGTH + 1];
        enum image_result result = blob_drain(blob);

        if (result != IMAGE_READY)
                return result;
        if (digest_finish(&blob->packed, packed) < 0 ||
            digest_finish(&blob->unpacked, unpacked) < 0)
                return image_fail(blob->err, -ENOMEM, "checking a layer");
        if (strcmp(packed, packed_digest) != 0)
                return image_corrupt(blob->err,
                                     "a layer of the image is not what its manifest says: its "
                                     "digest is %s, not %s",
                                     packed, packed_digest);
        if (strcmp(unpacked, unpacked_digest) != 0)
                return image_corrupt(blob->err,
                                     "a layer of the image is not what its configuration says: "
                                     "unpacked, its digest is %s, not %s",
                                     unpacked, unpacked_digest);
        return IMAGE_READY;
}
