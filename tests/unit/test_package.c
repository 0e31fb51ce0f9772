/* A package depends on names, contents and the executable bit, and on nothing else. */
#include "base/auto.h"
#include "cli/files.h"
#include "cli/package.h"
#include "cli/text.h"
#include "testing.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *folder_new(void)
{
        char *folder = text_copy("/tmp/magpie-package-XXXXXX");

        ck_assert_ptr_nonnull(mkdtemp(folder));
        return folder;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
        (void)info, (void)kind, (void)walk;
        return remove(path);
}

static void folder_free(char **folder)
{
        ck_assert_int_eq(nftw(*folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        free(*folder);
}

static void put(const char *folder, const char *name, const char *content, mode_t mode)
{
        AUTO(memory_free) char *path = text_format("%s/%s", folder, name);
        char *slash = strrchr(path, '/');
        FILE *file;

        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(content, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, mode), 0);
}

static void pack(const char *path, struct buffer *zip)
{
        AUTO(package_deinit) struct package package;
        struct err err = {0};

        buffer_init(zip, PACKAGE_ZIP_MAX);
        ck_assert_msg(package_collect(path, &package, &err) == 0, "%s", err.text);
        ck_assert_msg(package_pack(&package, zip, &err) == 0, "%s", err.text);
}

/* "name:mode:content " for each entry of a zip. */
static char *listing_of(const struct buffer *zip)
{
        struct archive *archive = archive_read_new();
        struct archive_entry *entry;
        char *listing = text_copy(""), content[128];

        ck_assert_int_eq(archive_read_support_format_zip(archive), ARCHIVE_OK);
        ck_assert_int_eq(archive_read_open_memory(archive, zip->data, zip->length), ARCHIVE_OK);
        while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
                AUTO(memory_free) char *before = listing;
                la_ssize_t length = archive_read_data(archive, content, sizeof(content) - 1);
                ck_assert_int_ge((int)length, 0);
                content[length] = '\0';
                listing = text_format("%s%s:%o:%s ", before, archive_entry_pathname(entry),
                                      archive_entry_perm(entry), content);
        }
        (void)archive_read_free(archive);
        return listing;
}

TEST(a_zip_holds_every_file_sorted_with_its_executable_bit)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(memory_free) char *listing = NULL;
        AUTO(buffer_deinit) struct buffer zip;

        put(folder, "main.py", "code", 0600);
        put(folder, "lib/tool.sh", "#!/bin/sh", 0700);
        put(folder, "empty", "", 0644);
        pack(folder, &zip);
        listing = listing_of(&zip);
        ck_assert_str_eq(listing, "empty:644: lib/tool.sh:755:#!/bin/sh main.py:644:code ");
}
TEST_END

TEST(the_same_files_make_the_same_bytes_at_any_time_in_any_place)
{
        AUTO(folder_free) char *one = folder_new();
        AUTO(folder_free) char *other = folder_new();
        AUTO(buffer_deinit) struct buffer first, second;
        AUTO(memory_free) char *path = text_format("%s/a.py", other);
        const struct timespec long_ago[2] = {{.tv_sec = 86400}, {.tv_sec = 1000000000}};

        put(one, "a.py", "a", 0644);
        put(one, "b/c", "c", 0755);
        put(other, "b/c", "c", 0700);
        put(other, "a.py", "a", 0600);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, long_ago, 0), 0);
        ck_assert_int_eq(setenv("TZ", "UTC0", 1), 0);
        tzset();
        pack(one, &first);
        ck_assert_int_eq(setenv("TZ", "XYZ-11", 1), 0);
        tzset();
        pack(other, &second);
        ck_assert_uint_eq(first.length, second.length);
        ck_assert_mem_eq(first.data, second.data, first.length);
}
TEST_END

TEST(ignored_files_stay_out_and_the_last_matching_line_decides)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(memory_free) char *listing = NULL;
        AUTO(buffer_deinit) struct buffer zip;

        put(folder, ".magpieignore", "# comment\n*.log\n!keep.log\n/top.txt\ntests/\nbuild\n",
            0644);
        put(folder, "function.yaml", "name: x", 0644);
        put(folder, "main.py", "m", 0644);
        put(folder, "a.log", "l", 0644);
        put(folder, "keep.log", "k", 0644);
        put(folder, "top.txt", "t", 0644);
        put(folder, "lib/top.txt", "T", 0644);
        put(folder, "lib/build", "b", 0644);
        put(folder, "tests/test.py", "t", 0644);
        put(folder, ".git/config", "g", 0644);
        put(folder, "__pycache__/main.pyc", "p", 0644);
        pack(folder, &zip);
        listing = listing_of(&zip);
        ck_assert_str_eq(listing, "keep.log:644:k lib/top.txt:644:T main.py:644:m ");
}
TEST_END

TEST(a_link_to_a_file_is_that_file_and_a_link_to_a_folder_stays_out)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(memory_free) char *listing = NULL;
        AUTO(memory_free) char *file = text_format("%s/link", folder);
        AUTO(memory_free) char *loop = text_format("%s/loop", folder);
        AUTO(buffer_deinit) struct buffer zip;

        put(folder, "main.py", "m", 0644);
        ck_assert_int_eq(symlink("main.py", file), 0);
        ck_assert_int_eq(symlink(".", loop), 0);
        pack(folder, &zip);
        listing = listing_of(&zip);
        ck_assert_str_eq(listing, "link:644:m main.py:644:m ");
}
TEST_END

TEST(a_single_file_is_packed_under_its_own_name_and_a_zip_is_sent_as_it_is)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(memory_free) char *file = text_format("%s/main.py", folder);
        AUTO(memory_free) char *zip_file = text_format("%s/code.zip", folder);
        AUTO(memory_free) char *listing = NULL;
        AUTO(package_deinit) struct package package;
        AUTO(buffer_deinit) struct buffer zip, again, head;
        struct err err;
        FILE *output;

        put(folder, "main.py", "code", 0644);
        pack(file, &zip);
        listing = listing_of(&zip);
        ck_assert_str_eq(listing, "main.py:644:code ");

        output = fopen(zip_file, "we");
        ck_assert_ptr_nonnull(output);
        ck_assert_uint_eq(fwrite(zip.data, 1, zip.length, output), zip.length);
        ck_assert_int_eq(fclose(output), 0);
        pack(zip_file, &again);
        ck_assert_uint_eq(zip.length, again.length);
        ck_assert_mem_eq(zip.data, again.data, zip.length);

        ck_assert_int_eq(package_collect(zip_file, &package, &err), 0);
        ck_assert_uint_eq(package.count, 1);
        buffer_init(&head, 2);
        ck_assert_int_eq(package_peek(&package, package_find(&package, "main.py"), &head, &err), 0);
        ck_assert_mem_eq(head.data, "co", 2);
}
TEST_END

TEST(code_that_is_too_large_is_refused_with_the_way_out)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(package_deinit) struct package package;
        AUTO(buffer_deinit) struct buffer zip;
        struct err err;

        put(folder, "main.py", "some code", 0644);
        buffer_init(&zip, 32);
        ck_assert_int_eq(package_collect(folder, &package, &err), 0);
        ck_assert_int_eq(package_pack(&package, &zip, &err), -EFBIG);
        ck_assert_ptr_nonnull(strstr(err.text, ".magpieignore"));
}
TEST_END

TEST(an_empty_folder_and_a_missing_path_are_refused)
{
        AUTO(folder_free) char *folder = folder_new();
        AUTO(package_deinit) struct package empty, missing;
        struct err err;

        ck_assert_int_eq(package_collect(folder, &empty, &err), -ENOENT);
        ck_assert_ptr_nonnull(strstr(err.text, "no code"));
        ck_assert_int_eq(package_collect("/nowhere/at/all", &missing, &err), -ENOENT);
}
TEST_END

TEST_MAIN("package", a_zip_holds_every_file_sorted_with_its_executable_bit,
          the_same_files_make_the_same_bytes_at_any_time_in_any_place,
          ignored_files_stay_out_and_the_last_matching_line_decides,
          a_link_to_a_file_is_that_file_and_a_link_to_a_folder_stays_out,
          a_single_file_is_packed_under_its_own_name_and_a_zip_is_sent_as_it_is,
          code_that_is_too_large_is_refused_with_the_way_out,
          an_empty_folder_and_a_missing_path_are_refused)
