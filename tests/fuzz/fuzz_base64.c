/* Base64: what decodes encodes to the very same text, and any bytes come back. */
#include "fuzzing.h"
#include "wire/base64.h"

static void try_alphabet(enum base64_alphabet alphabet, struct slice input)
{
        char *decoded = malloc(BASE64_DECODED_MAX(input.length) + 1);
        char *encoded = malloc(BASE64_ENCODED_MAX(input.length) + 4);
        size_t length, back;

        FUZZ_EXPECT(decoded && encoded);
        if (base64_decode(alphabet, input, decoded, &length) == 0) {
                FUZZ_EXPECT(length <= BASE64_DECODED_MAX(input.length));
                back = base64_encode(alphabet, decoded, length, encoded);
                FUZZ_EXPECT(slice_equal(slice_make(encoded, back), input));
        }
        length = base64_encode(alphabet, input.data, input.length, encoded);
        FUZZ_EXPECT(length <= BASE64_ENCODED_MAX(input.length));
        FUZZ_EXPECT(base64_decode(alphabet, slice_make(encoded, length), encoded, &back) == 0);
        FUZZ_EXPECT(slice_equal(slice_make(encoded, back), input));
        free(decoded);
        free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice input = slice_make((const char *)data, size);

        try_alphabet(BASE64_STANDARD, input);
        try_alphabet(BASE64_URL, input);
        return 0;
}
