/* Percent-decoding and query parameters; see query.h. */
#include "wire/query.h"

#include "wire/http_bytes.h"

#include <errno.h>

static int hex_value(char digit)
{
        return http_is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* Decodes the escape or plain byte that `text` begins with; the bytes it took, or -EINVAL. */
static int decode_one(struct slice text, unsigned flags, char *ret_byte)
{
        int taken = 1;

        *ret_byte = text.data[0];
        if (*ret_byte == '%') {
                if (text.length < 3 || !http_is_hex_digit(text.data[1]) ||
                    !http_is_hex_digit(text.data[2]))
                        return -EINVAL;
                *ret_byte = (char)(hex_value(text.data[1]) << 4 | hex_value(text.data[2]));
                if (*ret_byte == '/' && (flags & PERCENT_NO_SLASH))
                        return -EINVAL;
                taken = 3;
        } else if (*ret_byte == '+' && (flags & PERCENT_PLUS_IS_SPACE)) {
                *ret_byte = ' ';
        }
        return *ret_byte == '\0' ? -EINVAL : taken;
}

int percent_decode(struct slice text, unsigned flags, char *ret_text, size_t capacity,
                   size_t *ret_length)
{
        size_t length = 0;

        while (text.length > 0) {
                char byte;
                int taken = decode_one(text, flags, &byte);
                if (taken < 0)
                        return taken;
                if (length == capacity)
                        return -ENOBUFS;
                ret_text[length++] = byte;
                text = slice_skip(text, (size_t)taken);
        }
        *ret_length = length;
        return 0;
}

bool query_next(struct slice *query, struct slice *ret_name, struct slice *ret_value)
{
        while (query->length > 0) {
                const char *mark = memchr(query->data, '&', query->length);
                size_t length = mark ? (size_t)(mark - query->data) : query->length;
                struct slice pair = slice_make(query->data, length);

                *query = slice_skip(*query, mark ? length + 1 : length);
                if (length == 0)
                        continue;
                mark = memchr(pair.data, '=', pair.length);
                length = mark ? (size_t)(mark - pair.data) : pair.length;
                *ret_name = slice_make(pair.data, length);
                *ret_value = slice_skip(pair, mark ? length + 1 : length);
                return true;
        }
        return false;
}

static bool name_is(struct slice encoded, struct slice name)
{
        while (encoded.length > 0 && name.length > 0) {
                char byte;
                int taken = decode_one(encoded, PERCENT_PLUS_IS_SPACE, &byte);
                if (taken < 0 || byte != name.data[0])
                        return false;
                encoded = slice_skip(encoded, (size_t)taken);
                name = slice_skip(name, 1);
        }
        return encoded.length == 0 && name.length == 0;
}

enum query_result query_get(struct slice query, struct slice name, char *ret_value, size_t capacity,
                            size_t *ret_length)
{
        struct slice encoded, value;

        while (query_next(&query, &encoded, &value))
                if (name_is(encoded, name))
                        return percent_decode(value, PERCENT_PLUS_IS_SPACE, ret_value, capacity,
                                              ret_length) == 0
                                       ? QUERY_FOUND
                                       : QUERY_MALFORMED;
        return QUERY_ABSENT;
}
