/* Percent-decoding and query parameters. */
#include "wire/query.h"

#include "testing.h"

#include <errno.h>

static char out[64];
static size_t length;

#define EXPECT_OUT(text) ck_assert(slice_equal(slice_make(out, length), slice_of(text)))

static int decode(struct slice text, unsigned flags)
{
        return percent_decode(text, flags, out, sizeof(out), &length);
}

TEST(escapes_become_bytes)
{
        ck_assert_int_eq(decode(SLICE("/a%20b%c3%A9+%2f.."), 0), 0);
        EXPECT_OUT("/a b\xc3\xa9+/..");
        ck_assert_int_eq(decode(SLICE("a+b%2B"), PERCENT_PLUS_IS_SPACE), 0);
        EXPECT_OUT("a b+");
        ck_assert_int_eq(decode(SLICE(""), 0), 0);
        EXPECT_OUT("");
}
TEST_END

TEST(decoding_is_done_once_only)
{
        ck_assert_int_eq(decode(SLICE("%252f"), PERCENT_NO_SLASH), 0);
        EXPECT_OUT("%2f");
}
TEST_END

TEST(malformed_escapes_and_nul_are_refused)
{
        static const char *const texts[] = {"%",    "a%2", "%zz", "%2g",      "%g2",
                                            "%%20", "% 2", "%00", "abc%00def"};

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                ck_assert_int_eq(decode(slice_of(texts[i]), 0), -EINVAL);
        ck_assert_int_eq(decode(SLICE("a\0b"), 0), -EINVAL);
}
TEST_END

TEST(an_encoded_slash_is_refused_where_asked)
{
        ck_assert_int_eq(decode(SLICE("/a%2fb"), PERCENT_NO_SLASH), -EINVAL);
        ck_assert_int_eq(decode(SLICE("/a%2Fb"), PERCENT_NO_SLASH), -EINVAL);
        ck_assert_int_eq(decode(SLICE("/a/b"), PERCENT_NO_SLASH), 0);
}
TEST_END

TEST(a_result_that_does_not_fit_is_refused)
{
        ck_assert_int_eq(percent_decode(SLICE("ab%63"), 0, out, 3, &length), 0);
        ck_assert_int_eq(percent_decode(SLICE("ab%63d"), 0, out, 3, &length), -ENOBUFS);
}
TEST_END

TEST(text_may_be_decoded_where_it_stands)
{
        char text[] = "a%20%62c";

        ck_assert_int_eq(percent_decode(slice_of(text), 0, text, sizeof(text), &length), 0);
        ck_assert(slice_equal(slice_make(text, length), SLICE("a bc")));
}
TEST_END

TEST(parameters_come_in_their_order)
{
        struct slice query = SLICE("&a=1&&b&c=&=d&e=f=g&"), name, value;
        static const char *const expected[][2] = {
                {"a", "1"}, {"b", ""}, {"c", ""}, {"", "d"}, {"e", "f=g"}};

        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
                ck_assert(query_next(&query, &name, &value));
                ck_assert(slice_equal(name, slice_of(expected[i][0])));
                ck_assert(slice_equal(value, slice_of(expected[i][1])));
        }
        ck_assert(!query_next(&query, &name, &value));
        ck_assert(!query_next(&query, &name, &value));
}
TEST_END

TEST(the_first_parameter_of_a_name_is_found_and_decoded)
{
        struct slice query = SLICE("x=0&wa%69t=3%30s+x&wait=2&a+b=c&bad=%z&%zz=1");

        ck_assert_int_eq(query_get(query, SLICE("wait"), out, sizeof(out), &length), QUERY_FOUND);
        EXPECT_OUT("30s x");
        ck_assert_int_eq(query_get(query, SLICE("a b"), out, sizeof(out), &length), QUERY_FOUND);
        EXPECT_OUT("c");
        ck_assert_int_eq(query_get(query, SLICE("wai"), out, sizeof(out), &length), QUERY_ABSENT);
        ck_assert_int_eq(query_get(query, SLICE("waits"), out, sizeof(out), &length), QUERY_ABSENT);
        ck_assert_int_eq(query_get((struct slice){0}, SLICE("a"), out, sizeof(out), &length),
                         QUERY_ABSENT);
}
TEST_END

TEST(a_parameter_that_cannot_be_decoded_is_malformed)
{
        ck_assert_int_eq(query_get(SLICE("a=%z"), SLICE("a"), out, sizeof(out), &length),
                         QUERY_MALFORMED);
        ck_assert_int_eq(query_get(SLICE("a=12345"), SLICE("a"), out, 4, &length), QUERY_MALFORMED);
}
TEST_END

TEST_MAIN("query", escapes_become_bytes, decoding_is_done_once_only,
          malformed_escapes_and_nul_are_refused, an_encoded_slash_is_refused_where_asked,
          a_result_that_does_not_fit_is_refused, text_may_be_decoded_where_it_stands,
          parameters_come_in_their_order, the_first_parameter_of_a_name_is_found_and_decoded,
          a_parameter_that_cannot_be_decoded_is_malformed)
