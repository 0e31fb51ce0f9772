/* Uploads that do not become bundles, whatever they were packed with, and the sentence for each. */
#include "bundle_story.h"

TEST(a_name_that_no_bundle_may_have_is_refused_in_a_zip)
{
        static const struct {
                struct slice name;
                const char *sentence;
        } cases[] = {
                {{"../evil", 7}, "'../evil' leads out of the bundle"},
                {{"a/../../evil", 12}, "'a/../../evil' leads out of the bundle"},
                {{"/etc/passwd", 11}, "'/etc/passwd' is an absolute path"},
                {{"..\\evil", 7}, "'..\\evil' holds a backslash: folders are parted by '/'"},
                {{"good\0.evil", 10}, "the name 'good?.evil' holds a NUL character"},
                {{"a\tb", 3}, "'a?b' holds a control character"},
                {{"a\xff", 2}, "'a?' is not a name in UTF-8"},
        };

        begin();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct zip zip;
                zip_begin(&zip);
                zip.flags = 0;
                zip_add(&zip, SLICE("main.py"), S_IFREG | 0644, SOURCE);
                zip_add(&zip, cases[i].name, S_IFREG | 0644, SLICE("evil"));
                ck_assert_str_eq(refusal(zip_end(&zip)), cases[i].sentence);
                buffer_deinit(&zip.bytes);
        }
        ck_assert_int_lt(access(temporary_path(&folder, "evil"), F_OK), 0);
        end();
}
TEST_END

TEST(a_member_that_no_bundle_may_have_is_refused_in_a_tar)
{
        static const struct {
                const char *name;
                char type;
                const char *link, *sentence;
        } cases[] = {
                {"../evil", '0', "", "'../evil' leads out of the bundle"},
                {"/evil", '0', "", "'/evil' is an absolute path"},
                {"a\\b", '0', "", "'a\\b' holds a backslash: folders are parted by '/'"},
                {"pipe", '6', "", "'pipe' is a device, a pipe or a socket"},
                {"null", '3', "", "'null' is a device, a pipe or a socket"},
                {"disk", '4', "", "'disk' is a device, a pipe or a socket"},
                {"a", '2', "/etc/passwd",
                 "the link 'a' leads out of the bundle: '/etc/passwd' is an absolute path"},
                {"d/a", '2', "../../x", "the link 'd/a' leads out of the bundle, to '../../x'"},
                {"a", '2', "", "the link 'a' leads nowhere"},
                {"a", '1', "../../etc/passwd", "'../../etc/passwd' leads out of the bundle"},
                {"a", '1', "/etc/passwd", "'/etc/passwd' is an absolute path"},
                {"a", '1', "missing", "the hard link 'a' leads to 'missing', which is no file"},
                {"a", '1', "folder", "the hard link 'a' leads to 'folder', which is no file"},
                {"main.py", '0', "", "'main.py' is there twice"},
                {"main.py", '2', "x", "'main.py' is there twice"},
                {"main.py", '1', "main.py", "'main.py' is there twice"},
                {"main.py/", '5', "", "'main.py' is there twice"},
                {"folder", '0', "", "'folder' is there twice"},
                {"main.py/x", '0', "", "'main.py/x' lies below something that is no folder"},
                {"inner/x", '0', "", "'inner/x' lies below something that is no folder"},
                {"MAIN.py", '0', "", "'MAIN.py' and 'main.py' differ only in case"},
                {"Folder/x", '0', "", "'Folder' and 'folder' differ only in case"},
        };

        begin();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct buffer tar;
                buffer_init(&tar, 1 << 20);
                tar_add(&tar, "main.py", '0', 0644, "", SOURCE);
                tar_add(&tar, "folder/", '5', 0755, "", SLICE(""));
                tar_add(&tar, "inner", '2', 0777, "folder", SLICE(""));
                tar_add(&tar, cases[i].name, cases[i].type, 0644, cases[i].link, SLICE(""));
                tar_end(&tar);
                ck_assert_str_eq(refusal(buffer_slice(&tar)), cases[i].sentence);
                buffer_deinit(&tar);
        }
        end();
}
TEST_END

TEST(a_device_or_a_link_that_leads_out_is_refused_in_a_zip_too)
{
        struct zip zip;

        begin();
        zip_begin(&zip);
        zip_add(&zip, SLICE("pipe"), S_IFIFO | 0644, SLICE(""));
        ck_assert_str_eq(refusal(zip_end(&zip)), "'pipe' is a device, a pipe or a socket");
        buffer_deinit(&zip.bytes);
        zip_begin(&zip);
        zip_add(&zip, SLICE("a"), S_IFLNK | 0777, SLICE("../../etc"));
        ck_assert_str_eq(refusal(zip_end(&zip)),
                         "the link 'a' leads out of the bundle, to '../../etc'");
        buffer_deinit(&zip.bytes);
        end();
}
TEST_END

TEST(an_encrypted_archive_is_refused)
{
        struct zip zip;

        begin();
        zip_begin(&zip);
        zip.flags |= 1;
        zip_add(&zip, SLICE("main.py"), S_IFREG | 0644, SOURCE);
        ck_assert_str_eq(refusal(zip_end(&zip)),
                         "'main.py' is encrypted: pack it without a password");
        buffer_deinit(&zip.bytes);
        end();
}
TEST_END

TEST(a_small_archive_that_grows_large_is_refused)
{
        static char zeros[20 << 20];
        struct buffer tar, packed;

        begin();
        buffer_init(&tar, 1 << 26);
        tar_add(&tar, "zeros", '0', 0644, "", slice_make(zeros, sizeof(zeros)));
        tar_end(&tar);
        buffer_init(&packed, 1 << 26);
        gzip(buffer_slice(&tar), &packed);
        ck_assert_uint_lt(packed.length, sizeof(zeros) / 500);
        ck_assert_str_eq(refusal(buffer_slice(&packed)),
                         "the archive grows to more than 200 times its size when it is unpacked");
        buffer_deinit(&tar);
        buffer_deinit(&packed);
        end();
}
TEST_END

TEST(a_body_that_nobody_asks_for_is_counted)
{
        static char zeros[80 << 20];
        struct buffer tar;

        begin();
        bundles_archive_close(bundles);
        limits.unpacked_bytes = 1 << 20;
        open_store();
        buffer_init(&tar, 1 << 28);
        tar_add(&tar, "main.py", '0', 0644, "", SOURCE);
        tar_add(&tar, "folder/", 'D', 0755, "", slice_make(zeros, sizeof(zeros)));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the archive holds far more than it unpacks to");
        buffer_deinit(&tar);
        end();
}
TEST_END

TEST(the_map_of_a_sparse_file_is_bounded)
{
        struct buffer tar, map;

        begin();
        buffer_init(&map, 1 << 28);
        put(&map, "2000000\n", 8);
        while (map.length < 8u << 20)
                put(&map, "0\n0\n", 4);
        buffer_init(&tar, 1 << 28);
        tar_add(&tar, "main.py", '0', 0644, "", SOURCE);
        tar_add(&tar, "attributes", 'x', 0644, "",
                SLICE("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"));
        tar_add(&tar, "sparse", '0', 0644, "", buffer_slice(&map));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the archive describes one of its files at too great a length");
        buffer_deinit(&map);
        buffer_deinit(&tar);
        end();
}
TEST_END

TEST(what_is_packed_twice_is_refused)
{
        struct buffer tar, once, twice;

        begin();
        tar_hello(&tar, false);
        buffer_init(&once, 1 << 20);
        buffer_init(&twice, 1 << 20);
        gzip(buffer_slice(&tar), &once);
        gzip(buffer_slice(&once), &twice);
        ck_assert_ptr_nonnull(strstr(refusal(buffer_slice(&twice)), "the archive is damaged: "));
        buffer_deinit(&tar);
        buffer_deinit(&once);
        buffer_deinit(&twice);
        end();
}
TEST_END

TEST(bytes_and_members_are_counted_while_they_are_unpacked)
{
        struct buffer tar;

        begin();
        bundles_archive_close(bundles);
        limits.unpacked_bytes = 1024;
        limits.members = 4;
        open_store();
        buffer_init(&tar, 1 << 20);
        tar_add(&tar, "one", '0', 0644, "", slice_make((char[1000]){0}, 1000));
        tar_add(&tar, "two", '0', 0644, "", slice_make((char[25]){0}, 25));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the bundle has more than 1KiB when it is unpacked");
        buffer_clear(&tar);
        tar_add(&tar, "one", '0', 0644, "", slice_make((char[1000]){0}, 1000));
        tar_add(&tar, "two", '1', 0644, "one", SLICE(""));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the bundle has more than 1KiB when it is unpacked");
        ck_assert_str_eq(refusal(slice_make((char[1025]){'x'}, 1025)),
                         "the bundle has more than 1KiB when it is unpacked");
        buffer_clear(&tar);
        tar_add(&tar, "a/b/c/d/e", '0', 0644, "", SLICE("x"));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the bundle has more than 4 files and folders");
        buffer_clear(&tar);
        for (char name[] = "a/"; name[0] <= 'e'; name[0]++)
                tar_add(&tar, name, '5', 0755, "", SLICE(""));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the bundle has more than 4 files and folders");
        buffer_clear(&tar);
        for (char name[] = "a"; name[0] <= 'e'; name[0]++)
                tar_add(&tar, name, '2', 0755, "x", SLICE(""));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the bundle has more than 4 files and folders");
        buffer_deinit(&tar);
        end();
}
TEST_END

TEST(a_damaged_archive_is_refused)
{
        struct buffer tar, packed;
        struct zip zip;
        struct slice whole;
        char *text;

        begin();
        zip_begin(&zip);
        zip_add(&zip, SLICE("main.py"), S_IFREG | 0644, SOURCE);
        whole = zip_end(&zip);
        ck_assert_str_eq(refusal(slice_make(whole.data, whole.length - 10)),
                         "the archive is damaged: Unrecognized archive format");
        text = memmem(zip.bytes.data, zip.bytes.length, "event", 5);
        text[0] = 'E';
        ck_assert_int_eq(strncmp(refusal(whole), "the archive is damaged: ZIP bad CRC", 35), 0);
        buffer_deinit(&zip.bytes);

        tar_hello(&tar, false);
        buffer_init(&packed, 1 << 20);
        gzip(buffer_slice(&tar), &packed);
        ck_assert_ptr_nonnull(strstr(refusal(slice_make(packed.data, packed.length / 2)),
                                     "the archive is damaged: "));
        ck_assert_ptr_nonnull(
                strstr(refusal(slice_make(tar.data, 1030)), "the archive is damaged: "));
        buffer_clear(&packed);
        gzip(SLICE("This is no tar at all."), &packed);
        ck_assert_ptr_nonnull(strstr(refusal(buffer_slice(&packed)), "the archive is damaged: "));
        buffer_deinit(&tar);
        buffer_deinit(&packed);
        end();
}
TEST_END

TEST(what_holds_no_file_is_refused)
{
        struct buffer tar;
        struct zip zip;

        begin();
        zip_begin(&zip);
        ck_assert_str_eq(refusal(zip_end(&zip)), "the archive is empty: there is no file in it");
        buffer_deinit(&zip.bytes);
        buffer_init(&tar, 1 << 20);
        tar_add(&tar, "./", '5', 0755, "", SLICE(""));
        tar_add(&tar, "folder/", '5', 0755, "", SLICE(""));
        tar_add(&tar, "link", '2', 0755, "folder", SLICE(""));
        tar_end(&tar);
        ck_assert_str_eq(refusal(buffer_slice(&tar)),
                         "the archive is empty: there is no file in it");
        buffer_deinit(&tar);
        ck_assert_str_eq(refusal(SLICE("")), "the code is empty");
        end();
}
TEST_END

TEST(an_archive_that_is_not_read_is_called_by_its_name)
{
        begin();
        ck_assert_str_eq(refusal(SLICE("\3757zXZ\0....")),
                         "the code is packed with xz: pack it as zip or tar.gz");
        ck_assert_str_eq(refusal(SLICE("Rar!\x1a\7\0")),
                         "the code is packed with RAR: pack it as zip or tar.gz");
        end();
}
TEST_END

TEST_MAIN("bundle_refusals", a_name_that_no_bundle_may_have_is_refused_in_a_zip,
          a_member_that_no_bundle_may_have_is_refused_in_a_tar,
          a_device_or_a_link_that_leads_out_is_refused_in_a_zip_too,
          an_encrypted_archive_is_refused, a_small_archive_that_grows_large_is_refused,
          a_body_that_nobody_asks_for_is_counted, the_map_of_a_sparse_file_is_bounded,
          what_is_packed_twice_is_refused, bytes_and_members_are_counted_while_they_are_unpacked,
          a_damaged_archive_is_refused, what_holds_no_file_is_refused,
          an_archive_that_is_not_read_is_called_by_its_name)
