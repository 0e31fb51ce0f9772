/* Several trees as one, without a copy: what is in it are hard links to their files. */
#pragma once

#include "adapters/archive/unpack.h"

struct merging {
        int root_fd; /* of the tree that is made; borrowed */
        const struct bundle_limits *limits;
        uint64_t bytes; /* of all files so far, those included that others took the place of */
        uint64_t members;
};

/* Lays the tree at `from_fd`, which was checked and is never changed, over what is there: a folder goes
 * into a folder, anything else takes the place of what has its name. REFUSED: together they are larger
 * than one bundle may be. */
enum stage_result merge_tree(struct merging *merging, int from_fd, struct err *err);

/* The name of the tree of these bundles (hexadecimal digests, in this order). 0 or -ENOMEM. */
int merge_digest(size_t count, const char *const *digests, char ret_digest[DIGEST_LENGTH + 1]);
