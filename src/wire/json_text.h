/* JSON (RFC 8259) as far as the Lambda contract needs it: walking over a text without building a
 * tree of it, and writing strings. No malloc in the reader; nesting is counted, not recursed into.
 *
 *     if (json_take(&text, &value) && value.kind == JSON_OBJECT)
 *             for (rest = json_inside(&value); json_next_member(&rest, &name, &member);)
 *                     ...
 *
 * A value that was taken is well-formed to its last byte, so walking into it cannot fail. What
 * strings hold beyond ASCII is not looked at: who cares whether it is UTF-8 asks text_is_utf8().
 */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

#define JSON_DEPTH_MAX 1024

enum json_kind {
        JSON_OBJECT,
        JSON_ARRAY,
        JSON_STRING,
        JSON_NUMBER,
        JSON_TRUE,
        JSON_FALSE,
        JSON_NULL,
};

struct json_value {
        enum json_kind kind;
        struct slice raw; /* as it stands in the text, quotes and brackets included */
};

/* Takes one value, and white space around it, off the front. False where there is none: `text` is
 * as it was then. */
bool json_take(struct slice *text, struct json_value *ret_value);

/* What the brackets of an object or array enclose, to be walked over. */
struct slice json_inside(const struct json_value *value);
bool json_next_element(struct slice *inside, struct json_value *ret_element);
/* *ret_name is a string. */
bool json_next_member(struct slice *inside, struct json_value *ret_name,
                      struct json_value *ret_member);

/* The string's text in UTF-8: never longer than string->raw, and may overwrite it. Half a surrogate
 * pair becomes U+FFFD. Returns its length. */
size_t json_decode_string(const struct json_value *string, char *ret_text);
/* Whether a string's text is `text`, however it is escaped. */
bool json_string_is(const struct json_value *string, struct slice text);

/* How many values a tree of this text can have at most: to be asked before one is built, which takes many
 * times the memory of a text like [0,0,0]. */
size_t json_values_most(struct slice text);

/* Appends a string with its quotes. What is not UTF-8 becomes U+FFFD. 0, -ENOBUFS or -ENOMEM; what
 * was appended before a failure remains. */
int json_write_string(struct buffer *out, struct slice text);
