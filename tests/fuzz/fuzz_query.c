/* Percent-decoding and queries: never longer than the input, no NUL, and a parameter that the walk
 * shows is one that the look-up finds. */
#include "fuzzing.h"
#include "wire/query.h"

#define TEXT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice input = slice_make((const char *)data, size), query = input, name, value;
        char text[TEXT_MAX], found[TEXT_MAX];
        size_t length, found_length;

        if (size > TEXT_MAX)
                return 0;
        for (unsigned flags = 0; flags < 4; flags++) {
                if (percent_decode(input, flags, text, sizeof(text), &length) == 0) {
                        FUZZ_EXPECT(length <= size);
                        FUZZ_EXPECT(!memchr(text, '\0', length));
                }
                FUZZ_EXPECT(percent_decode(input, flags, text, 3, &length) < 0 || length <= 3);
        }
        while (query_next(&query, &name, &value)) {
                FUZZ_EXPECT(name.data + name.length <= value.data);
                FUZZ_EXPECT(value.data + value.length <= input.data + input.length);
                if (percent_decode(name, PERCENT_PLUS_IS_SPACE, text, sizeof(text), &length) == 0)
                        FUZZ_EXPECT(query_get(input, slice_make(text, length), found, sizeof(found),
                                              &found_length) != QUERY_ABSENT);
        }
        return 0;
}
