/* A layer's blob as a stream of unpacked bytes, with the digests of both sides.
 *
 * A blob has at most one packing, gzip or Zstandard, told by its first bytes: a packer inside of a
 * packer would let a small blob keep us busy for hours. */
#pragma once

#include "adapters/images/digest.h"
#include "adapters/images/patience.h"

#include <archive.h>

#define BLOB_CHUNK 65536

struct blob {
        int fd; /* the caller's */
        struct patience patience;
        uint64_t bytes_left; /* that may still be unpacked */
        uint64_t bytes_max;  /* of the whole image: for the sentence */
        struct archive *archive;
        struct digest packed, unpacked;
        bool ended; /* there are no more unpacked bytes */
        char chunk[BLOB_CHUNK];
        enum image_result result; /* why reading ended early; IMAGE_READY: it did not */
        struct err *err;          /* where the sentence for it goes */
};

/* `fd` stands at the blob's beginning. The caller calls blob_deinit(), after a failure as well. */
enum image_result blob_init(struct blob *blob, int fd, const struct patience *patience,
                            uint64_t bytes_left, uint64_t bytes_max, struct err *err);
void blob_deinit(struct blob *blob); /* also as AUTO(blob_deinit) */

/* The next piece, borrowed until the next call; empty at the end. */
enum image_result blob_read(struct blob *blob, struct slice *ret_bytes);

/* Reads both streams to their ends and compares: is it the blob that was asked for, and are they
 * the bytes that the image's configuration means? */
enum image_result blob_verify(struct blob *blob, const char *packed_digest,
                              const char *unpacked_digest);
