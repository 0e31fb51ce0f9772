/* Byte classes and scans; see http_bytes.h. */
#include "wire/http_bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define T HTTP_BYTE_TOKEN
#define U HTTP_BYTE_TARGET
#define H HTTP_BYTE_HOST

const unsigned char http_byte_classes[256] = {
        ['!'] = T | U,
        ['"'] = U,
        ['#'] = T,
        ['$'] = T | U,
        ['%'] = T | U,
        ['&'] = T | U,
        ['\''] = T | U,
        ['('] = U,
        [')'] = U,
        ['*'] = T | U,
        ['+'] = T | U,
        [','] = U,
        ['-'] = T | U | H,
        ['.'] = T | U | H,
        ['/'] = U,
        ['0' ... '9'] = T | U | H,
        [':' ... '@'] = U,
        ['A' ... 'Z'] = T | U | H,
        ['['] = U,
        ['\\'] = U,
        [']'] = U,
        ['^'] = T | U,
        ['_'] = T | U | H,
        ['`'] = T | U,
        ['a' ... 'z'] = T | U | H,
        ['{'] = U,
        ['|'] = T | U,
        ['}'] = U,
        ['~'] = T | U | H,
};

const char *http_find_control(const char *at, const char *end)
{
#ifdef __SSE2__
        const __m128i last_control = _mm_set1_epi8(0x1f);
        const __m128i tab = _mm_set1_epi8('\t');
        const __m128i delete = _mm_set1_epi8(0x7f);

        for (; end - at >= 16; at += 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
                __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
                __m128i found = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low),
                                             _mm_cmpeq_epi8(bytes, delete));
                int mask = _mm_movemask_epi8(found);
                if (mask)
                        return at + __builtin_ctz((unsigned)mask);
        }
#endif
        while (at < end && !http_is_control(*at))
                at++;
        return at;
}

static bool is_blank(char byte)
{
        return byte == ' ' || byte == '\t';
}

struct slice http_trim(struct slice text)
{
        while (text.length > 0 && is_blank(text.data[0]))
                text = slice_skip(text, 1);
        while (text.length > 0 && is_blank(text.data[text.length - 1]))
                text.length--;
        return text;
}

bool http_list_next(struct slice *list, struct slice *ret_member)
{
        bool quoted = false;
        size_t length;

        if (!list->data)
                return false;
        for (length = 0; length < list->length; length++) {
                char byte = list->data[length];
                if (byte == ',' && !quoted)
                        break;
                if (byte == '"')
                        quoted = !quoted;
                else if (byte == '\\' && quoted && length + 1 < list->length)
                        length++;
        }
        *ret_member = http_trim(slice_make(list->data, length));
        *list = length < list->length ? slice_skip(*list, length + 1) : (struct slice){0};
        return true;
}
