/* From an upload to a tree of files: the one place that reads archives. */
#pragma once

#include "adapters/archive/content.h"

struct bundle_limits {
        uint64_t unpacked_bytes;
        uint32_t members; /* files, links and folders */
        uint32_t ratio;   /* unpacked to packed, once 16 MiB are unpacked */
};

#define BUNDLE_LIMITS_DEFAULT                                                                      \
        ((struct bundle_limits){.unpacked_bytes = 256ull << 20, .members = 20000, .ratio = 200})

/* Unpacks a zip, tar or tar.gz, told by its first bytes, into an empty folder, and checks the result
 * as a whole. Anything else is a single file, which gets the name `file_name`, or where that is NULL is
 * refused. Whatever it returns, the folder may hold something afterwards.
 *
 * The thread's locale must be one of UTF-8: libarchive converts names to it. */
enum stage_result bundle_unpack(int root_fd, struct slice code, const char *file_name,
                                const struct bundle_limits *limits, struct err *err);
