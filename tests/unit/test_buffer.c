/* The buffer grows, keeps its bound, and is unchanged by what failed. */
#include "base/buffer.h"

#include "base/auto.h"
#include "testing.h"

#include <errno.h>

static void expect_content(const struct buffer *buffer, const char *text)
{
        ck_assert(slice_equal(buffer_slice(buffer), slice_of(text)));
}

TEST(what_is_appended_is_there_in_its_order)
{
        AUTO(buffer_deinit) struct buffer buffer;

        buffer_init(&buffer, 100);
        ck_assert_int_eq(buffer_append(&buffer, "ab\0c", 4), 0);
        ck_assert_int_eq(buffer_append_text(&buffer, "de"), 0);
        ck_assert_int_eq(buffer_printf(&buffer, "%d-%s", 7, "f"), 0);
        ck_assert_int_eq(buffer_append(&buffer, NULL, 0), 0);
        ck_assert(slice_equal(buffer_slice(&buffer), SLICE("ab\0cde7-f")));
}
TEST_END

TEST(a_buffer_grows_to_its_limit_and_no_byte_further)
{
        for (size_t limit = 0; limit < 1200; limit += 7) {
                AUTO(buffer_deinit) struct buffer buffer;
                buffer_init(&buffer, limit);
                for (size_t i = 0; i < limit; i++)
                        ck_assert_int_eq(buffer_append(&buffer, "x", 1), 0);
                ck_assert_int_eq(buffer_append(&buffer, "y", 1), -ENOBUFS);
                ck_assert_int_eq(buffer_printf(&buffer, "y"), -ENOBUFS);
                ck_assert_uint_eq(buffer.length, limit);
                ck_assert_uint_le(buffer.capacity, limit);
        }
}
TEST_END

TEST(printed_text_may_fill_the_buffer_exactly)
{
        AUTO(buffer_deinit) struct buffer buffer;

        buffer_init(&buffer, 6);
        ck_assert_int_eq(buffer_printf(&buffer, "%s", "abc"), 0);
        ck_assert_int_eq(buffer_printf(&buffer, "%d", 1234), -ENOBUFS);
        ck_assert_int_eq(buffer_printf(&buffer, "%d", 123), 0);
        expect_content(&buffer, "abc123");
        ck_assert_int_eq(buffer_printf(&buffer, "%s", ""), 0);
        expect_content(&buffer, "abc123");
}
TEST_END

TEST(a_failed_append_changes_nothing)
{
        AUTO(buffer_deinit) struct buffer buffer;

        buffer_init(&buffer, 5);
        ck_assert_int_eq(buffer_append_text(&buffer, "abc"), 0);
        ck_assert_int_eq(buffer_append_text(&buffer, "def"), -ENOBUFS);
        ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX), -ENOBUFS);
        expect_content(&buffer, "abc");
}
TEST_END

TEST(a_reservation_that_no_machine_can_hold_fails)
{
        AUTO(buffer_deinit) struct buffer buffer;

        buffer_init(&buffer, SIZE_MAX);
        ck_assert_int_eq(buffer_append_text(&buffer, "abc"), 0);
        ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX / 2 + 10), -ENOMEM);
        ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX - 3), -ENOMEM);
        expect_content(&buffer, "abc");
}
TEST_END

TEST(consuming_keeps_the_rest)
{
        AUTO(buffer_deinit) struct buffer buffer;

        buffer_init(&buffer, 100);
        ck_assert_int_eq(buffer_append_text(&buffer, "abcdef"), 0);
        buffer_consume(&buffer, 0);
        expect_content(&buffer, "abcdef");
        buffer_consume(&buffer, 4);
        expect_content(&buffer, "ef");
        buffer_consume(&buffer, 99);
        ck_assert_uint_eq(buffer.length, 0);
}
TEST_END

TEST(a_cleared_buffer_keeps_its_memory_and_a_deinitialised_one_does_not)
{
        struct buffer buffer;

        buffer_init(&buffer, 1000);
        ck_assert_int_eq(buffer_reserve(&buffer, 500), 0);
        char *memory = buffer.data;
        buffer_clear(&buffer);
        ck_assert_int_eq(buffer_reserve(&buffer, 500), 0);
        ck_assert_ptr_eq(buffer.data, memory);
        buffer_deinit(&buffer);
        ck_assert_ptr_null(buffer.data);
        buffer_deinit(&buffer);
}
TEST_END

TEST(clearing_down_to_a_size_gives_back_what_is_larger)
{
        struct buffer buffer;

        buffer_init(&buffer, 100000);
        ck_assert_int_eq(buffer_append_text(&buffer, "abc"), 0);
        char *memory = buffer.data;
        buffer_clear_down_to(&buffer, 256);
        ck_assert_uint_eq(buffer.length, 0);
        ck_assert_ptr_eq(buffer.data, memory);
        ck_assert_int_eq(buffer_reserve(&buffer, 257), 0);
        buffer_clear_down_to(&buffer, 256);
        ck_assert_ptr_null(buffer.data);
        ck_assert_uint_eq(buffer.capacity, 0);
        ck_assert_uint_eq(buffer.limit, 100000);
}
TEST_END

TEST(buffers_that_are_swapped_keep_their_limits)
{
        struct buffer small, large;

        buffer_init(&small, 3);
        buffer_init(&large, 10);
        ck_assert_int_eq(buffer_append_text(&small, "abc"), 0);
        ck_assert_int_eq(buffer_append_text(&large, "0123456789"), 0);
        buffer_swap(&small, &large);
        expect_content(&small, "0123456789");
        expect_content(&large, "abc");
        ck_assert_int_eq(buffer_append_text(&small, "x"), -ENOBUFS);
        ck_assert_int_eq(buffer_append_text(&large, "defghij"), 0);
        ck_assert_int_eq(buffer_append_text(&large, "x"), -ENOBUFS);
        buffer_deinit(&small);
        buffer_deinit(&large);
}
TEST_END

TEST_MAIN("buffer", what_is_appended_is_there_in_its_order,
          a_buffer_grows_to_its_limit_and_no_byte_further, printed_text_may_fill_the_buffer_exactly,
          a_failed_append_changes_nothing, a_reservation_that_no_machine_can_hold_fails,
          consuming_keeps_the_rest,
          a_cleared_buffer_keeps_its_memory_and_a_deinitialised_one_does_not,
          clearing_down_to_a_size_gives_back_what_is_larger,
          buffers_that_are_swapped_keep_their_limits)
