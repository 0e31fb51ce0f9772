/* Entries of a tar; see tar_walk.h. */
#include "adapters/archive/tar_walk.h"

bool tar_walk_allows(struct tar_walk *walk, size_t length)
{
        if (!walk->in_header)
                return true;
        walk->header_bytes += length;
        return walk->header_bytes <= TAR_HEADER_MAX;
}

/* What is left of the body: a folder, and another name of a file, may have one, too. */
static int finish_entry(struct archive *archive)
{
        la_int64_t offset;
        const void *data;
        size_t length;
        int r;

        do
                r = archive_read_data_block(archive, &data, &length, &offset);
        while (r == ARCHIVE_OK || r == ARCHIVE_WARN);
        return r;
}

int tar_walk_next(struct tar_walk *walk, struct archive *archive, struct archive_entry **ret_entry)
{
        int r = walk->in_entry ? finish_entry(archive) : ARCHIVE_EOF;

        if (r != ARCHIVE_EOF)
                return r;
        walk->in_header = true;
        walk->header_bytes = 0;
        r = archive_read_next_header(archive, ret_entry);
        walk->in_header = false;
        walk->in_entry = r == ARCHIVE_OK || r == ARCHIVE_WARN;
        return r;
}
