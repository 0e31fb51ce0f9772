/* One layer of an image, from its blob to a folder (OCI image specification 1.1, "layer.md").
 *
 * What a layer removes from those below it stays in the folder as what the specification has for it:
 * an empty file ".wh.NAME", or ".wh..wh..opq" for all of a folder. root.h carries it out.
 *
 * Files are 0644 or 0755, folders 0755, and all belong to us: owners, set-user-id bits and extended
 * attributes are not kept, devices, pipes and sockets are left out. Links lead wherever they like,
 * for nobody follows them here. */
#pragma once

#include "adapters/images/image_manifest.h"
#include "adapters/images/patience.h"

/* What a whole image may have; each layer takes from it. */
struct layer_budget {
        uint64_t bytes_max; /* for the sentence */
        uint64_t bytes_left;
        uint32_t entries_max, entries_left;
};

struct layer_source {
        int blob_fd; /* at its beginning */
        const char *digest, *diff_id;
};

/* Unpacks into an empty folder. Whatever it returns, the folder may hold something afterwards.
 * *ret_bytes is what it takes on the disk, about.
 *
 * The thread's locale must be one of UTF-8: libarchive converts names to it. */
enum image_result layer_unpack(const struct layer_source *source, int root_fd,
                               const struct patience *patience, struct layer_budget *budget,
                               uint64_t *ret_bytes, struct err *err);

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
