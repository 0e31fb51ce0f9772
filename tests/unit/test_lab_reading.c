/* One answer from pieces of any size. */
#include "lab/reading.h"
#include "testing.h"

#include <string.h>

static struct reading reading;
static struct spill_pool pool;

/* Feeds `text` in pieces of `step` bytes; the result of the last. */
static enum reading_result feed(const char *text, size_t step)
{
        enum reading_result result = READING_MORE;
        size_t length = strlen(text);

        reading_begin(&reading, false);
        for (size_t at = 0; at < length && result == READING_MORE; at += step) {
                size_t count = step < length - at ? step : length - at;
                result = reading_feed(&reading, &pool, slice_make(text + at, count));
        }
        return result;
}

/* What comes of the text, whatever the pieces, and of the connection's end behind it. */
static void expect(const char *text, enum reading_result while_open, enum reading_result at_end)
{
        for (size_t step = 1; step <= strlen(text); step++) {
                enum reading_result result = feed(text, step);
                ck_assert_msg(result == while_open, "%s in pieces of %zu: %d", text, step, result);
                if (result == READING_MORE)
                        ck_assert_msg(reading_end(&reading) == at_end, "%s", text);
                reading_drop(&reading, &pool);
        }
}

TEST(an_answer_is_done_with_the_last_byte_of_its_body)
{
        expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", READING_DONE, READING_DONE);
        expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
               READING_DONE, READING_DONE);
        expect("HTTP/1.1 204 No Content\r\n\r\n", READING_DONE, READING_DONE);
        ck_assert_int_eq(reading.status, 204);
}
TEST_END

TEST(a_body_without_a_length_is_done_when_the_connection_ends)
{
        expect("HTTP/1.1 200 OK\r\n\r\nhello", READING_MORE, READING_DONE);
        ck_assert(!reading.keep_alive);
}
TEST_END

TEST(an_answer_that_ends_early_is_short)
{
        expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", READING_MORE, READING_SHORT);
        expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", READING_MORE,
               READING_SHORT);
        expect("HTTP/1.1 200 O", READING_MORE, READING_SHORT);
        reading_begin(&reading, false);
        ck_assert_int_eq(reading_end(&reading), READING_EMPTY);
}
TEST_END

TEST(interim_answers_are_passed_over)
{
        expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
               "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
               READING_DONE, READING_DONE);
        ck_assert_int_eq(reading.status, 201);
}
TEST_END

TEST(what_is_no_http_is_broken_and_so_is_another_protocol)
{
        expect("SSH-2.0-x\r\n", READING_BROKEN, READING_BROKEN);
        expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", READING_BROKEN,
               READING_BROKEN);
        expect("HTTP/1.1 101 Switching Protocols\r\n\r\n", READING_BROKEN, READING_BROKEN);
}
TEST_END

TEST(bytes_behind_an_answer_are_broken_when_they_come_with_it)
{
        const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!";

        ck_assert_int_eq(feed(text, strlen(text)), READING_BROKEN);
        reading_drop(&reading, &pool);
}
TEST_END

TEST(a_head_beyond_its_bound_is_broken)
{
        static char text[READING_HEAD_MAX + 100];

        memset(text, 'a', sizeof(text) - 1);
        memcpy(text, "HTTP/1.1 200 OK\r\nA: ", 20);
        ck_assert_int_eq(feed(text, 1000), READING_BROKEN);
        reading_drop(&reading, &pool);
        ck_assert_int_eq(feed(text, sizeof(text)), READING_BROKEN);
        reading_drop(&reading, &pool);
}
TEST_END

TEST(memory_for_a_head_in_pieces_is_used_again)
{
        struct spill *first;

        ck_assert_int_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3), READING_DONE);
        first = reading.spill;
        ck_assert_ptr_nonnull(first);
        reading_drop(&reading, &pool);
        (void)feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3);
        ck_assert_ptr_eq(reading.spill, first);
        reading_drop(&reading, &pool);
        spill_pool_deinit(&pool);
}
TEST_END

TEST_MAIN("lab_reading", an_answer_is_done_with_the_last_byte_of_its_body,
          a_body_without_a_length_is_done_when_the_connection_ends,
          an_answer_that_ends_early_is_short, interim_answers_are_passed_over,
          what_is_no_http_is_broken_and_so_is_another_protocol,
          bytes_behind_an_answer_are_broken_when_they_come_with_it,
          a_head_beyond_its_bound_is_broken, memory_for_a_head_in_pieces_is_used_again)
