/* A layer from bytes to a folder, as both the unit tests and the fuzzer tell it. */
#pragma once

#include "adapters/images/blob.h"
#include "adapters/images/layer.h"
#include "adapters/images/root.h"
#include "base/auto.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_bool story_stopping;

static inline struct patience story_patience(void)
{
        return (struct patience){.deadline_ns = clock_now_ns() + 60 * NS_PER_S,
                                 .stopping = &story_stopping};
}

/* A descriptor with these bytes, at their beginning; -1 where it cannot be. */
static inline int story_blob(struct slice bytes)
{
        int fd = memfd_create("blob", MFD_CLOEXEC);

        if (fd >= 0 && bytes.length > 0 &&
            write(fd, bytes.data, bytes.length) != (ssize_t)bytes.length)
                fd_close(&fd);
        if (fd >= 0)
                (void)lseek(fd, 0, SEEK_SET);
        return fd;
}

/* The digests that an honest manifest and configuration would name. False for what is damaged. */
static inline bool story_digests(struct slice bytes, uint64_t most, char ret_packed[65],
                                 char ret_unpacked[65])
{
        AUTO(fd_close) int fd = story_blob(bytes);
        AUTO(digest_deinit) struct digest unpacked = {0};
        struct blob *blob = calloc(1, sizeof(*blob));
        struct patience patience = story_patience();
        enum image_result result;
        struct slice piece;
        struct err err;

        if (fd < 0 || !blob || digest_init(&unpacked) < 0 || digest_of(bytes, ret_packed) < 0)
                abort();
        result = blob_init(blob, fd, &patience, most, most, &err);
        do {
                if (result == IMAGE_READY)
                        result = blob_read(blob, &piece);
                if (result == IMAGE_READY && piece.length > 0 && digest_add(&unpacked, piece) < 0)
                        abort();
        } while (result == IMAGE_READY && piece.length > 0);
        blob_deinit(blob);
        free(blob);
        return result == IMAGE_READY && digest_finish(&unpacked, ret_unpacked) == 0;
}
