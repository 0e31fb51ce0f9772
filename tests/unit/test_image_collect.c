/* Which images and layers go, by what is on the disk. */
#include "adapters/images/images_disk.h"
#include "temporary.h"
#include "testing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define NOW_MS 1700000000000ull
#define HOUR_MS (60ull * 60 * 1000)

static struct temporary folder;
static struct images *images;

/* A name of 64 equal digits. */
static const char *digits(char digit)
{
        static char names[4][65];
        static unsigned turn;
        char *name = names[turn++ % 4];

        memset(name, digit, 64);
        return name;
}

static void write_file(const char *path, const char *text)
{
        FILE *file = fopen(path, "w");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static const char *path_of(const char *part, char digit, const char *rest)
{
        static char paths[4][300];
        static unsigned turn;
        char *path = paths[turn++ % 4];

        (void)snprintf(path, sizeof(paths[0]), "%s/%s/%s%s", folder.path, part, digits(digit),
                       rest);
        return path;
}

static void make_layer(char digit)
{
        ck_assert_int_eq(mkdir(path_of("layers", digit, ""), 0755), 0);
        ck_assert_int_eq(mkdir(path_of("layers", digit, "/files"), 0755), 0);
        write_file(path_of("layers", digit, "/files/x"), "x");
}

/* An image of two layers, last used so long ago. */
static void make_image(char digit, char layer, char other, uint64_t hours)
{
        const struct timespec times[2] = {
                {.tv_nsec = UTIME_OMIT},
                {.tv_sec = (time_t)((NOW_MS - hours * HOUR_MS) / 1000)},
        };
        char text[400];

        ck_assert_int_eq(mkdir(path_of("images", digit, ""), 0755), 0);
        ck_assert_int_eq(mkdir(path_of("images", digit, "/root"), 0755), 0);
        (void)snprintf(text, sizeof(text),
                       "{\"rootfs\":{\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}", digits(layer),
                       digits(other));
        write_file(path_of("images", digit, "/configuration.json"), text);
        write_file(path_of("images", digit, "/size"), "900 100\n");
        ck_assert_int_eq(utimensat(AT_FDCWD, path_of("images", digit, ""), times, 0), 0);
}

static void begin(void)
{
        const struct images_options options = {.disk_bytes_max = 2500,
                                               .unused_keep_ms = 24 * HOUR_MS,
                                               .insecure_registries = "",
                                               .registries = ""};
        struct err err;

        temporary_make(&folder);
        ck_assert_msg(images_disk_open(folder.path, &options, &images, &err) == 0, "%s", err.text);
}

static void end(void)
{
        images_disk_close(images);
        temporary_remove(&folder);
}

static bool is_there(const char *part, char digit)
{
        return access(path_of(part, digit, ""), F_OK) == 0;
}

/* Those whose digits are in `used` have functions. */
static void collect(const char *all, const char *used)
{
        struct image_use uses[16] = {0};
        size_t count = strlen(all);

        for (size_t i = 0; i < count; i++) {
                memcpy(uses[i].digest, digits(all[i]), 64);
                uses[i].is_used = strchr(used, all[i]) != NULL;
        }
        images->ops->collect(images, uses, count, NOW_MS);
}

TEST(what_has_been_unused_for_long_goes_with_the_layers_that_nobody_else_has)
{
        begin();
        make_layer('1');
        make_layer('2');
        make_layer('3');
        make_image('a', '1', '2', 25);
        make_image('b', '1', '3', 25);
        collect("ab", "b");
        ck_assert(!is_there("images", 'a'));
        ck_assert(is_there("images", 'b'));
        ck_assert(is_there("layers", '1'));
        ck_assert(!is_there("layers", '2'));
        ck_assert(is_there("layers", '3'));
        end();
}
TEST_END

TEST(what_was_used_lately_stays_while_there_is_room)
{
        begin();
        make_layer('1');
        make_image('a', '1', '1', 23);
        make_image('b', '1', '1', 1);
        collect("ab", "");
        ck_assert(is_there("images", 'a'));
        ck_assert(is_there("images", 'b'));
        ck_assert(is_there("layers", '1'));
        end();
}
TEST_END

TEST(the_least_recently_used_goes_first_where_all_take_too_much)
{
        begin();
        make_image('a', '1', '1', 2);
        make_image('b', '1', '1', 5);
        make_image('c', '1', '1', 1);
        make_image('d', '1', '1', 9); /* has a function: not to be counted */
        collect("abcd", "d");
        ck_assert(is_there("images", 'a'));
        ck_assert(!is_there("images", 'b'));
        ck_assert(is_there("images", 'c'));
        ck_assert(is_there("images", 'd'));
        end();
}
TEST_END

TEST(an_image_that_is_used_counts_as_used_now)
{
        begin();
        make_image('a', '1', '1', 100);
        collect("a", "a");
        collect("a", "");
        ck_assert(is_there("images", 'a'));
        end();
}
TEST_END

TEST(where_an_image_cannot_be_read_no_layer_goes)
{
        begin();
        make_layer('1');
        make_layer('2');
        make_image('a', '1', '1', 1);
        write_file(path_of("images", 'a', "/configuration.json"), "broken");
        collect("a", "a");
        ck_assert(is_there("layers", '1'));
        ck_assert(is_there("layers", '2'));
        end();
}
TEST_END

TEST(what_a_process_that_is_gone_was_pulling_is_swept_at_the_start)
{
        struct err err;
        const struct images_options options = {.insecure_registries = "", .registries = ""};

        begin();
        images_disk_close(images);
        ck_assert_int_eq(mkdir(temporary_path(&folder, "pulls/half"), 0755), 0);
        write_file(temporary_path(&folder, "pulls/half/blob"), "x");
        ck_assert_int_eq(images_disk_open(folder.path, &options, &images, &err), 0);
        ck_assert_int_ne(access(temporary_path(&folder, "pulls/half"), F_OK), 0);
        end();
}
TEST_END

TEST_MAIN("image_collect", what_has_been_unused_for_long_goes_with_the_layers_that_nobody_else_has,
          what_was_used_lately_stays_while_there_is_room,
          the_least_recently_used_goes_first_where_all_take_too_much,
          an_image_that_is_used_counts_as_used_now, where_an_image_cannot_be_read_no_layer_goes,
          what_a_process_that_is_gone_was_pulling_is_swept_at_the_start)
