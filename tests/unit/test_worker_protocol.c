/* Frames come out as they went in, and nothing that is not a frame gets through. */
#include "wire/worker_protocol.h"

#include "testing.h"

#include <errno.h>

static size_t make_message(char *message, const struct worker_frame *frame)
{
        size_t at = WORKER_HEADER_SIZE;

        worker_frame_encode_header(frame, message);
        memcpy(message + at, frame->meta.data, frame->meta.length);
        at += frame->meta.length;
        memcpy(message + at, frame->payload.data, frame->payload.length);
        return at + frame->payload.length;
}

static const struct worker_frame sample = {
        .type = WORKER_RESULT,
        .flags = WORKER_FLAG_END,
        .id = 0x01020304,
        .value = 0x1112131415161718,
        .meta = {.data = "a:b\n", .length = 4},
        .payload = {.data = "body", .length = 4},
};

TEST(a_frame_comes_out_as_it_went_in)
{
        char message[64];
        struct worker_frame frame;
        size_t length = make_message(message, &sample);

        ck_assert_int_eq(worker_frame_decode(message, length, &frame), 0);
        ck_assert_int_eq(frame.type, WORKER_RESULT);
        ck_assert_int_eq(frame.flags, WORKER_FLAG_END);
        ck_assert_uint_eq(frame.id, sample.id);
        ck_assert_uint_eq(frame.value, sample.value);
        ck_assert(slice_equal(frame.meta, sample.meta));
        ck_assert(slice_equal(frame.payload, sample.payload));
}
TEST_END

TEST(a_lane_frame_is_its_number_and_nothing_else)
{
        const struct worker_frame lane = {.type = WORKER_LANE, .id = 258};
        static const unsigned char expected[WORKER_HEADER_SIZE] = {9, 0, 0, 0, 2, 1};
        char header[WORKER_HEADER_SIZE];
        struct worker_frame frame;

        worker_frame_encode_header(&lane, header);
        ck_assert_mem_eq(header, expected, sizeof(expected));
        ck_assert_int_eq(worker_frame_decode(header, sizeof(header), &frame), 0);
        ck_assert_int_eq(frame.type, WORKER_LANE);
        ck_assert_uint_eq(frame.id, 258);
}
TEST_END

TEST(the_header_is_little_endian_as_the_shims_expect)
{
        static const unsigned char expected[WORKER_HEADER_SIZE] = {
                4, 1, 4, 0, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11};
        char message[64];

        (void)make_message(message, &sample);
        ck_assert_mem_eq(message, expected, sizeof(expected));
}
TEST_END

TEST(a_message_that_is_no_frame_is_refused)
{
        static char message[WORKER_FRAME_MAX + 1];
        struct worker_frame frame;
        size_t length = make_message(message, &sample);

        for (size_t cut = 0; cut < WORKER_HEADER_SIZE + sample.meta.length; cut++)
                ck_assert_int_eq(worker_frame_decode(message, cut, &frame), -EPROTO);
        ck_assert_int_eq(worker_frame_decode(message, sizeof(message), &frame), -EPROTO);
        ck_assert_int_eq(worker_frame_decode(message, sizeof(message) - 1, &frame), 0);

        message[0] = 0;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
        message[0] = WORKER_BELL + 1;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
        message[0] = WORKER_RESULT;
        message[1] = WORKER_FLAG_LANES;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
        message[1] = WORKER_FLAG_TRUNKS;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
        message[1] = WORKER_FLAG_RING;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
        message[0] = WORKER_READY;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), 0);
        message[1] = WORKER_FLAG_RING;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), 0);
        message[1] = 32;
        ck_assert_int_eq(worker_frame_decode(message, length, &frame), -EPROTO);
}
TEST_END

TEST(headers_are_walked_in_order_up_to_the_end)
{
        struct slice meta = SLICE("content-type:text/plain\nx:\ny:a: b\n"), name, value;
        int error;

        ck_assert(worker_meta_next_header(&meta, &name, &value, &error));
        ck_assert(slice_equal(name, SLICE("content-type")) &&
                  slice_equal(value, SLICE("text/plain")));
        ck_assert(worker_meta_next_header(&meta, &name, &value, &error));
        ck_assert(slice_equal(name, SLICE("x")) && value.length == 0);
        ck_assert(worker_meta_next_header(&meta, &name, &value, &error));
        ck_assert(slice_equal(name, SLICE("y")) && slice_equal(value, SLICE("a: b")));
        ck_assert(!worker_meta_next_header(&meta, &name, &value, &error));
        ck_assert_int_eq(error, 0);
}
TEST_END

TEST(a_header_that_could_split_a_response_is_an_error)
{
        static const struct slice bad[] = {
                {.data = "a:b", .length = 3},      {.data = "a\n", .length = 2},
                {.data = "\n", .length = 1},       {.data = ":b\n", .length = 3},
                {.data = "a b:c\n", .length = 6},  {.data = "a:b\rc\n", .length = 6},
                {.data = "a:b\0c\n", .length = 6}, {.data = "a\0:b\n", .length = 5},
                {.data = "a:\x7f\n", .length = 4}, {.data = "\xc3\xa9:b\n", .length = 5},
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct slice meta = bad[i], name, value;
                int error = 0;
                ck_assert(!worker_meta_next_header(&meta, &name, &value, &error));
                ck_assert_int_eq(error, -EPROTO);
        }
}
TEST_END

TEST(lines_are_taken_one_by_one_and_a_rest_without_newline_is_none)
{
        struct slice meta = SLICE("id\n\nrest"), line;

        ck_assert(worker_meta_next_line(&meta, &line) && slice_equal(line, SLICE("id")));
        ck_assert(worker_meta_next_line(&meta, &line) && line.length == 0);
        ck_assert(!worker_meta_next_line(&meta, &line));
        ck_assert(slice_equal(meta, SLICE("rest")));
}
TEST_END

TEST(what_a_worker_says_of_its_start_comes_out_as_it_went_in_unless_it_cannot_be)
{
        const struct worker_start said = {.interpreter_us = 26000, .import_us = 1500};
        struct worker_start start = {.interpreter_us = 7, .import_us = 7};
        uint64_t value = worker_start_encode(&said);

        ck_assert_uint_eq(value, 26000ull << 32 | 1500);
        ck_assert_int_eq(worker_start_decode(value, 27499, &start), -EPROTO);
        ck_assert_int_eq(worker_start_decode(UINT64_MAX, UINT32_MAX, &start), -EPROTO);
        ck_assert_uint_eq(start.interpreter_us, 7); /* untouched */
        ck_assert_int_eq(worker_start_decode(value, 27500, &start), 0);
        ck_assert_uint_eq(start.interpreter_us, 26000);
        ck_assert_uint_eq(start.import_us, 1500);
        /* Who measures the loading alone, and who measures nothing. */
        ck_assert_int_eq(worker_start_decode(1500, 1500, &start), 0);
        ck_assert_uint_eq(start.interpreter_us, 0);
        ck_assert_uint_eq(start.import_us, 1500);
        ck_assert_int_eq(worker_start_decode(0, 0, &start), 0);
        ck_assert_uint_eq(start.import_us, 0);
}
TEST_END

TEST(strings_of_a_boot_are_taken_one_by_one_and_a_rest_without_nul_is_none)
{
        struct slice strings = SLICE("A=1\0\0B");

        ck_assert_str_eq(worker_boot_next_string(&strings), "A=1");
        ck_assert_str_eq(worker_boot_next_string(&strings), "");
        ck_assert_ptr_null(worker_boot_next_string(&strings));
        ck_assert(slice_equal(strings, SLICE("B")));
        strings = (struct slice){0};
        ck_assert_ptr_null(worker_boot_next_string(&strings));
}
TEST_END

TEST_MAIN("worker_protocol", a_frame_comes_out_as_it_went_in,
          a_lane_frame_is_its_number_and_nothing_else,
          the_header_is_little_endian_as_the_shims_expect, a_message_that_is_no_frame_is_refused,
          headers_are_walked_in_order_up_to_the_end,
          a_header_that_could_split_a_response_is_an_error,
          lines_are_taken_one_by_one_and_a_rest_without_newline_is_none,
          what_a_worker_says_of_its_start_comes_out_as_it_went_in_unless_it_cannot_be,
          strings_of_a_boot_are_taken_one_by_one_and_a_rest_without_nul_is_none)
