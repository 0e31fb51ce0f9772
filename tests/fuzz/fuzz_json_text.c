/* JSON: what was taken can be walked to its last value, each of which can be taken by itself; and a
 * string that was decoded is written and decoded to the same again. */
#include "fuzzing.h"
#include "wire/json_text.h"

static void expect_round_trip(const struct json_value *string)
{
        char *text = malloc(string->raw.length), *again;
        size_t length, again_length;
        struct json_value value;
        struct buffer out;
        struct slice json;

        FUZZ_EXPECT(text);
        length = json_decode_string(string, text);
        FUZZ_EXPECT(length <= string->raw.length - 2);
        buffer_init(&out, 1u << 24);
        FUZZ_EXPECT(json_write_string(&out, slice_make(text, length)) == 0);
        json = buffer_slice(&out);
        FUZZ_EXPECT(json_take(&json, &value) && json.length == 0 && value.kind == JSON_STRING);
        again = malloc(value.raw.length);
        FUZZ_EXPECT(again);
        again_length = json_decode_string(&value, again);
        /* What was no UTF-8 was repaired, and grew: the first time only. */
        if (again_length == length)
                FUZZ_EXPECT(memcmp(text, again, length) == 0);
        else
                FUZZ_EXPECT(again_length > length);
        free(again);
        free(text);
        buffer_deinit(&out);
}

static void walk(const struct json_value *value, int depth)
{
        struct slice rest = json_inside(value), raw = value->raw;
        struct json_value name, each, whole;

        FUZZ_EXPECT(json_take(&raw, &whole) && raw.length == 0 && whole.kind == value->kind);
        if (value->kind == JSON_STRING)
                expect_round_trip(value);
        if (depth == 16)
                return;
        if (value->kind == JSON_OBJECT)
                while (json_next_member(&rest, &name, &each)) {
                        FUZZ_EXPECT(name.kind == JSON_STRING);
                        (void)json_string_is(&name, SLICE("name"));
                        walk(&each, depth + 1);
                }
        if (value->kind == JSON_ARRAY)
                while (json_next_element(&rest, &each))
                        walk(&each, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size);
        struct slice text = slice_make(copy, size);
        struct json_value value;

        if (json_take(&text, &value)) {
                FUZZ_EXPECT(text.data + text.length == copy + size);
                walk(&value, 0);
        } else {
                FUZZ_EXPECT(text.data == copy && text.length == size);
        }
        free(copy);
        return 0;
}
