/* Matching paths against patterns such as "/api/v1/functions/{id}/logs". */
#pragma once

#include "base/slice.h"

/* Does `path` match? Whatever stands for "{id}" (one segment, not empty) goes to *ret_id, which is
 * left alone where the pattern has none. Nothing is decoded: ids and names need no escapes. */
static inline bool path_match(const char *pattern, struct slice path, struct slice *ret_id)
{
        static const char hole[] = "{id}";
        const char *open = strstr(pattern, hole);
        struct slice before =
                slice_make(pattern, open ? (size_t)(open - pattern) : strlen(pattern));
        struct slice after = slice_of(open ? open + sizeof(hole) - 1 : "");
        struct slice id;

        if (!open)
                return slice_equal(path, before);
        if (path.length <= before.length + after.length || !slice_starts_with(path, before))
                return false;
        id = slice_make(path.data + before.length, path.length - before.length - after.length);
        if (!slice_equal(slice_skip(path, before.length + id.length), after) ||
            memchr(id.data, '/', id.length))
                return false;
        *ret_id = id;
        return true;
}
