/* Ranges by name: what is accepted is within bounds, reaches nothing that nobody may reach, and each
 * part is spelled in one way only. */
#include "fuzzing.h"
#include "wire/address_range.h"

static void check_part(struct address_range part)
{
        static const struct address_range never[] = {
                {0x00000000, 8}, {0x7f000000, 8}, {0xa9fe0000, 16}, {0xe0000000, 3}};
        char text[ADDRESS_RANGE_TEXT_MAX];
        struct address_range again;

        FUZZ_EXPECT(part.prefix <= 32 && address_range_has(part, part.first));
        for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
                FUZZ_EXPECT(!address_range_overlaps(part, never[i]));
        address_range_format(part, text);
        FUZZ_EXPECT(address_range_parse(slice_of(text), &again, NULL) == 0);
        FUZZ_EXPECT(again.first == part.first && again.prefix == part.prefix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *bytes = fuzz_copy(data, size);
        struct named_range range;
        struct err err = {0};

        if (named_range_parse(slice_make(bytes, size), &range, &err) == 0) {
                FUZZ_EXPECT(range.count >= 1 && range.count <= NAMED_RANGE_PARTS_MAX);
                FUZZ_EXPECT(strlen(range.name) >= 1 && !strpbrk(range.name, " ,=/\"\n"));
                for (size_t i = 0; i < range.count; i++)
                        check_part(range.parts[i]);
        } else {
                FUZZ_EXPECT(err.text[0] != '\0');
        }
        free(bytes);
        return 0;
}
