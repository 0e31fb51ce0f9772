/* What an image says, as a value and as bytes. */
#include "core/registry/image.h"
#include "testing.h"

#include <errno.h>
#include <string.h>

static const char *const words[] = {"/bin/server", "", "--name=a b"};
static const char *const env[] = {"PATH=/bin", "EMPTY="};

static struct image_parts parts(void)
{
        return (struct image_parts){.directory = "/srv",
                                    .user = 101,
                                    .group = 102,
                                    .word_count = 3,
                                    .words = words,
                                    .env_count = 2,
                                    .env = env};
}

static void expect_same(const struct image *a, const struct image *b)
{
        ck_assert_uint_eq(a->user, b->user);
        ck_assert_uint_eq(a->group, b->group);
        ck_assert_str_eq(a->directory, b->directory);
        ck_assert_uint_eq(a->word_count, b->word_count);
        for (size_t i = 0; i < a->word_count; i++)
                ck_assert_str_eq(a->words[i], b->words[i]);
        ck_assert_uint_eq(a->env_count, b->env_count);
        for (size_t i = 0; i < a->env_count; i++)
                ck_assert_str_eq(a->env[i], b->env[i]);
}

TEST(an_image_is_a_copy_of_its_parts)
{
        char word[] = "/bin/server";
        const char *const changing[] = {word};
        struct image_parts given = parts();
        struct image *image;

        given.words = changing;
        given.word_count = 1;
        ck_assert_int_eq(image_new(&given, &image), 0);
        word[1] = 'x';
        ck_assert_str_eq(image->words[0], "/bin/server");
        ck_assert_str_eq(image->directory, "/srv");
        ck_assert_str_eq(image->env[1], "EMPTY=");
        image_unref(image_ref(image));
        image_unref(image);
        image_unref(NULL);
        ck_assert_ptr_null(image_ref(NULL));
}
TEST_END

TEST(what_is_packed_is_unpacked_the_same)
{
        struct image_parts given = parts();
        struct image *image, *again;
        struct buffer bytes;

        buffer_init(&bytes, 2 * IMAGE_TEXT_MAX);
        ck_assert_int_eq(image_new(&given, &image), 0);
        ck_assert_int_eq(image_pack(image, &bytes), 0);
        ck_assert_int_eq(image_unpack(buffer_slice(&bytes), &again), 0);
        expect_same(image, again);
        image_unref(image);
        image_unref(again);
        buffer_deinit(&bytes);
}
TEST_END

TEST(a_buffer_that_is_too_small_is_left_as_it_was)
{
        struct image_parts given = parts();
        struct image *image;
        struct buffer bytes;

        buffer_init(&bytes, 12);
        ck_assert_int_eq(buffer_append_text(&bytes, "before"), 0);
        ck_assert_int_eq(image_new(&given, &image), 0);
        ck_assert_int_eq(image_pack(image, &bytes), -ENOBUFS);
        ck_assert_uint_eq(bytes.length, 6);
        image_unref(image);
        buffer_deinit(&bytes);
}
TEST_END

TEST(what_is_out_of_bounds_is_no_image)
{
        static char huge[IMAGE_TEXT_MAX];
        const char *const huge_words[] = {huge};
        struct image_parts wrong[] = {parts(), parts(), parts(), parts(), parts(), parts()};
        struct image *image;

        memset(huge, 'x', sizeof(huge) - 1);
        wrong[0].word_count = 0;
        wrong[1].directory = "srv";
        wrong[2].user = IMAGE_ID_MAX + 1;
        wrong[3].group = IMAGE_ID_MAX + 1;
        wrong[4].words = huge_words;
        wrong[4].word_count = 1;
        wrong[5].env_count = IMAGE_ENV_MAX + 1;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(image_new(&wrong[i], &image), -EINVAL);
}
TEST_END

#define BYTES(text) slice_make(text, sizeof(text) - 1)

TEST(bytes_that_nobody_packed_are_refused)
{
        const struct slice wrong[] = {
                BYTES(""),
                BYTES("0"),
                BYTES("0\0"),
                BYTES("0\0000\0/\0"),
                BYTES("0\0000\0/\0001\0"),
                BYTES("0\0000\0/\0001\0a"),
                BYTES("0\0000\0/\0002\0a\0"),
                BYTES("x\0000\0/\0001\0a\0"),
                BYTES("\0000\0/\0001\0a\0"),
                BYTES("-1\0000\0/\0001\0a\0"),
                BYTES("65536\0000\0/\0001\0a\0"),
                BYTES("99999999999\0000\0/\0001\0a\0"),
                BYTES("0\0000\0a\0001\0a\0"),
                BYTES("0\0000\0/\0000\0"),
                BYTES("0\0000\0/\00065\0"),
                BYTES("0\0000\0/\0001\0a\0A=b"),
        };
        struct image *image;

        ck_assert_int_eq(image_unpack(BYTES("0\0000\0/\0001\0a\0A=b\0"), &image), 0);
        image_unref(image);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                ck_assert_int_eq(image_unpack(wrong[i], &image), -EINVAL);
}
TEST_END

TEST_MAIN("image", an_image_is_a_copy_of_its_parts, what_is_packed_is_unpacked_the_same,
          a_buffer_that_is_too_small_is_left_as_it_was, what_is_out_of_bounds_is_no_image,
          bytes_that_nobody_packed_are_refused)
