/* The heads of answers: the same result however they are cut, and nothing that is ambiguous. */
#include "wire/http_answer.h"

#include "testing.h"

static struct http_answer answer;
static const char *fault;

/* Shows `step` bytes more at a time. */
static enum http_parse_result parse(struct slice bytes, size_t step, bool to_head_request)
{
        enum http_parse_result result = HTTP_PARSE_MORE;
        size_t scanned = 0;

        for (size_t shown = step; result == HTTP_PARSE_MORE && scanned < bytes.length;
             shown += step) {
                shown = shown < bytes.length ? shown : bytes.length;
                result = http_answer_parse(bytes.data, shown, scanned, 1024, to_head_request,
                                           &answer, &fault);
                scanned = shown;
        }
        return result;
}

static void expect(struct slice bytes, int status, enum http_answer_body body, uint64_t length,
                   bool keep_alive)
{
        for (size_t step = 1; step <= bytes.length; step++) {
                ck_assert_int_eq(parse(bytes, step, false), HTTP_PARSE_DONE);
                ck_assert_int_eq(answer.status, status);
                ck_assert_int_eq(answer.body, body);
                ck_assert_uint_eq(answer.content_length, length);
                ck_assert(answer.keep_alive == keep_alive);
                ck_assert_uint_eq(answer.head_length, bytes.length);
        }
}

static void expect_refusal(struct slice bytes, const char *word)
{
        for (size_t step = 1; step <= bytes.length; step++) {
                ck_assert_msg(parse(bytes, step, false) == HTTP_PARSE_REFUSED, "%s", bytes.data);
                ck_assert_msg(strstr(fault, word), "'%s' without '%s'", fault, word);
        }
}

TEST(a_body_ends_by_its_length_its_chunks_or_the_connection)
{
        expect(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 200, HTTP_ANSWER_LENGTH, 5,
               true);
        expect(SLICE("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"), 200,
               HTTP_ANSWER_CHUNKED, 0, true);
        expect(SLICE("HTTP/1.1 200 OK\r\nContent-Type: a\r\n\r\n"), 200, HTTP_ANSWER_UNTIL_CLOSE, 0,
               false);
}
TEST_END

TEST(some_answers_have_no_body_whatever_they_say)
{
        static const struct slice with_length = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                                                 38};

        expect(SLICE("HTTP/1.1 204 No Content\r\n\r\n"), 204, HTTP_ANSWER_NONE, 0, true);
        expect(SLICE("HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n"), 304, HTTP_ANSWER_NONE, 0,
               true);
        expect(SLICE("HTTP/1.1 100 Continue\r\n\r\n"), 100, HTTP_ANSWER_NONE, 0, true);
        ck_assert_int_eq(parse(with_length, 100, true), HTTP_PARSE_DONE);
        ck_assert_int_eq(answer.body, HTTP_ANSWER_NONE);
}
TEST_END

TEST(a_reason_may_be_missing_and_so_may_the_space_before_it)
{
        expect(SLICE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), 200, HTTP_ANSWER_LENGTH, 0,
               true);
        expect(SLICE("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), 200, HTTP_ANSWER_LENGTH, 0,
               true);
        expect(SLICE("HTTP/1.1 418 I'm a teapot, \xc3\xbc\r\nContent-Length: 0\r\n\r\n"), 418,
               HTTP_ANSWER_LENGTH, 0, true);
}
TEST_END

TEST(version_and_connection_say_whether_it_stays)
{
        expect(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n"), 200,
               HTTP_ANSWER_LENGTH, 0, false);
        expect(SLICE("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), 200, HTTP_ANSWER_LENGTH, 0,
               false);
        expect(SLICE("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: x, Keep-Alive\r\n\r\n"),
               200, HTTP_ANSWER_LENGTH, 0, true);
        expect(SLICE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), 200,
               HTTP_ANSWER_UNTIL_CLOSE, 0, false);
}
TEST_END

TEST(headers_come_in_their_order_without_the_space_around_them)
{
        const struct slice head = SLICE("HTTP/1.1 200 OK\r\nA:b\r\nC: \t d e \r\nEmpty:\r\n"
                                        "Content-Length: 0\r\n\r\nbody");

        ck_assert_int_eq(parse(head, head.length, false), HTTP_PARSE_DONE);
        ck_assert_uint_eq(answer.header_count, 4);
        ck_assert(slice_equal(answer.headers[1].name, SLICE("C")));
        ck_assert(slice_equal(answer.headers[1].value, SLICE("d e")));
        ck_assert_uint_eq(answer.headers[2].value.length, 0);
        ck_assert_uint_eq(answer.head_length, head.length - 4);
}
TEST_END

TEST(what_is_no_http_is_refused_at_its_first_byte)
{
        ck_assert_int_eq(parse(SLICE("x"), 1, false), HTTP_PARSE_REFUSED);
        ck_assert_int_eq(parse(SLICE("HTTP/2"), 6, false), HTTP_PARSE_REFUSED);
        ck_assert_int_eq(parse(SLICE("\r\nHTTP/1.1"), 3, false), HTTP_PARSE_REFUSED);
        ck_assert_int_eq(parse(SLICE("HTTP"), 4, false), HTTP_PARSE_MORE);
}
TEST_END

TEST(bad_heads_are_refused)
{
        expect_refusal(SLICE("HTTP/1.2 200 OK\r\n\r\n"), "HTTP/1.1");
        expect_refusal(SLICE("HTTP/1.1  200 OK\r\n\r\n"), "three digits");
        expect_refusal(SLICE("HTTP/1.1 20\r\n\r\n"), "HTTP/1.1");
        expect_refusal(SLICE("HTTP/1.1 2000\r\n\r\n"), "three digits");
        expect_refusal(SLICE("HTTP/1.1 099 X\r\n\r\n"), "100 and 599");
        expect_refusal(SLICE("HTTP/1.1 600 X\r\n\r\n"), "100 and 599");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n"), "control");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), "white space");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nA b\r\n\r\n"), "colon");
        expect_refusal(SLICE("HTTP/1.1 200 OK\nA: b\n\n"), "LF");
}
TEST_END

TEST(what_says_two_things_of_its_body_is_refused)
{
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
                       "twice");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"),
                       "exclude");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
                       "chunked");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "chunked");
        expect_refusal(SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "HTTP/1.0");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"), "number");
        expect_refusal(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"),
                       "number");
}
TEST_END

TEST(a_head_has_a_bound)
{
        char head[2048];

        memset(head, 'a', sizeof(head));
        memcpy(head, "HTTP/1.1 200 ", 13);
        ck_assert_int_eq(parse(slice_make(head, 1023), 100, false), HTTP_PARSE_MORE);
        ck_assert_int_eq(parse(slice_make(head, 1024), 1024, false), HTTP_PARSE_REFUSED);
        ck_assert(strstr(fault, "too large"));
}
TEST_END

TEST_MAIN("http_answer", a_body_ends_by_its_length_its_chunks_or_the_connection,
          some_answers_have_no_body_whatever_they_say,
          a_reason_may_be_missing_and_so_may_the_space_before_it,
          version_and_connection_say_whether_it_stays,
          headers_come_in_their_order_without_the_space_around_them,
          what_is_no_http_is_refused_at_its_first_byte, bad_heads_are_refused,
          what_says_two_things_of_its_body_is_refused, a_head_has_a_bound)
