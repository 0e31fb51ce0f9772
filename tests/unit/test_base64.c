/* Base64 both ways: RFC 4648's own examples, and one text only for each run of bytes. */
#include "wire/base64.h"

#include "testing.h"

#include <errno.h>

static const struct {
        const char *plain, *standard, *url;
} examples[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
};

TEST(the_examples_of_the_rfc_come_out_both_ways)
{
        for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
                struct slice plain = slice_of(examples[i].plain);
                for (int alphabet = BASE64_STANDARD; alphabet <= BASE64_URL; alphabet++) {
                        struct slice text = slice_of(alphabet == BASE64_URL ? examples[i].url
                                                                            : examples[i].standard);
                        char out[16];
                        size_t length = base64_encode((enum base64_alphabet)alphabet, plain.data,
                                                      plain.length, out);
                        ck_assert(slice_equal(slice_make(out, length), text));
                        ck_assert_int_eq(
                                base64_decode((enum base64_alphabet)alphabet, text, out, &length),
                                0);
                        ck_assert(slice_equal(slice_make(out, length), plain));
                }
        }
}
TEST_END

TEST(all_bytes_survive_in_place)
{
        unsigned char bytes[256];
        char text[BASE64_ENCODED_MAX(256)];

        for (size_t length = 0; length <= sizeof(bytes); length++) {
                size_t encoded, decoded;
                for (size_t i = 0; i < length; i++)
                        bytes[i] = (unsigned char)(i * 7 + length);
                encoded = base64_encode(BASE64_STANDARD, bytes, length, text);
                ck_assert_uint_eq(encoded, BASE64_ENCODED_MAX(length));
                ck_assert_int_eq(
                        base64_decode(BASE64_STANDARD, slice_make(text, encoded), text, &decoded),
                        0);
                ck_assert_uint_eq(decoded, length);
                ck_assert_int_eq(memcmp(text, bytes, length), 0);
        }
}
TEST_END

static void expect_refusal(enum base64_alphabet alphabet, struct slice text)
{
        char out[64];
        size_t length;

        ck_assert_msg(base64_decode(alphabet, text, out, &length) == -EINVAL, "'%s'", text.data);
}

TEST(padding_is_exact)
{
        static const char *const texts[] = {
                "Zg", "Zg=",  "Zm8",  "Zg===",    "Zm9v=",    "=",   "====",
                "Z",  "Z===", "=Zg=", "Zg==Zg==", "Zm9v====", "Zm=v"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                expect_refusal(BASE64_STANDARD, slice_of(texts[i]));
        expect_refusal(BASE64_URL, SLICE("Zg=="));
        expect_refusal(BASE64_URL, SLICE("Zm8="));
        expect_refusal(BASE64_URL, SLICE("Z"));
        expect_refusal(BASE64_URL, SLICE("Zm9vZ"));
}
TEST_END

TEST(stray_bits_at_the_end_are_refused)
{
        expect_refusal(BASE64_STANDARD, SLICE("Zh=="));
        expect_refusal(BASE64_STANDARD, SLICE("Zm9="));
        expect_refusal(BASE64_URL, SLICE("Zh"));
        expect_refusal(BASE64_URL, SLICE("Zm9"));
}
TEST_END

TEST(only_the_alphabets_own_characters_are_taken)
{
        for (int byte = 0; byte < 256; byte++) {
                char text[5] = "AAAA", out[3];
                size_t length;
                bool both = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                            (byte >= '0' && byte <= '9');

                text[1] = (char)byte;
                ck_assert_int_eq(
                        base64_decode(BASE64_STANDARD, slice_make(text, 4), out, &length) == 0,
                        both || byte == '+' || byte == '/');
                ck_assert_int_eq(base64_decode(BASE64_URL, slice_make(text, 4), out, &length) == 0,
                                 both || byte == '-' || byte == '_');
        }
        expect_refusal(BASE64_STANDARD, SLICE("Zm9v\nZm9v"));
        expect_refusal(BASE64_STANDARD, SLICE(" Zm9v"));
}
TEST_END

TEST_MAIN("base64", the_examples_of_the_rfc_come_out_both_ways, all_bytes_survive_in_place,
          padding_is_exact, stray_bits_at_the_end_are_refused,
          only_the_alphabets_own_characters_are_taken)
