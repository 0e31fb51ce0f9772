/* Lambda's shapes: the event of a request, and what comes back. tests/init compares the event with
 * the shim's; here is what a worker cannot be brought to. */
#include "wire/lambda_answer.h"
#include "wire/lambda_event.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

#define LITERAL(text)                                                                              \
        {                                                                                          \
                text, sizeof(text) - 1                                                             \
        }
#define HEAD "id\nuser\nGET\n/\n\n::1\nhost\n"

static char bytes[4096], meta[256];
static struct lambda_answer answer;
static struct lambda_error error;

static int write_event(struct slice from, struct slice body, size_t limit, struct buffer *out)
{
        const struct lambda_request request = {.meta = from, .body = body, .now_ms = UINT64_MAX};

        buffer_init(out, limit);
        return lambda_event_write(out, &request);
}

TEST(a_meta_that_is_none_makes_no_event)
{
        static const struct slice broken[] = {
                LITERAL(""),
                LITERAL("id\n"),
                LITERAL("id\nuser\nGET\n/\n\n::1\nhost"),
                LITERAL(HEAD "no colon\n"),
        };
        struct buffer out;

        for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
                ck_assert_int_eq(write_event(broken[i], SLICE(""), 65536, &out), -EPROTO);
                buffer_deinit(&out);
        }
}
TEST_END

TEST(an_event_stays_within_its_limit_wherever_that_is)
{
        struct buffer out;
        size_t whole;

        ck_assert_int_eq(write_event(SLICE(HEAD "a:b\n"), SLICE("\xff"), 65536, &out), 0);
        whole = out.length;
        buffer_deinit(&out);
        for (size_t limit = 0; limit < whole; limit++) {
                ck_assert_int_eq(write_event(SLICE(HEAD "a:b\n"), SLICE("\xff"), limit, &out),
                                 -ENOBUFS);
                buffer_deinit(&out);
        }
}
TEST_END

TEST(a_header_that_is_no_utf_8_is_repaired)
{
        struct buffer out;

        ck_assert_int_eq(write_event(SLICE(HEAD "a:\xfc\n"), SLICE(""), 65536, &out), 0);
        ck_assert(memmem(out.data, out.length, "\"a\":\"\xef\xbf\xbd\"", 9));
        buffer_deinit(&out);
}
TEST_END

static const char *read_answer(const char *json)
{
        size_t length = strlen(json);

        memcpy(bytes, json, length);
        return lambda_answer_read(bytes, length, meta, sizeof(meta), &answer);
}

TEST(an_answer_whose_members_are_escaped_is_understood)
{
        ck_assert_ptr_null(read_answer("{\"status\\u0043ode\":201,\"b\\u006fdy\":\"\\u00fc\","
                                       "\"headers\":{\"\\u0058\":\"\\u0079\"}}"));
        ck_assert_uint_eq(answer.status, 201);
        ck_assert(slice_equal(answer.body, SLICE("\xc3\xbc")));
        ck_assert(slice_equal(slice_make(meta, answer.meta_length),
                              SLICE("X:y\ncontent-type:application/json\n")));
}
TEST_END

TEST(headers_that_do_not_fit_are_refused_and_nothing_is_written_beyond)
{
        char json[600] = "{\"statusCode\":200,\"headers\":{\"a\":\"";
        size_t length = strlen(json);

        memset(json + length, 'x', 300);
        strcpy(json + length + 300, "\"}}");
        ck_assert_ptr_nonnull(strstr(read_answer(json), "too long"));
        meta[8] = '!';
        ck_assert_ptr_nonnull(lambda_answer_read(memcpy(bytes, "1", 1), 1, meta, 8, &answer));
        ck_assert_int_eq(meta[8], '!');
}
TEST_END

TEST(the_last_of_two_members_of_a_name_counts)
{
        ck_assert_ptr_null(read_answer("{\"statusCode\":200,\"statusCode\":404}"));
        ck_assert_uint_eq(answer.status, 404);
}
TEST_END

TEST(base64_may_be_broken_into_lines)
{
        ck_assert_ptr_null(read_answer(
                "{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"aGVs\\r\\nbG8=\"}"));
        ck_assert(slice_equal(answer.body, SLICE("hello")));
        ck_assert_ptr_nonnull(
                read_answer("{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":[1]}"));
}
TEST_END

TEST(a_prelude_needs_no_status)
{
        ck_assert_ptr_null(
                lambda_prelude_read(memcpy(bytes, "{}", 2), 2, meta, sizeof(meta), &answer));
        ck_assert_uint_eq(answer.status, 0);
        ck_assert_uint_eq(answer.meta_length, 0);
}
TEST_END

static void read_error(const char *json, struct slice type)
{
        size_t length = strlen(json);

        memcpy(bytes, json, length);
        lambda_error_read(bytes, length, type, &error);
}

TEST(an_error_that_does_not_fit_loses_its_trace_then_its_messages_end)
{
        char json[3000] = "{\"errorType\":\"T\",\"errorMessage\":\"", written[LAMBDA_ERROR_MIN];
        size_t length = strlen(json);

        memset(json + length, 'm', 1000);
        (void)snprintf(json + length + 1000, 1200, "\",\"stackTrace\":[\"%01000d\"]}", 0);
        read_error(json, SLICE(""));
        length = lambda_error_write(&error, written, sizeof(written));
        ck_assert(memmem(written, length, ",\"stackTrace\":[]}", 17));
        ck_assert_uint_gt(length, 1000);
        memset(bytes, '\x01', 4000);
        lambda_error_read(bytes, 4000, SLICE("T"), &error);
        length = lambda_error_write(&error, written, sizeof(written));
        ck_assert_uint_le(length, sizeof(written));
        ck_assert(memmem(written, length, "\"errorType\":\"T\"", 15));
}
TEST_END

TEST(a_trace_that_is_no_list_of_strings_is_left_out)
{
        read_error("{\"errorMessage\":\"m\",\"stackTrace\":[1]}", SLICE("T"));
        ck_assert(slice_equal(error.trace, SLICE("[]")));
        read_error("{\"errorMessage\":\"m\",\"trace\":[\"a\"]}", SLICE("T"));
        ck_assert(slice_equal(error.trace, SLICE("[\"a\"]")));
}
TEST_END

TEST_MAIN("lambda_text", a_meta_that_is_none_makes_no_event,
          an_event_stays_within_its_limit_wherever_that_is, a_header_that_is_no_utf_8_is_repaired,
          an_answer_whose_members_are_escaped_is_understood,
          headers_that_do_not_fit_are_refused_and_nothing_is_written_beyond,
          the_last_of_two_members_of_a_name_counts, base64_may_be_broken_into_lines,
          a_prelude_needs_no_status,
          an_error_that_does_not_fit_loses_its_trace_then_its_messages_end,
          a_trace_that_is_no_list_of_strings_is_left_out)
