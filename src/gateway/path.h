/* Matching paths against patterns such as "/api/v1/functions/{id}/logs". */
#pragma once

#include "base/slice.h"

/* What stood for the holes of a pattern. Nothing is decoded: ids and names need no escapes. */
struct path_holes {
        struct slice id, version;
};

/* Does `path` match? Each hole, "{id}" and "{version}", is one segment that is not empty. On a match it
 * goes to *ret_holes, where what the pattern does not have is left alone. */
static inline bool path_match(const char *pattern, struct slice path, struct path_holes *ret_holes)
{
        struct path_holes holes = *ret_holes;

        while (*pattern) {
                const char *slash = path.length > 0 ? memchr(path.data, '/', path.length) : NULL;
                size_t segment = slash ? (size_t)(slash - path.data) : path.length;
                bool is_id = strncmp(pattern, "{id}", 4) == 0;

                if (is_id || *pattern == '{') {
                        if (segment == 0)
                                return false;
                        *(is_id ? &holes.id : &holes.version) = slice_make(path.data, segment);
                        path = slice_skip(path, segment);
                        pattern = strchr(pattern, '}') + 1;
                } else {
                        if (path.length == 0 || *path.data != *pattern)
                                return false;
                        path = slice_skip(path, 1);
                        pattern++;
                }
        }
        if (path.length > 0)
                return false;
        *ret_holes = holes;
        return true;
}
