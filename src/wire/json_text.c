/* Walking over JSON; see json_text.h. */
#include "wire/json_text.h"

#include "base/text.h"
#include "wire/http_bytes.h"

#include <stdint.h>
#include <stdio.h>

#define REPLACEMENT 0xfffdu

static const char *skip_space(const char *at, const char *end)
{
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
                at++;
        return at;
}

/* Each of these returns what follows, or NULL where it does not begin there. */

static const char *skip_word(const char *at, const char *end, struct slice word)
{
        return slice_starts_with(slice_make(at, (size_t)(end - at)), word) ? at + word.length
                                                                           : NULL;
}

static const char *skip_string(const char *at, const char *end)
{
        if (at == end || *at++ != '"')
                return NULL;
        while (at < end && *at != '"') {
                if ((unsigned char)*at < 0x20)
                        return NULL;
                if (*at++ != '\\')
                        continue;
                if (at == end)
                        return NULL;
                if (*at == 'u') {
                        if (end - at < 5)
                                return NULL;
                        for (int i = 1; i <= 4; i++)
                                if (!http_is_hex_digit(at[i]))
                                        return NULL;
                        at += 4;
                } else if (*at == '\0' || !strchr("\"\\/bfnrt", *at)) {
                        return NULL;
                }
                at++;
        }
        return at < end ? at + 1 : NULL;
}

static const char *skip_digits(const char *at, const char *end)
{
        const char *from = at;

        while (at < end && http_is_digit(*at))
                at++;
        return at > from ? at : NULL;
}

static const char *skip_number(const char *at, const char *end)
{
        if (at < end && *at == '-')
                at++;
        if (at < end && *at == '0')
                at++;
        else if (!(at = skip_digits(at, end)))
                return NULL;
        if (at < end && *at == '.' && !(at = skip_digits(at + 1, end)))
                return NULL;
        if (at < end && (*at == 'e' || *at == 'E')) {
                at++;
                if (at < end && (*at == '+' || *at == '-'))
                        at++;
                at = skip_digits(at, end);
        }
        return at;
}

static const char *skip_scalar(const char *at, const char *end, enum json_kind *ret_kind)
{
        switch (at < end ? *at : '\0') {
        case '"':
                *ret_kind = JSON_STRING;
                return skip_string(at, end);
        case 't':
                *ret_kind = JSON_TRUE;
                return skip_word(at, end, SLICE("true"));
        case 'f':
                *ret_kind = JSON_FALSE;
                return skip_word(at, end, SLICE("false"));
        case 'n':
                *ret_kind = JSON_NULL;
                return skip_word(at, end, SLICE("null"));
        default:
                *ret_kind = JSON_NUMBER;
                return skip_number(at, end);
        }
}

/* The brackets that are open: a bit each, set for an object. */
struct nesting {
        size_t depth;
        uint64_t objects[JSON_DEPTH_MAX / 64];
};

static bool open_bracket(struct nesting *nesting, bool object)
{
        uint64_t *word = &nesting->objects[nesting->depth / 64 % (JSON_DEPTH_MAX / 64)];
        uint64_t bit = 1ull << nesting->depth % 64;

        if (nesting->depth == JSON_DEPTH_MAX)
                return false;
        *word = object ? *word | bit : *word & ~bit;
        nesting->depth++;
        return true;
}

static bool in_object(const struct nesting *nesting)
{
        size_t last = nesting->depth - 1;

        return nesting->objects[last / 64] >> last % 64 & 1;
}

/* `"name" :` and the space behind it. */
static const char *skip_name(const char *at, const char *end)
{
        at = skip_string(skip_space(at, end), end);
        if (!at)
                return NULL;
        at = skip_space(at, end);
        return at < end && *at == ':' ? at + 1 : NULL;
}

/* Behind a value: takes closing brackets, up to the comma that another value follows. *ret_more
 * tells whether there is one. */
static const char *skip_after(struct nesting *nesting, const char *at, const char *end,
                              bool *ret_more)
{
        *ret_more = false;
        while (nesting->depth > 0) {
                at = skip_space(at, end);
                if (at == end)
                        return NULL;
                if (*at == ',') {
                        *ret_more = true;
                        return in_object(nesting) ? skip_name(at + 1, end) : at + 1;
                }
                if (*at++ != (in_object(nesting) ? '}' : ']'))
                        return NULL;
                nesting->depth--;
        }
        return at;
}

/* A whole value that begins at `at`; its end, or NULL. */
static const char *skip_value(const char *at, const char *end, enum json_kind *ret_kind)
{
        struct nesting nesting = {0};
        enum json_kind kind;
        bool more = true, outermost = true;

        while (more) {
                at = skip_space(at, end);
                if (at < end && (*at == '{' || *at == '[')) {
                        bool object = *at == '{';
                        kind = object ? JSON_OBJECT : JSON_ARRAY;
                        if (!open_bracket(&nesting, object))
                                return NULL;
                        at = skip_space(at + 1, end);
                        if (at == end || *at != (object ? '}' : ']')) {
                                at = object ? skip_name(at, end) : at;
                                if (outermost)
                                        *ret_kind = kind;
                                outermost = false;
                                if (!at)
                                        return NULL;
                                continue;
                        }
                } else {
                        at = skip_scalar(at, end, &kind);
                        if (!at)
                                return NULL;
                }
                if (outermost)
                        *ret_kind = kind;
                outermost = false;
                at = skip_after(&nesting, at, end, &more);
                if (!at)
                        return NULL;
        }
        return at;
}

bool json_take(struct slice *text, struct json_value *ret_value)
{
        const char *end = text->data + text->length;
        const char *from = skip_space(text->data, end), *after;
        enum json_kind kind = JSON_NULL;

        after = text->length > 0 ? skip_value(from, end, &kind) : NULL;
        if (!after)
                return false;
        *ret_value =
                (struct json_value){.kind = kind, .raw = slice_make(from, (size_t)(after - from))};
        after = skip_space(after, end);
        *text = slice_make(after, (size_t)(end - after));
        return true;
}

struct slice json_inside(const struct json_value *value)
{
        return slice_make(value->raw.data + 1, value->raw.length - 2);
}

bool json_next_element(struct slice *inside, struct json_value *ret_element)
{
        if (!json_take(inside, ret_element))
                return false;
        if (inside->length > 0)
                *inside = slice_skip(*inside, 1); /* the comma */
        return true;
}

bool json_next_member(struct slice *inside, struct json_value *ret_name,
                      struct json_value *ret_member)
{
        if (!json_take(inside, ret_name))
                return false;
        *inside = slice_skip(*inside, 1); /* the colon */
        return json_next_element(inside, ret_member);
}

/* --- strings --------------------------------------------------------------------------------- */

static unsigned hex_value(char digit)
{
        return (unsigned)(http_is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

static unsigned hex_unit(const char *digits)
{
        return hex_value(digits[0]) << 12 | hex_value(digits[1]) << 8 | hex_value(digits[2]) << 4 |
               hex_value(digits[3]);
}

static size_t encode_utf8(unsigned point, char *ret_text)
{
        if (point < 0x80) {
                ret_text[0] = (char)point;
                return 1;
        }
        if (point < 0x800) {
                ret_text[0] = (char)(0xc0 | point >> 6);
                ret_text[1] = (char)(0x80 | (point & 63));
                return 2;
        }
        if (point < 0x10000) {
                ret_text[0] = (char)(0xe0 | point >> 12);
                ret_text[1] = (char)(0x80 | (point >> 6 & 63));
                ret_text[2] = (char)(0x80 | (point & 63));
                return 3;
        }
        ret_text[0] = (char)(0xf0 | point >> 18);
        ret_text[1] = (char)(0x80 | (point >> 12 & 63));
        ret_text[2] = (char)(0x80 | (point >> 6 & 63));
        ret_text[3] = (char)(0x80 | (point & 63));
        return 4;
}

/* `at` is behind a backslash; returns what follows the escape. */
static const char *decode_escape(const char *at, const char *end, unsigned *ret_point)
{
        static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
        const char *letter = strchr(letters, *at);
        unsigned unit, low;

        if (*at != 'u') {
                *ret_point = (unsigned char)(letter ? meant[letter - letters] : *at);
                return at + 1;
        }
        unit = *ret_point = hex_unit(at + 1);
        at += 5;
        if (unit < 0xd800 || unit > 0xdfff)
                return at;
        *ret_point = REPLACEMENT;
        if (unit > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u')
                return at;
        low = hex_unit(at + 2);
        if (low < 0xdc00 || low > 0xdfff)
                return at;
        *ret_point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return at + 6;
}

size_t json_decode_string(const struct json_value *string, char *ret_text)
{
        const char *at = string->raw.data + 1, *end = at + string->raw.length - 2;
        char *out = ret_text;

        while (at < end) {
                const char *mark = memchr(at, '\\', (size_t)(end - at));
                size_t plain = (size_t)((mark ? mark : end) - at);
                unsigned point;

                memmove(out, at, plain);
                out += plain;
                at += plain;
                if (at == end)
                        break;
                at = decode_escape(at + 1, end, &point);
                out += encode_utf8(point, out);
        }
        return (size_t)(out - ret_text);
}

bool json_string_is(const struct json_value *string, struct slice text)
{
        char decoded[64 * 6 + 2];

        if (string->raw.length > sizeof(decoded))
                return false;
        return slice_equal(slice_make(decoded, json_decode_string(string, decoded)), text);
}

static int write_escape(struct buffer *out, char byte)
{
        static const char letters[] = "btnfr", meant[] = "\b\t\n\f\r";
        const char *letter = byte != '\0' ? strchr(meant, byte) : NULL;
        char text[8];

        if (byte == '"' || byte == '\\')
                (void)snprintf(text, sizeof(text), "\\%c", byte);
        else if (letter)
                (void)snprintf(text, sizeof(text), "\\%c", letters[letter - meant]);
        else
                (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)(unsigned char)byte);
        return buffer_append_text(out, text);
}

/* The bytes at the front that stand in a string as they are; 0 where the first does not. */
static size_t plain_length(struct slice text)
{
        size_t length = 0, step;

        while (length < text.length) {
                unsigned char byte = (unsigned char)text.data[length];
                step = 1;
                if (byte < 0x20 || byte == '"' || byte == '\\')
                        break;
                if (byte >= 0x80 && (step = text_sequence_length(slice_skip(text, length))) == 0)
                        break;
                length += step;
        }
        return length;
}

int json_write_string(struct buffer *out, struct slice text)
{
        int r = buffer_append(out, "\"", 1);

        while (r == 0 && text.length > 0) {
                size_t plain = plain_length(text);

                if (plain > 0)
                        r = buffer_append(out, text.data, plain);
                text = slice_skip(text, plain);
                if (r < 0 || text.length == 0)
                        break;
                r = (unsigned char)text.data[0] >= 0x80 ? buffer_append(out, "\xef\xbf\xbd", 3)
                                                        : write_escape(out, text.data[0]);
                text = slice_skip(text, 1);
        }
        return r < 0 ? r : buffer_append(out, "\"", 1);
}

size_t json_values_most(struct slice text)
{
        bool in_string = false;
        size_t count = 1;

        for (size_t i = 0; i < text.length; i++) {
                char c = text.data[i];
                if (in_string && c == '\\')
                        i++;
                else if (c == '"')
                        in_string = !in_string;
                else if (!in_string && (c == ',' || c == '[' || c == '{'))
                        count++;
        }
        return count;
}
