/* The chunked coding: payload comes through whatever the cuts, and nothing else does. */
#include "wire/http_chunked.h"

#include "testing.h"

#include <stdio.h>

struct outcome {
        enum http_chunked_result result;
        int status;
        size_t length, left; /* of the payload, of the input */
        char payload[1024];
};

/* Shows `step` bytes at a time. */
static struct outcome decode(struct slice bytes, size_t step, uint64_t body_max)
{
        struct outcome outcome = {.result = HTTP_CHUNKED_MORE, .left = bytes.length};
        struct http_chunked chunked;
        struct http_refusal refusal = {0};
        struct slice payload;

        http_chunked_init(&chunked, body_max);
        while (outcome.result == HTTP_CHUNKED_MORE && bytes.length > 0) {
                size_t length = bytes.length < step ? bytes.length : step;
                char *piece = malloc(length);
                ck_assert_ptr_nonnull(piece);
                memcpy(piece, bytes.data, length);
                struct slice input = slice_make(piece, length);
                while ((outcome.result = http_chunked_next(&chunked, &input, &payload, &refusal)) ==
                       HTTP_CHUNKED_DATA) {
                        ck_assert_uint_gt(payload.length, 0);
                        ck_assert_uint_le(outcome.length + payload.length, sizeof(outcome.payload));
                        memcpy(outcome.payload + outcome.length, payload.data, payload.length);
                        outcome.length += payload.length;
                }
                if (outcome.result == HTTP_CHUNKED_MORE)
                        ck_assert_uint_eq(input.length, 0);
                bytes = slice_skip(bytes, length - input.length);
                free(piece);
        }
        outcome.left = bytes.length;
        outcome.status = refusal.status;
        return outcome;
}

static void expect_payload(struct slice bytes, const char *payload, size_t left)
{
        for (size_t step = 1; step <= bytes.length; step++) {
                struct outcome outcome = decode(bytes, step, UINT64_MAX);
                ck_assert_msg(outcome.result == HTTP_CHUNKED_DONE, "result %d at step %zu: %s",
                              (int)outcome.result, step, bytes.data);
                ck_assert(slice_equal(slice_make(outcome.payload, outcome.length),
                                      slice_of(payload)));
                ck_assert_uint_eq(outcome.left, left);
        }
}

static void expect_refusal(int status, struct slice bytes)
{
        for (size_t step = 1; step <= bytes.length; step++) {
                struct outcome outcome = decode(bytes, step, 1000);
                ck_assert_msg(outcome.result == HTTP_CHUNKED_REFUSED, "result %d at step %zu: %s",
                              (int)outcome.result, step, bytes.data);
                ck_assert_int_eq(outcome.status, status);
        }
}

#define PAYLOAD(text, payload) expect_payload(SLICE(text), (payload), 0)
#define REFUSED(text) expect_refusal(400, SLICE(text))

TEST(payload_comes_through_however_it_is_cut)
{
        PAYLOAD("0\r\n\r\n", "");
        PAYLOAD("5\r\nhello\r\n0\r\n\r\n", "hello");
        PAYLOAD("5\r\nhello\r\n1\r\n \r\n00A\r\nworld,\r\n!!\r\n000\r\n\r\n", "hello world,\r\n!!");
        PAYLOAD("b\r\n0\r\n\r\n0\r\n\r\n!\r\n0\r\n\r\n", "0\r\n\r\n0\r\n\r\n!");
        PAYLOAD("0000000000000001\r\nx\r\n0\r\n\r\n", "x");
}
TEST_END

TEST(what_follows_the_body_is_left_alone)
{
        expect_payload(SLICE("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1"), "x", 14);
        expect_payload(SLICE("0\r\n\r\n\r\n"), "", 2);
}
TEST_END

TEST(extensions_are_checked_and_dropped)
{
        PAYLOAD("1;a\r\nx\r\n0;b=c\r\n\r\n", "x");
        PAYLOAD("1;a=b;c;d=\"e;\\\"\\\\ f\tg\xc3\xa9\";h\r\nx\r\n0\r\n\r\n", "x");
}
TEST_END

TEST(trailers_are_checked_and_dropped)
{
        PAYLOAD("1\r\nx\r\n0\r\nDigest: abc\r\nX: a:b\r\nY:\r\n\r\n", "x");
        PAYLOAD("0\r\nContent-Length-And-More: 7\r\nHos: a\r\nHostt: a\r\n\r\n", "");
}
TEST_END

TEST(a_size_that_is_not_hexadecimal_digits_is_refused)
{
        REFUSED("\r\n");
        REFUSED("x\r\n");
        REFUSED("g\r\n");
        REFUSED("-1\r\n");
        REFUSED("+1\r\n");
        REFUSED("0x1\r\n");
        REFUSED(" 1\r\n");
        REFUSED("1 \r\n");
        REFUSED("1\t;a\r\n");
        REFUSED("1,2\r\n");
        REFUSED("1.0\r\n");
        REFUSED("1_0\r\n");
        REFUSED("1\0\r\n");
        REFUSED("\xef\xbc\x91\r\n");
        REFUSED("1\r\nx\r\n\r\n");
}
TEST_END

TEST(a_size_of_more_than_sixteen_digits_is_refused)
{
        REFUSED("00000000000000001\r\n");
        REFUSED("10000000000000000\r\n");
        REFUSED("ffffffffffffffff0\r\n");
}
TEST_END

TEST(lines_end_with_crlf_and_nothing_else)
{
        REFUSED("1\nx\r\n0\r\n\r\n");
        REFUSED("1\rx");
        REFUSED("1\r\r\n");
        REFUSED("1\r\nx\n");
        REFUSED("1\r\nx\r0");
        REFUSED("1\r\nxx\r\n");
        REFUSED("2\r\nx\r\n0\r\n");
        REFUSED("0\n");
        REFUSED("0\r\n\n");
        REFUSED("0\r\n\rX");
        REFUSED("0\r\nA: b\n");
        REFUSED("0\r\nA: b\rX");
        REFUSED("1;a\nx");
        REFUSED("1;a\rx");
}
TEST_END

TEST(an_extension_that_the_grammar_does_not_know_is_refused)
{
        REFUSED("1;\r\n");
        REFUSED("1;;a\r\n");
        REFUSED("1; a\r\n");
        REFUSED("1;a =b\r\n");
        REFUSED("1;a= b\r\n");
        REFUSED("1;a=\r\n");
        REFUSED("1;=b\r\n");
        REFUSED("1;a=\"b\r\n");
        REFUSED("1;a=\"b\"c\r\n");
        REFUSED("1;a=\"\\\n\"\r\n");
        REFUSED("1;a=\"\0\"\r\n");
        REFUSED("1;a\0\r\n");
        REFUSED("1;a,b\r\n");
}
TEST_END

TEST(trailers_are_kept_where_they_are_wanted_and_within_the_room_for_them)
{
        static const struct slice body = {"1\r\nx\r\n0\r\nA: b\r\nEmpty:\r\n\r\nrest", 34};
        static const char kept[] = "A: b\nEmpty:\n";

        for (size_t capacity = 0; capacity <= sizeof(kept); capacity++) {
                char *trailers = malloc(capacity + 1);
                struct slice input = body, payload;
                struct http_refusal refusal;
                struct http_chunked chunked;
                enum http_chunked_result result;

                ck_assert_ptr_nonnull(trailers);
                http_chunked_init(&chunked, 10);
                http_chunked_keep_trailers(&chunked, trailers, capacity);
                while ((result = http_chunked_next(&chunked, &input, &payload, &refusal)) ==
                       HTTP_CHUNKED_DATA)
                        ;
                if (capacity < sizeof(kept) - 1) {
                        ck_assert_int_eq(result, HTTP_CHUNKED_REFUSED);
                        ck_assert_int_eq(refusal.status, 431);
                } else {
                        ck_assert_int_eq(result, HTTP_CHUNKED_DONE);
                        ck_assert(slice_equal(slice_make(trailers, chunked.trailers_length),
                                              slice_of(kept)));
                }
                free(trailers);
        }
}
TEST_END

TEST(a_trailer_that_is_no_header_line_is_refused)
{
        REFUSED("0\r\n: b\r\n");
        REFUSED("0\r\nA : b\r\n");
        REFUSED("0\r\nA\r\n");
        REFUSED("0\r\nA: b\r\n c\r\n");
        REFUSED("0\r\nA: \0\r\n");
        REFUSED("0\r\n A: b\r\n");
}
TEST_END

TEST(a_trailer_that_speaks_of_framing_or_host_is_refused)
{
        REFUSED("0\r\nContent-Length: 7\r\n");
        REFUSED("0\r\nA: b\r\ntransfer-ENCODING: chunked\r\n");
        REFUSED("0\r\nHost: b\r\n");
}
TEST_END

TEST(a_body_beyond_its_limit_is_refused_when_the_chunk_is_announced)
{
        expect_refusal(413, SLICE("3e9\r\n"));
        expect_refusal(413, SLICE("1\r\nx\r\n3e8\r\n"));
        expect_refusal(413, SLICE("ffffffffffffffff\r\n"));
        expect_refusal(413, SLICE("1\r\nx\r\nffffffffffffffff\r\n"));
        ck_assert_int_eq(decode(SLICE("1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n"), 1, 3).result,
                         HTTP_CHUNKED_DONE);
}
TEST_END

/* `head`, then `unit` so often that it takes `total` bytes or a few more, then `tail`. */
static enum http_chunked_result decode_repeated(const char *head, const char *unit, size_t total,
                                                const char *tail, int *ret_status)
{
        static char text[65536];
        size_t used = 0;
        struct outcome outcome;

        used += (size_t)sprintf(text, "%s", head);
        for (size_t most = used + total; used < most;)
                used += (size_t)sprintf(text + used, "%s", unit);
        used += (size_t)sprintf(text + used, "%s", tail);
        outcome = decode(slice_make(text, used), used, UINT64_MAX);
        *ret_status = outcome.status;
        return outcome.result;
}

TEST(extensions_are_bounded_over_all_chunks)
{
        int status;

        ck_assert_int_eq(decode_repeated("1", ";a", HTTP_CHUNK_EXTENSIONS_MAX - 2,
                                         "\r\nx\r\n0\r\n\r\n", &status),
                         HTTP_CHUNKED_DONE);
        ck_assert_int_eq(decode_repeated("1", ";a", HTTP_CHUNK_EXTENSIONS_MAX + 2,
                                         "\r\nx\r\n0\r\n\r\n", &status),
                         HTTP_CHUNKED_REFUSED);
        ck_assert_int_eq(status, 400);
        ck_assert_int_eq(decode_repeated("", "1;abcdefgh\r\n\r\r\n", 32768, "0\r\n\r\n", &status),
                         HTTP_CHUNKED_REFUSED);
        ck_assert_int_eq(status, 400);
}
TEST_END

TEST(trailers_are_bounded)
{
        int status;

        ck_assert_int_eq(
                decode_repeated("0\r\n", "A: bcde\r\n", HTTP_TRAILERS_MAX - 1000, "\r\n", &status),
                HTTP_CHUNKED_DONE);
        ck_assert_int_eq(
                decode_repeated("0\r\n", "A: bcde\r\n", HTTP_TRAILERS_MAX + 2000, "\r\n", &status),
                HTTP_CHUNKED_REFUSED);
        ck_assert_int_eq(status, 431);
}
TEST_END

TEST(after_its_end_or_a_refusal_the_decoder_takes_no_byte)
{
        struct http_chunked chunked;
        struct slice payload, input = SLICE("0\r\n\r\nabc");
        struct http_refusal refusal;

        http_chunked_init(&chunked, 10);
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(http_chunked_next(&chunked, &input, &payload, &refusal),
                                 HTTP_CHUNKED_DONE);
                ck_assert_uint_eq(input.length, 3);
        }
        http_chunked_init(&chunked, 10);
        input = SLICE("xabc");
        for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(http_chunked_next(&chunked, &input, &payload, &refusal),
                                 HTTP_CHUNKED_REFUSED);
                ck_assert_uint_eq(input.length, 4);
        }
}
TEST_END

TEST(a_chunk_head_is_its_size_in_hexadecimal)
{
        static const struct {
                uint64_t size;
                const char *head;
        } cases[] = {{1, "1\r\n"},
                     {15, "f\r\n"},
                     {16, "10\r\n"},
                     {65536, "10000\r\n"},
                     {0xabcdef, "abcdef\r\n"},
                     {UINT64_MAX, "ffffffffffffffff\r\n"}};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char head[HTTP_CHUNK_HEAD_MAX];
                size_t length = http_chunk_head(cases[i].size, head);
                ck_assert(slice_equal(slice_make(head, length), slice_of(cases[i].head)));
        }
}
TEST_END

TEST_MAIN("http_chunked", payload_comes_through_however_it_is_cut,
          what_follows_the_body_is_left_alone, extensions_are_checked_and_dropped,
          trailers_are_checked_and_dropped,
          trailers_are_kept_where_they_are_wanted_and_within_the_room_for_them,
          a_size_that_is_not_hexadecimal_digits_is_refused,
          a_size_of_more_than_sixteen_digits_is_refused, lines_end_with_crlf_and_nothing_else,
          an_extension_that_the_grammar_does_not_know_is_refused,
          a_trailer_that_is_no_header_line_is_refused,
          a_trailer_that_speaks_of_framing_or_host_is_refused,
          a_body_beyond_its_limit_is_refused_when_the_chunk_is_announced,
          extensions_are_bounded_over_all_chunks, trailers_are_bounded,
          after_its_end_or_a_refusal_the_decoder_takes_no_byte,
          a_chunk_head_is_its_size_in_hexadecimal)
