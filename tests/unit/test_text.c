/* What is UTF-8 and how foreign text is shown. */
#include "base/text.h"

#include "testing.h"

TEST(well_formed_sequences_are_utf8)
{
        ck_assert(text_is_utf8(SLICE("")));
        ck_assert(text_is_utf8(SLICE("plain")));
        ck_assert(text_is_utf8(SLICE("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa6")));
        ck_assert(text_is_utf8(SLICE("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf")));
}
TEST_END

TEST(overlong_cut_and_surrogate_sequences_are_not_utf8)
{
        static const char *const wrong[] = {
                "\x80",
                "\xc3",
                "\xc0\xaf",
                "\xc1\xbf",
                "\xe0\x80\xaf",
                "\xed\xa0\x80",
                "\xe2\x82",
                "\xf0\x80\x80\xaf",
                "\xf4\x90\x80\x80",
                "\xf5\x80\x80\x80",
                "\xff",
                "\xe2\x28\xa1",
        };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_msg(!text_is_utf8(slice_of(wrong[i])), "sequence %zu", i);
}
TEST_END

TEST(a_quote_replaces_what_a_terminal_should_not_see)
{
        ck_assert_str_eq(text_quote(SLICE("a\033[1mb\n\x7f\xff\xc3\xa4\0z")).text,
                         "a?[1mb???\xc3\xa4?z");
}
TEST_END

TEST(a_long_quote_is_cut_between_characters)
{
        char text[TEXT_QUOTE_MAX + 2];
        struct text_quote quote;

        memset(text, 'x', sizeof(text));
        memcpy(text + TEXT_QUOTE_MAX - 1, "\xc3\xa4", 2);
        quote = text_quote(slice_make(text, sizeof(text)));
        ck_assert_uint_eq(strlen(quote.text), TEXT_QUOTE_MAX - 1 + 3);
        ck_assert_str_eq(quote.text + TEXT_QUOTE_MAX - 1, "...");
        ck_assert_uint_eq(strlen(text_quote(slice_make(text, TEXT_QUOTE_MAX - 1)).text),
                          TEXT_QUOTE_MAX - 1);
}
TEST_END

TEST_MAIN("text", well_formed_sequences_are_utf8, overlong_cut_and_surrogate_sequences_are_not_utf8,
          a_quote_replaces_what_a_terminal_should_not_see, a_long_quote_is_cut_between_characters)
