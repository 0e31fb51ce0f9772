/* UTF-8 and quoting; see text.h. */
#include "base/text.h"

#include <stdint.h>

static bool is_continuation(unsigned char byte)
{
        return (byte & 0xc0) == 0x80;
}

size_t text_sequence_length(struct slice text)
{
        const unsigned char *at = (const unsigned char *)text.data;
        uint32_t point;

        if (text.length == 0)
                return 0;
        if (at[0] < 0x80)
                return 1;
        if (text.length >= 2 && at[0] >= 0xc2 && at[0] <= 0xdf && is_continuation(at[1]))
                return 2;
        if (text.length >= 3 && (at[0] & 0xf0) == 0xe0 && is_continuation(at[1]) &&
            is_continuation(at[2])) {
                point = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
                return point < 0x800 || (point >= 0xd800 && point <= 0xdfff) ? 0 : 3;
        }
        if (text.length >= 4 && (at[0] & 0xf8) == 0xf0 && is_continuation(at[1]) &&
            is_continuation(at[2]) && is_continuation(at[3])) {
                point = (at[0] & 0x07u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 |
                        (at[3] & 0x3fu);
                return point < 0x10000 || point > 0x10ffff ? 0 : 4;
        }
        return 0;
}

bool text_is_utf8(struct slice text)
{
        while (text.length > 0) {
                size_t length = text_sequence_length(text);
                if (length == 0)
                        return false;
                text = slice_skip(text, length);
        }
        return true;
}

struct text_quote text_quote(struct slice text)
{
        struct text_quote quote;
        size_t used = 0;

        while (text.length > 0) {
                size_t length = text_sequence_length(text);
                unsigned char first = (unsigned char)text.data[0];
                bool plain = length > 1 || (length == 1 && first >= 0x20 && first != 0x7f);

                if (length == 0)
                        length = 1;
                if (used + length > TEXT_QUOTE_MAX) {
                        memcpy(quote.text + used, "...", 3);
                        used += 3;
                        break;
                }
                if (plain)
                        memcpy(quote.text + used, text.data, length);
                else
                        quote.text[used] = '?';
                used += length;
                text = slice_skip(text, length);
        }
        quote.text[used] = '\0';
        return quote;
}
