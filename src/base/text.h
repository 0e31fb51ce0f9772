/* Text that came from outside: is it UTF-8, and how is it shown in a sentence? */
#pragma once

#include "base/slice.h"

/* Bytes of the UTF-8 sequence (RFC 3629: shortest form, no surrogates) that `text` begins with; 0
 * where it begins with none. */
size_t text_sequence_length(struct slice text);
bool text_is_utf8(struct slice text);

#define TEXT_QUOTE_MAX 80

struct text_quote {
        char text[TEXT_QUOTE_MAX + 4];
};

/* For error sentences: `text_quote(name).text` is `name` with '?' in place of control characters
 * and of what is not UTF-8, cut to TEXT_QUOTE_MAX bytes with "..." behind. */
struct text_quote text_quote(struct slice text);
