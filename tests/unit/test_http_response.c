/* The response writer: what a client sees, and what a hostile function cannot make it see. */
#include "wire/http_response.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

static char bytes[1024];
static struct http_response response;
static const struct http_framing framing = {
        .kind = HTTP_FRAMING_LENGTH, .length = 5, .keep_alive = true};

static void expect_head(const struct http_framing *how, const char *text)
{
        int length = http_response_end(&response, how);

        ck_assert_int_ge(length, 0);
        bytes[length] = '\0';
        ck_assert_str_eq(bytes, text);
}

TEST(a_head_is_a_status_line_headers_and_the_framing)
{
        http_response_begin(&response, bytes, sizeof(bytes), 201);
        ck_assert_int_eq(http_response_header(&response, SLICE("A"), SLICE("b c")), 0);
        ck_assert_int_eq(http_response_header(&response, SLICE("Empty"), (struct slice){0}), 0);
        ck_assert_int_eq(http_response_header_number(&response, SLICE("N"), UINT64_MAX), 0);
        ck_assert_int_eq(http_response_header_number(&response, SLICE("Z"), 0), 0);
        expect_head(&framing, "HTTP/1.1 201 Created\r\nA: b c\r\nEmpty: \r\n"
                              "N: 18446744073709551615\r\nZ: 0\r\nContent-Length: 5\r\n\r\n");
}
TEST_END

TEST(chunked_and_close_delimited_bodies_are_said)
{
        struct http_framing chunked = {.kind = HTTP_FRAMING_CHUNKED, .keep_alive = true};
        struct http_framing close = {.kind = HTTP_FRAMING_CLOSE};
        struct http_framing old = {
                .kind = HTTP_FRAMING_LENGTH, .keep_alive = true, .say_keep_alive = true};
        struct http_framing none = {.kind = HTTP_FRAMING_NONE, .keep_alive = true};

        http_response_begin(&response, bytes, sizeof(bytes), 200);
        expect_head(&chunked, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        http_response_begin(&response, bytes, sizeof(bytes), 200);
        expect_head(&close, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        http_response_begin(&response, bytes, sizeof(bytes), 200);
        expect_head(&old, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
        http_response_begin(&response, bytes, sizeof(bytes), 204);
        expect_head(&none, "HTTP/1.1 204 No Content\r\n\r\n");
}
TEST_END

TEST(a_name_that_is_no_token_is_not_written)
{
        static const struct slice names[] = {{"", 0},      {"a b", 3},  {"a:", 2},
                                             {"a\r\n", 3}, {"a\0b", 3}, {"caf\xc3\xa9", 5}};

        http_response_begin(&response, bytes, sizeof(bytes), 200);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                ck_assert_int_eq(http_response_forward(&response, names[i], SLICE("x")), -EINVAL);
        expect_head(&framing, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}
TEST_END

TEST(a_value_cannot_begin_a_line_of_its_own)
{
        static const struct slice values[] = {{"a\r\nSet-Cookie: b", 16},
                                              {"a\nb", 3},
                                              {"a\rb", 3},
                                              {"\r\n\r\n<html>", 10},
                                              {"a\0b", 3},
                                              {"a\x0b", 2},
                                              {"a\x7f", 2},
                                              {"0123456789abcdef\n", 17}};

        http_response_begin(&response, bytes, sizeof(bytes), 200);
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
                ck_assert_int_eq(http_response_forward(&response, SLICE("x"), values[i]), -EINVAL);
        ck_assert_int_eq(http_response_forward(&response, SLICE("X"), SLICE("caf\xc3\xa9\t!")), 0);
        expect_head(&framing, "HTTP/1.1 200 OK\r\nX: caf\xc3\xa9\t!\r\nContent-Length: 5\r\n\r\n");
}
TEST_END

TEST(a_function_has_no_say_in_framing_connection_and_date)
{
        static const char *const names[] = {"Content-Length",
                                            "transfer-encoding",
                                            "CONNECTION",
                                            "Keep-Alive",
                                            "Upgrade",
                                            "Trailer",
                                            "TE",
                                            "Proxy-Auth",
                                            "date"};

        http_response_begin(&response, bytes, sizeof(bytes), 200);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                ck_assert_int_eq(http_response_forward(&response, slice_of(names[i]), SLICE("7")),
                                 0);
        ck_assert_int_eq(http_response_forward(&response, SLICE("Set-Cookie"), SLICE("a=b")), 0);
        expect_head(&framing, "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\n");
}
TEST_END

TEST(too_little_room_shows_at_the_end_whatever_the_size)
{
        const char expected[] = "HTTP/1.1 200 OK\r\nAb: cd\r\nContent-Length: 5\r\n\r\n";

        for (size_t capacity = 0; capacity < sizeof(expected) + 5; capacity++) {
                char *room = malloc(capacity ? capacity : 1);
                ck_assert_ptr_nonnull(room);
                http_response_begin(&response, room, capacity, 200);
                ck_assert_int_eq(http_response_header(&response, SLICE("Ab"), SLICE("cd")), 0);
                int length = http_response_end(&response, &framing);
                if (capacity < sizeof(expected) - 1) {
                        ck_assert_int_eq(length, -ENOBUFS);
                } else {
                        ck_assert_int_eq(length, (int)sizeof(expected) - 1);
                        ck_assert_int_eq(memcmp(room, expected, (size_t)length), 0);
                }
                free(room);
        }
}
TEST_END

static struct http_terms terms_of(enum http_method method, int minor, bool keep_alive)
{
        return (struct http_terms){
                .method = method, .minor_version = minor, .keep_alive = keep_alive};
}

TEST(a_known_length_is_said_and_an_unknown_one_is_chunked_or_ends_with_the_connection)
{
        struct http_terms modern = terms_of(HTTP_METHOD_POST, 1, true);
        struct http_terms old = terms_of(HTTP_METHOD_POST, 0, true);
        struct http_framing chosen = http_framing_choose(&modern, 200, true, 7);

        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_LENGTH);
        ck_assert_uint_eq(chosen.length, 7);
        ck_assert(chosen.send_body && chosen.keep_alive && !chosen.say_keep_alive);

        chosen = http_framing_choose(&modern, 500, false, 0);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_CHUNKED);
        ck_assert(chosen.send_body && chosen.keep_alive);

        chosen = http_framing_choose(&old, 200, true, 7);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_LENGTH);
        ck_assert(chosen.keep_alive && chosen.say_keep_alive);

        chosen = http_framing_choose(&old, 200, false, 0);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_CLOSE);
        ck_assert(chosen.send_body && !chosen.keep_alive);

        modern.keep_alive = false;
        ck_assert(!http_framing_choose(&modern, 200, true, 7).keep_alive);
}
TEST_END

TEST(no_body_goes_out_for_head_204_205_and_304)
{
        struct http_terms get = terms_of(HTTP_METHOD_GET, 1, true);
        struct http_terms head = terms_of(HTTP_METHOD_HEAD, 1, true);
        struct http_framing chosen = http_framing_choose(&head, 200, true, 7);

        ck_assert(!chosen.send_body);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_LENGTH);
        ck_assert_uint_eq(chosen.length, 7);

        chosen = http_framing_choose(&get, 204, true, 7);
        ck_assert(!chosen.send_body);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_NONE);

        chosen = http_framing_choose(&get, 304, false, 0);
        ck_assert(!chosen.send_body);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_NONE);

        chosen = http_framing_choose(&get, 205, false, 0);
        ck_assert(!chosen.send_body);
        ck_assert_int_eq(chosen.kind, HTTP_FRAMING_LENGTH);
        ck_assert_uint_eq(chosen.length, 0);
}
TEST_END

TEST(head_tells_the_length_that_the_function_tells_or_that_of_its_body_or_none)
{
        static const struct {
                const char *told; /* NULL: nothing */
                size_t body;
                enum http_framing_kind kind;
                uint64_t length;
        } cases[] = {
                {"70000", 0, HTTP_FRAMING_LENGTH, 70000}, {"0", 0, HTTP_FRAMING_LENGTH, 0},
                {NULL, 0, HTTP_FRAMING_NONE, 0},          {NULL, 7, HTTP_FRAMING_LENGTH, 7},
                {"-1", 0, HTTP_FRAMING_NONE, 0},          {"7 ", 0, HTTP_FRAMING_NONE, 0},
        };
        const struct http_terms head = terms_of(HTTP_METHOD_HEAD, 1, true);

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct http_framing chosen = http_framing_choose(&head, 200, true, cases[i].body);
                http_response_begin(&response, bytes, sizeof(bytes), 200);
                if (cases[i].told)
                        ck_assert_int_eq(http_response_forward(&response, SLICE("Content-LENGTH"),
                                                               slice_of(cases[i].told)),
                                         0);
                http_framing_for_head(&chosen, &response);
                ck_assert_int_eq(chosen.kind, cases[i].kind);
                ck_assert_uint_eq(chosen.kind == HTTP_FRAMING_LENGTH ? chosen.length : 0,
                                  cases[i].length);
                ck_assert(!chosen.send_body && chosen.keep_alive);
        }
}
TEST_END

TEST(statuses_from_200_to_599_are_final)
{
        ck_assert(http_status_is_final(200) && http_status_is_final(599));
        ck_assert(!http_status_is_final(199) && !http_status_is_final(600));
        ck_assert(!http_status_is_final(-1) && !http_status_is_final((1ll << 32) + 200));
}
TEST_END

TEST(a_status_without_a_phrase_is_unknown)
{
        ck_assert_str_eq(http_status_phrase(404), "Not Found");
        ck_assert_str_eq(http_status_phrase(299), "Unknown");
        ck_assert_str_eq(http_status_phrase(0), "Unknown");
        ck_assert_str_eq(http_status_phrase(100000), "Unknown");
        ck_assert_str_eq(http_status_phrase(-1), "Unknown");
}
TEST_END

TEST(the_date_is_made_once_a_second)
{
        struct http_date date = {0};

        ck_assert(slice_equal(http_date_at(&date, 784111777),
                              SLICE("Sun, 06 Nov 1994 08:49:37 GMT")));
        date.text[0] = 'X';
        ck_assert_int_eq(http_date_at(&date, 784111777).data[0], 'X');
        ck_assert(slice_equal(http_date_at(&date, 784111778),
                              SLICE("Sun, 06 Nov 1994 08:49:38 GMT")));
}
TEST_END

TEST(every_date_has_29_characters)
{
        struct http_date date = {0};

        ck_assert(slice_equal(http_date_at(&date, 0), SLICE("Thu, 01 Jan 1970 00:00:00 GMT")));
        ck_assert(slice_equal(http_date_at(&date, 253402300799),
                              SLICE("Fri, 31 Dec 9999 23:59:59 GMT")));
        ck_assert(slice_equal(http_date_at(&date, UINT64_MAX),
                              SLICE("Fri, 31 Dec 9999 23:59:59 GMT")));
}
TEST_END

TEST_MAIN("http_response", a_head_is_a_status_line_headers_and_the_framing,
          chunked_and_close_delimited_bodies_are_said, a_name_that_is_no_token_is_not_written,
          a_value_cannot_begin_a_line_of_its_own,
          a_function_has_no_say_in_framing_connection_and_date,
          too_little_room_shows_at_the_end_whatever_the_size,
          a_known_length_is_said_and_an_unknown_one_is_chunked_or_ends_with_the_connection,
          no_body_goes_out_for_head_204_205_and_304,
          head_tells_the_length_that_the_function_tells_or_that_of_its_body_or_none,
          statuses_from_200_to_599_are_final, a_status_without_a_phrase_is_unknown,
          the_date_is_made_once_a_second, every_date_has_29_characters)
