/* A layer from its blob to a folder, without a registry: what the archive alone decides. */
#include "archives.h"
#include "layer_story.h"
#include "temporary.h"
#include "testing.h"

#include <locale.h>
#include <sys/stat.h>

static struct temporary folder;
static int layer_fd;
static struct layer_budget budget;
static struct err err;

static void begin(void)
{
        ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
        temporary_make(&folder);
        layer_fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(layer_fd, 0);
        budget = (struct layer_budget){.bytes_max = 1 << 20,
                                       .bytes_left = 1 << 20,
                                       .entries_max = 100,
                                       .entries_left = 100};
        err = (struct err){0};
}

static void end(void)
{
        (void)close(layer_fd);
        temporary_remove(&folder);
}

/* With other digests than the honest ones where they are given. */
static enum image_result unpack(struct slice bytes, const char *digest, const char *diff_id)
{
        struct patience patience = story_patience();
        char packed[65], unpacked[65] = "";
        AUTO(fd_close) int fd = story_blob(bytes);
        struct layer_source source = {.blob_fd = fd, .digest = packed, .diff_id = unpacked};
        uint64_t disk_bytes;

        (void)story_digests(bytes, 1 << 20, packed, unpacked);
        if (digest)
                source.digest = digest;
        if (diff_id)
                source.diff_id = diff_id;
        return layer_unpack(&source, layer_fd, &patience, &budget, &disk_bytes, &err);
}

static mode_t mode_of(const char *name)
{
        struct stat status;

        ck_assert_msg(fstatat(layer_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0, "%s", name);
        return status.st_mode;
}

static bool is_there(const char *name)
{
        return faccessat(layer_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct buffer hello_tar(void)
{
        struct buffer tar;

        buffer_init(&tar, 1 << 24);
        tar_add(&tar, "a/", '5', 0700, "", SLICE(""));
        tar_add(&tar, "a/program", '0', 04711, "", SLICE("x"));
        tar_add(&tar, "a/data", '0', 0000, "", SLICE("y"));
        tar_add(&tar, "link", '2', 0777, "/etc/passwd", SLICE(""));
        tar_add(&tar, "same", '1', 0644, "a/data", SLICE(""));
        tar_add(&tar, "device", '3', 0666, "", SLICE(""));
        tar_add(&tar, "gone/.wh.x", '0', 0644, "", SLICE(""));
        tar_end(&tar);
        return tar;
}

TEST(a_layer_is_unpacked_with_tame_modes)
{
        AUTO(buffer_deinit) struct buffer tar = hello_tar();

        begin();
        ck_assert_msg(unpack(buffer_slice(&tar), NULL, NULL) == IMAGE_READY, "%s", err.text);
        ck_assert_uint_eq(mode_of("a"), S_IFDIR | 0755);
        ck_assert_uint_eq(mode_of("a/program"), S_IFREG | 0755);
        ck_assert_uint_eq(mode_of("a/data"), S_IFREG | 0644);
        ck_assert(S_ISLNK(mode_of("link")));
        ck_assert(S_ISREG(mode_of("same")));
        ck_assert(S_ISREG(mode_of("gone/.wh.x")));
        ck_assert(!is_there("device"));
        end();
}
TEST_END

TEST(a_gzipped_layer_is_the_same)
{
        AUTO(buffer_deinit) struct buffer tar = hello_tar(), packed;

        buffer_init(&packed, 1 << 24);
        gzip(buffer_slice(&tar), &packed);
        begin();
        ck_assert_msg(unpack(buffer_slice(&packed), NULL, NULL) == IMAGE_READY, "%s", err.text);
        ck_assert(is_there("a/program"));
        end();
}
TEST_END

TEST(an_empty_layer_is_one_without_files)
{
        begin();
        ck_assert_int_eq(unpack(SLICE(""), NULL, NULL), IMAGE_READY);
        end();
}
TEST_END

TEST(both_digests_are_looked_at)
{
        static const char other[] =
                "0000000000000000000000000000000000000000000000000000000000000000";
        AUTO(buffer_deinit) struct buffer tar = hello_tar();

        begin();
        ck_assert_int_eq(unpack(buffer_slice(&tar), other, NULL), IMAGE_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "manifest says"));
        end();
        begin();
        ck_assert_int_eq(unpack(buffer_slice(&tar), NULL, other), IMAGE_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "configuration says"));
        end();
}
TEST_END

TEST(what_a_layer_must_not_have_is_refused)
{
        static const struct {
                const char *name, *link, *words;
                char type;
        } cases[] = {
                {"../x", "", "leads out of the layer", '0'},
                {"link/x", "", "no folder", '0'},
                {"file/x", "", "no folder", '0'},
                {".wh...", "", "removes what is not in its folder", '0'},
                {".wh..", "", "removes what is not in its folder", '0'},
                {".wh.", "", "removes what is not in its folder", '0'},
                {".wh.a/b", "", "lies in something that is removed", '0'},
                {"x", "../y", "leads out of the layer", '1'},
                {"x", "nowhere", "does not have", '1'},
                {"x", "folder", "does not have", '1'},
                {"x", "link/passwd", "does not have", '1'},
                {"x", "", "leads nowhere", '2'},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                AUTO(buffer_deinit) struct buffer tar;

                buffer_init(&tar, 1 << 24);
                tar_add(&tar, "folder/", '5', 0755, "", SLICE(""));
                tar_add(&tar, "link", '2', 0777, "/etc", SLICE(""));
                tar_add(&tar, "file", '0', 0644, "", SLICE("x"));
                tar_add(&tar, cases[i].name, cases[i].type, 0644, cases[i].link, SLICE(""));
                tar_end(&tar);
                begin();
                ck_assert_msg(unpack(buffer_slice(&tar), NULL, NULL) == IMAGE_REFUSED, "%s -> %s",
                              cases[i].name, cases[i].link);
                ck_assert_msg(strstr(err.text, cases[i].words), "%s: %s", cases[i].name, err.text);
                end();
        }
}
TEST_END

TEST(entries_and_bytes_are_bounded_for_the_whole_image)
{
        AUTO(buffer_deinit) struct buffer tar = hello_tar();

        begin();
        budget.entries_left = 7;
        ck_assert_int_eq(unpack(buffer_slice(&tar), NULL, NULL), IMAGE_REFUSED);
        ck_assert_ptr_nonnull(strstr(err.text, "more than 100 files and folders"));
        end();
        begin();
        budget.bytes_left = 3000;
        ck_assert_int_eq(unpack(buffer_slice(&tar), NULL, NULL), IMAGE_REFUSED);
        ck_assert_ptr_nonnull(strstr(err.text, "more than 1MiB"));
        end();
}
TEST_END

TEST(the_map_of_a_sparse_file_is_bounded)
{
        AUTO(buffer_deinit) struct buffer tar, map;

        buffer_init(&map, 1 << 24);
        put(&map, "2000000\n", 8);
        while (map.length < 8u << 20)
                put(&map, "0\n0\n", 4);
        buffer_init(&tar, 1 << 24);
        tar_add(&tar, "attributes", 'x', 0644, "",
                SLICE("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"));
        tar_add(&tar, "sparse", '0', 0644, "", buffer_slice(&map));
        tar_end(&tar);
        begin();
        budget.bytes_left = budget.bytes_max = 1 << 24;
        ck_assert_int_eq(unpack(buffer_slice(&tar), "", ""), IMAGE_REFUSED);
        ck_assert_ptr_nonnull(strstr(err.text, "describes a file at too great a length"));
        end();
}
TEST_END

TEST(who_is_to_stop_stops)
{
        AUTO(buffer_deinit) struct buffer tar = hello_tar();

        begin();
        atomic_store(&story_stopping, true);
        ck_assert_int_eq(unpack(buffer_slice(&tar), "", ""), IMAGE_STOPPED);
        end();
}
TEST_END

/* A layer with one file of four bytes; then names are given to it until the file system allows no more.
 * False: it has no limit that a test could meet (65,000 on ext4). */
static bool name_to_the_limit(void)
{
        AUTO(buffer_deinit) struct buffer tar;
        char name[32];
        int links = 0;

        buffer_init(&tar, 1 << 24);
        tar_add(&tar, "layer/folder/file", '0', 0755, "", SLICE("four"));
        tar_end(&tar);
        ck_assert_int_eq(unpack(buffer_slice(&tar), NULL, NULL), IMAGE_READY);
        ck_assert_int_eq(mkdirat(layer_fd, "names", 0755), 0);
        ck_assert_int_eq(mkdirat(layer_fd, "root", 0755), 0);
        for (int r = 0; r == 0 && links < 70000; links++) {
                (void)snprintf(name, sizeof(name), "names/%d", links);
                r = linkat(layer_fd, "layer/folder/file", layer_fd, name, 0);
        }
        return links < 70000;
}

static enum image_result add_layer(uint64_t bytes_max, struct root_size *ret_size)
{
        AUTO(fd_close) int root = openat(layer_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(fd_close) int layer = openat(layer_fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct patience patience = story_patience();

        *ret_size = (struct root_size){.bytes_max = bytes_max};
        return root_add_layer(root, layer, &patience, ret_size, &err);
}

TEST(a_file_with_too_many_names_becomes_a_copy_that_counts)
{
        struct root_size size;
        struct stat status;
        bool has_limit;

        begin();
        has_limit = name_to_the_limit();
        if (has_limit) { /* the folder alone is more than this */
                ck_assert_int_eq(add_layer(3, &size), IMAGE_REFUSED);
                ck_assert_ptr_nonnull(strstr(err.text, "more names than this machine allows"));
                ck_assert_int_lt(faccessat(layer_fd, "root/folder/file", F_OK, AT_SYMLINK_NOFOLLOW),
                                 0);
        }
        ck_assert_int_eq(add_layer(1 << 20, &size), IMAGE_READY);
        ck_assert_int_eq(fstatat(layer_fd, "root/folder/file", &status, AT_SYMLINK_NOFOLLOW), 0);
        ck_assert_uint_eq(status.st_mode, S_IFREG | 0755);
        ck_assert_int_eq(status.st_size, 4);
        ck_assert(!has_limit || (status.st_nlink == 1 && size.bytes == 4));
        end();
}
TEST_END

TEST(linking_a_layer_stops_too)
{
        struct root_size size;

        begin();
        ck_assert_int_eq(mkdirat(layer_fd, "root", 0755), 0);
        ck_assert_int_eq(mkdirat(layer_fd, "layer", 0755), 0);
        ck_assert_int_eq(mkdirat(layer_fd, "layer/a", 0755), 0);
        atomic_store(&story_stopping, true);
        ck_assert_int_eq(add_layer(1 << 20, &size), IMAGE_STOPPED);
        end();
}
TEST_END

TEST_MAIN("image_layer", a_layer_is_unpacked_with_tame_modes, a_gzipped_layer_is_the_same,
          an_empty_layer_is_one_without_files, both_digests_are_looked_at,
          what_a_layer_must_not_have_is_refused, entries_and_bytes_are_bounded_for_the_whole_image,
          the_map_of_a_sparse_file_is_bounded, who_is_to_stop_stops,
          a_file_with_too_many_names_becomes_a_copy_that_counts, linking_a_layer_stops_too)
