/* Strict base64; see base64.h. */
#include "wire/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabets[2][65] = {
        [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

/* The six bits of a character of either alphabet; 0 for all others. */
static const unsigned char values[256] = {
        /* clang-format off */
        ['A'] = 0, ['B'] = 1, ['C'] = 2, ['D'] = 3, ['E'] = 4, ['F'] = 5,
        ['G'] = 6, ['H'] = 7, ['I'] = 8, ['J'] = 9, ['K'] = 10, ['L'] = 11,
        ['M'] = 12, ['N'] = 13, ['O'] = 14, ['P'] = 15, ['Q'] = 16, ['R'] = 17,
        ['S'] = 18, ['T'] = 19, ['U'] = 20, ['V'] = 21, ['W'] = 22, ['X'] = 23,
        ['Y'] = 24, ['Z'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29,
        ['e'] = 30, ['f'] = 31, ['g'] = 32, ['h'] = 33, ['i'] = 34, ['j'] = 35,
        ['k'] = 36, ['l'] = 37, ['m'] = 38, ['n'] = 39, ['o'] = 40, ['p'] = 41,
        ['q'] = 42, ['r'] = 43, ['s'] = 44, ['t'] = 45, ['u'] = 46, ['v'] = 47,
        ['w'] = 48, ['x'] = 49, ['y'] = 50, ['z'] = 51, ['0'] = 52, ['1'] = 53,
        ['2'] = 54, ['3'] = 55, ['4'] = 56, ['5'] = 57, ['6'] = 58, ['7'] = 59,
        ['8'] = 60, ['9'] = 61, ['+'] = 62, ['-'] = 62, ['/'] = 63, ['_'] = 63,
        /* clang-format on */
};

size_t base64_encode(enum base64_alphabet alphabet, const void *data, size_t length, char *ret_text)
{
        const char *digits = alphabets[alphabet];
        const unsigned char *bytes = data;
        char *out = ret_text;

        for (; length >= 3; bytes += 3, length -= 3) {
                uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
                *out++ = digits[group >> 18];
                *out++ = digits[group >> 12 & 63];
                *out++ = digits[group >> 6 & 63];
                *out++ = digits[group & 63];
        }
        if (length > 0) {
                uint32_t group = (uint32_t)bytes[0] << 16;
                if (length == 2)
                        group |= (uint32_t)bytes[1] << 8;
                *out++ = digits[group >> 18];
                *out++ = digits[group >> 12 & 63];
                if (length == 2)
                        *out++ = digits[group >> 6 & 63];
                while (alphabet == BASE64_STANDARD && (out - ret_text) % 4 != 0)
                        *out++ = '=';
        }
        return (size_t)(out - ret_text);
}

int base64_decode(enum base64_alphabet alphabet, struct slice text, void *ret_data,
                  size_t *ret_length)
{
        unsigned char *out = ret_data;
        uint32_t bits = 0;
        int bit_count = 0;

        if (alphabet == BASE64_STANDARD) {
                if (text.length % 4 != 0)
                        return -EINVAL;
                for (int i = 0; i < 2 && text.length > 0 && text.data[text.length - 1] == '='; i++)
                        text.length--;
        }
        if (text.length % 4 == 1)
                return -EINVAL;

        for (size_t i = 0; i < text.length; i++) {
                unsigned char value = values[(unsigned char)text.data[i]];
                if (alphabets[alphabet][value] != text.data[i])
                        return -EINVAL;
                bits = bits << 6 | value;
                bit_count += 6;
                if (bit_count >= 8) {
                        bit_count -= 8;
                        *out++ = (unsigned char)(bits >> bit_count);
                }
        }
        /* The last character's spare bits must be 0, or two texts would mean the same bytes. */
        if (bits & ((1u << bit_count) - 1))
                return -EINVAL;
        *ret_length = (size_t)(out - (unsigned char *)ret_data);
        return 0;
}
