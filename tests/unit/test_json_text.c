/* Walking over JSON: what is JSON, what is not, and what its strings say. */
#include "wire/json_text.h"

#include "testing.h"

static struct json_value value;

static bool is_json(struct slice text)
{
        return json_take(&text, &value) && text.length == 0;
}

TEST(every_kind_of_value_is_known)
{
        static const struct {
                const char *text;
                enum json_kind kind;
        } cases[] = {
                {"{}", JSON_OBJECT},          {" [ ] ", JSON_ARRAY},
                {"\"\"", JSON_STRING},        {"0", JSON_NUMBER},
                {"-12.5e+10", JSON_NUMBER},   {"true", JSON_TRUE},
                {"false", JSON_FALSE},        {"\tnull\r\n", JSON_NULL},
                {"[[],{},[{}]]", JSON_ARRAY}, {"{\"a\":[1,\"b\"],\"c\":{\"d\":null}}", JSON_OBJECT},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                ck_assert_msg(is_json(slice_of(cases[i].text)), "%s", cases[i].text);
                ck_assert_int_eq(value.kind, cases[i].kind);
        }
}
TEST_END

TEST(what_is_not_json_is_not_taken)
{
        static const char *const cases[] = {
                "",         " ",      "{",           "}",         "[1,]",   "[,1]",      "{\"a\"}",
                "{\"a\":}", "{a:1}",  "{\"a\":1,}",  "[1 2]",     "[1}",    "{\"a\":1]", "01",
                "-",        "1.",     ".5",          "1e",        "+1",     "tru",       "nul",
                "\"a",      "\"\\\"", "\"\\x\"",     "\"\\u12\"", "\"\n\"", "'a'",       "1 2",
                "[]]",      "NaN",    "\"\\u123g\"", "{1:2}",
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(!is_json(slice_of(cases[i])), "%s", cases[i]);
}
TEST_END

TEST(nesting_has_a_bound_and_no_recursion)
{
        static char text[2 * JSON_DEPTH_MAX + 2];

        memset(text, '[', JSON_DEPTH_MAX + 1);
        memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
        ck_assert(!is_json(slice_make(text, sizeof(text))));
        ck_assert(is_json(slice_make(text + 1, sizeof(text) - 2)));
}
TEST_END

TEST(members_and_elements_come_in_their_order)
{
        struct slice rest;
        struct json_value name, member;

        ck_assert(is_json(SLICE(" { \"a\" : 1 , \"b\":[ true ,\"x\"] } ")));
        rest = json_inside(&value);
        ck_assert(json_next_member(&rest, &name, &member));
        ck_assert(json_string_is(&name, SLICE("a")));
        ck_assert(slice_equal(member.raw, SLICE("1")));
        ck_assert(json_next_member(&rest, &name, &member));
        ck_assert(!json_next_member(&rest, &name, &value));
        rest = json_inside(&member);
        ck_assert(json_next_element(&rest, &value));
        ck_assert_int_eq(value.kind, JSON_TRUE);
        ck_assert(json_next_element(&rest, &value));
        ck_assert(slice_equal(value.raw, SLICE("\"x\"")));
        ck_assert(!json_next_element(&rest, &value));
        ck_assert(is_json(SLICE("{ }")));
        rest = json_inside(&value);
        ck_assert(!json_next_member(&rest, &name, &member));
}
TEST_END

static void expect_text(struct slice json, struct slice text)
{
        char decoded[128], in_place[128];
        size_t length;

        ck_assert(is_json(json));
        length = json_decode_string(&value, decoded);
        ck_assert_msg(slice_equal(slice_make(decoded, length), text), "%s", json.data);
        ck_assert(json_string_is(&value, text));
        memcpy(in_place, json.data, json.length);
        ck_assert(is_json(slice_make(in_place, json.length)));
        length = json_decode_string(&value, in_place);
        ck_assert(slice_equal(slice_make(in_place, length), text));
}

TEST(strings_are_decoded_in_place_too)
{
        expect_text(SLICE("\"\""), SLICE(""));
        expect_text(SLICE("\"plain\""), SLICE("plain"));
        expect_text(SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), SLICE("\"\\/\b\f\n\r\t"));
        expect_text(SLICE("\"\\u0041\\u00fc\\u20AC\""), SLICE("A\xc3\xbc\xe2\x82\xac"));
        expect_text(SLICE("\"\\ud83d\\udc26!\""), SLICE("\xf0\x9f\x90\xa6!"));
        expect_text(SLICE("\"a\\u0000b\""), SLICE("a\0b"));
}
TEST_END

TEST(half_a_surrogate_pair_is_replaced)
{
        expect_text(SLICE("\"\\ud83d\""), SLICE("\xef\xbf\xbd"));
        expect_text(SLICE("\"\\udc26x\""), SLICE("\xef\xbf\xbdx"));
        expect_text(SLICE("\"\\ud83d\\n\""), SLICE("\xef\xbf\xbd\n"));
        expect_text(SLICE("\"\\ud83d\\ud83d\\udc26\""), SLICE("\xef\xbf\xbd\xf0\x9f\x90\xa6"));
}
TEST_END

static void expect_json(struct slice text, const char *json)
{
        struct buffer out;

        buffer_init(&out, 1024);
        ck_assert_int_eq(json_write_string(&out, text), 0);
        ck_assert(slice_equal(buffer_slice(&out), slice_of(json)));
        buffer_deinit(&out);
}

TEST(what_is_written_is_escaped_and_repaired)
{
        expect_json(SLICE(""), "\"\"");
        expect_json(SLICE("a\"\\\b\f\n\r\t\x01\x7f/"), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f/\"");
        expect_json(SLICE("\xc3\xbc\xf0\x9f\x90\xa6"), "\"\xc3\xbc\xf0\x9f\x90\xa6\"");
        expect_json(SLICE("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
        expect_json(SLICE("\0"), "\"\\u0000\"");
}
TEST_END

TEST(writing_stops_at_the_buffers_limit)
{
        struct buffer out;

        buffer_init(&out, 4);
        ck_assert_int_eq(json_write_string(&out, SLICE("ab")), 0);
        buffer_clear(&out);
        ck_assert_int_lt(json_write_string(&out, SLICE("abc")), 0);
        buffer_clear(&out);
        ck_assert_int_lt(json_write_string(&out, SLICE("\x01")), 0);
        buffer_deinit(&out);
}
TEST_END

TEST(values_are_counted_before_there_is_a_tree)
{
        ck_assert_uint_eq(json_values_most(SLICE("0")), 1);
        ck_assert_uint_eq(json_values_most(SLICE("[0,0,0]")), 4);
        ck_assert_uint_eq(json_values_most(SLICE("{\"a,[{\":\"\\\",[\",\"b\":{}}")), 4);
        ck_assert_uint_eq(json_values_most(SLICE("\"\\")), 1);
}
TEST_END

TEST_MAIN("json_text", every_kind_of_value_is_known, what_is_not_json_is_not_taken,
          nesting_has_a_bound_and_no_recursion, members_and_elements_come_in_their_order,
          strings_are_decoded_in_place_too, half_a_surrogate_pair_is_replaced,
          what_is_written_is_escaped_and_repaired, writing_stops_at_the_buffers_limit,
          values_are_counted_before_there_is_a_tree)
