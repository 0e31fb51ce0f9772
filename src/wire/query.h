/* The text of a URL: percent-decoding (RFC 3986, section 2.1) and the parameters of a query. */
#pragma once

#include "base/slice.h"

enum percent_flag {
        PERCENT_PLUS_IS_SPACE = 1, /* in a query, as HTML forms write it */
        PERCENT_NO_SLASH = 2,      /* refuse %2F: it would hide a path's structure */
};

/* 0; -EINVAL for a malformed escape, a NUL (also as %00), or what the flags refuse; -ENOBUFS. Dot
 * segments are left as they are. The result is never longer than `text` and may overwrite it. */
int percent_decode(struct slice text, unsigned flags, char *ret_text, size_t capacity,
                   size_t *ret_length);

/* Takes the next "name=value" off a raw query; both stay encoded. False at the end. Empty pieces
 * ("&&") are skipped; a name without '=' has an empty value. */
bool query_next(struct slice *query, struct slice *ret_name, struct slice *ret_value);

enum query_result {
        QUERY_FOUND,
        QUERY_ABSENT,
        QUERY_MALFORMED, /* bad escapes, or longer than `capacity` */
};

/* The decoded value of the first parameter whose decoded name is `name`. */
enum query_result query_get(struct slice query, struct slice name, char *ret_value, size_t capacity,
                            size_t *ret_length);
