/* A tar's entries one after the other, with a bound on what each takes to describe.
 *
 * libarchive keeps the map of a sparse file in memory while it reads its header, a dozen times of what
 * the map is in the archive, and passes over bodies that nobody has asked for: neither has a limit
 * that could be set. So a body is read to its end before the next header is, and a header may have
 * TAR_HEADER_MAX bytes. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>

#define TAR_HEADER_MAX (2u << 20) /* names, attributes, a sparse file's map */

struct tar_walk {
        size_t header_bytes; /* of the header that is being read */
        bool in_header, in_entry;
};

/* For the callback that feeds `archive`: may it have so many bytes more? False: the header is too
 * long, and the callback must fail. */
bool tar_walk_allows(struct tar_walk *walk, size_t length);

/* As archive_read_next_header(3). */
int tar_walk_next(struct tar_walk *walk, struct archive *archive, struct archive_entry **ret_entry);
