/* Uploads become bundles: what is kept of them, and for how long. */
#include "bundle_story.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

static void expect_staged(struct slice code)
{
        struct err err = {0};

        ck_assert_msg(bundles->ops->stage(bundles, code, function, staging, &err) == STAGE_DONE,
                      "%s", err.text);
}

static const char *staged(const char *name)
{
        static char path[512];

        (void)snprintf(path, sizeof(path), "%s/staging/%s/%s", folder.path, staging, name);
        return path;
}

static void expect_mode(const char *name, mode_t mode)
{
        struct stat status;

        ck_assert_int_eq(lstat(staged(name), &status), 0);
        ck_assert_msg((status.st_mode & 07777) == mode, "%s: %o", name, status.st_mode);
}

static void expect_content(const char *name, const char *content)
{
        char text[256] = "";
        FILE *file = fopen(staged(name), "r");

        ck_assert_msg(file != NULL, "%s", name);
        ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, file), strlen(content));
        ck_assert_str_eq(text, content);
        ck_assert_int_eq(fclose(file), 0);
}

static void keep(void)
{
        struct err err;

        ck_assert_msg(bundles->ops->keep(bundles, staging, function, &err) == 0, "%s", err.text);
}

/* Stages and keeps; returns the digest. */
static const char *kept(struct slice code)
{
        function->handler[0] = '\0';
        expect_staged(code);
        keep();
        return function->code_digest;
}

TEST(a_zip_is_unpacked_with_modes_that_are_ours)
{
        struct zip zip;

        begin();
        (void)umask(077);
        zip_begin(&zip);
        zip_add(&zip, SLICE("main.py"), S_IFREG | 0600, SOURCE);
        zip_add(&zip, SLICE("deep/er/data.txt"), S_IFREG | 0666, SLICE("data"));
        zip_add(&zip, SLICE("tool"), S_IFREG | 07710, SLICE("anything"));
        zip_add(&zip, SLICE("run.sh"), S_IFREG | 0644, SLICE("#!/bin/sh\n"));
        zip_add(&zip, SLICE("program"), S_IFREG, SLICE("\177ELF..."));
        zip_add(&zip, SLICE("empty/"), S_IFDIR | 01777, SLICE(""));
        zip_add(&zip, SLICE("\xc3\xa4.txt"), S_IFREG | 0644, SLICE("umlaut"));
        expect_staged(zip_end(&zip));
        expect_content("main.py", SOURCE.data);
        expect_content("deep/er/data.txt", "data");
        expect_content("\xc3\xa4.txt", "umlaut");
        expect_mode("main.py", 0644);
        expect_mode("deep/er/data.txt", 0644);
        expect_mode("tool", 0755);
        expect_mode("run.sh", 0755);
        expect_mode("program", 0755);
        expect_mode("empty", 0755);
        expect_mode("deep", 0755);
        expect_mode("deep/er", 0755);
        expect_mode("", 0755);
        buffer_deinit(&zip.bytes);
        end();
}
TEST_END

TEST(the_same_content_has_the_same_digest_however_it_was_packed)
{
        struct buffer tar, other_tar, packed;
        char digest[DIGEST_LENGTH + 1];
        struct zip zip;

        begin();
        zip_begin(&zip);
        zip_add(&zip, SLICE("lib/tool"), S_IFREG | 0755, SLICE("x"));
        zip_add(&zip, SLICE("main.py"), S_IFREG | 0644, SOURCE);
        strcpy(digest, kept(zip_end(&zip)));
        ck_assert_uint_eq(function->code_bytes, SOURCE.length + 1);
        tar_hello(&tar, false);
        ck_assert_str_eq(kept(buffer_slice(&tar)), digest);
        tar_hello(&other_tar, true);
        buffer_init(&packed, 1 << 20);
        gzip(buffer_slice(&other_tar), &packed);
        ck_assert_str_eq(kept(buffer_slice(&packed)), digest);
        ck_assert_uint_eq(count_in("code"), 1);
        ck_assert_uint_eq(count_in("staging"), 0);
        buffer_deinit(&zip.bytes);
        buffer_deinit(&tar);
        buffer_deinit(&other_tar);
        buffer_deinit(&packed);
        end();
}
TEST_END

TEST(another_content_name_mode_link_or_folder_makes_another_digest)
{
        static const struct {
                const char *name;
                char type;
                mode_t mode;
                const char *link;
                struct slice content;
        } variants[] = {
                {"a", '0', 0644, "", {"x", 1}},       {"b", '0', 0644, "", {"x", 1}},
                {"a", '0', 0755, "", {"x", 1}},       {"a", '0', 0644, "", {"y", 1}},
                {"a", '0', 0644, "", {"", 0}},        {"a", '2', 0644, "x", {"", 0}},
                {"a", '2', 0644, "main.py", {"", 0}}, {"a", '5', 0755, "", {"", 0}},
        };
        enum { COUNT = sizeof(variants) / sizeof(variants[0]) };

        begin();
        for (size_t i = 0; i < COUNT; i++) {
                struct buffer tar;
                buffer_init(&tar, 1 << 20);
                tar_add(&tar, "main.py", '0', 0644, "", SOURCE);
                tar_add(&tar, variants[i].name, variants[i].type, variants[i].mode,
                        variants[i].link, variants[i].content);
                tar_end(&tar);
                (void)kept(buffer_slice(&tar));
                buffer_deinit(&tar);
        }
        ck_assert_uint_eq(count_in("code"), COUNT);
        end();
}
TEST_END

TEST(the_longest_path_there_may_be_is_kept)
{
        char path[1024], *at = path;
        struct zip zip;

        begin();
        for (int i = 0; i < 4; i++) {
                at = memset(at, 'a', 254);
                at += 254;
                *at++ = '/';
        }
        memcpy(at, "b.c", 4);
        zip_begin(&zip);
        zip_add(&zip, SLICE("main.py"), S_IFREG | 0644, SOURCE);
        zip_add(&zip, slice_of(path), S_IFREG | 0644, SLICE("deep"));
        ck_assert_uint_eq(strlen(kept(zip_end(&zip))), DIGEST_LENGTH);
        buffer_deinit(&zip.bytes);
        end();
}
TEST_END

TEST(a_folder_with_a_body_hides_nothing_that_follows)
{
        static char body[3 << 20];
        struct buffer tar;

        begin();
        buffer_init(&tar, 1 << 24);
        tar_add(&tar, "folder/", 'D', 0755, "", slice_make(body, sizeof(body)));
        tar_add(&tar, "main.py", '0', 0644, "", SOURCE);
        tar_end(&tar);
        expect_staged(buffer_slice(&tar));
        expect_content("main.py", SOURCE.data);
        buffer_deinit(&tar);
        end();
}
TEST_END

TEST(links_that_stay_inside_are_kept)
{
        struct buffer tar;
        char target[64] = "";

        begin();
        buffer_init(&tar, 1 << 20);
        tar_add(&tar, "src/app.py", '0', 0644, "", SOURCE);
        tar_add(&tar, "main.py", '2', 0777, "src/app.py", SLICE(""));
        tar_add(&tar, "src/up", '2', 0777, "../main.py", SLICE(""));
        tar_add(&tar, "copy.py", '1', 0644, "./src/app.py", SLICE(""));
        tar_end(&tar);
        expect_staged(buffer_slice(&tar));
        ck_assert_str_eq(function->handler, "main.handler");
        ck_assert_int_eq(readlink(staged("src/up"), target, sizeof(target)), 10);
        ck_assert_str_eq(target, "../main.py");
        expect_content("src/up", SOURCE.data);
        expect_content("copy.py", SOURCE.data);
        keep();
        ck_assert_uint_eq(function->code_bytes, 2 * SOURCE.length);
        buffer_deinit(&tar);
        end();
}
TEST_END

TEST(a_kept_bundle_is_world_readable_and_a_discarded_one_gone)
{
        struct stat status;

        begin();
        expect_staged(SOURCE);
        keep();
        ck_assert_int_eq(stat(temporary_path(&folder, "code"), &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0755);
        ck_assert_uint_eq(count_in("staging"), 0);
        ck_assert_uint_eq(function->code_bytes, SOURCE.length);

        expect_staged(SOURCE);
        ck_assert_uint_eq(count_in("staging"), 1);
        bundles->ops->discard(bundles, staging);
        bundles->ops->discard(bundles, staging);
        bundles->ops->discard(bundles, "../code");
        ck_assert_uint_eq(count_in("staging"), 0);
        ck_assert_uint_eq(count_in("code"), 1);
        ck_assert_int_eq(bundles->ops->keep(bundles, staging, function, NULL), -ENOENT);
        end();
}
TEST_END

TEST(opening_the_store_empties_staging_and_keeps_the_code)
{
        begin();
        (void)kept(SOURCE);
        expect_staged(SLICE("other = 1\n"));
        bundles_archive_close(bundles);
        open_store();
        ck_assert_uint_eq(count_in("staging"), 0);
        ck_assert_uint_eq(count_in("code"), 1);
        end();
}
TEST_END

TEST(a_store_below_a_folder_that_is_missing_cannot_be_opened)
{
        struct bundles *none;
        struct err err;

        begin();
        ck_assert_int_eq(bundles_archive_open("/nowhere/at/all", &limits, &none, &err), -ENOENT);
        ck_assert_str_eq(err.text, "opening /nowhere/at/all: No such file or directory");
        end();
}
TEST_END

enum { DEPLOYERS = 4, DEPLOYMENTS = 10 };

/* Deploys the same code again and again; NULL where all went well. */
static void *deploy(void *argument)
{
        struct function *mine = argument;
        char place[DIGEST_LENGTH + 1];

        for (int i = 0; i < DEPLOYMENTS; i++) {
                if (bundles->ops->stage(bundles, SOURCE, mine, place, NULL) != STAGE_DONE ||
                    bundles->ops->keep(bundles, place, mine, NULL) < 0)
                        return "failed";
        }
        return NULL;
}

TEST(the_same_code_may_be_deployed_by_several_threads_at_once)
{
        struct function *functions[DEPLOYERS];
        pthread_t threads[DEPLOYERS];
        void *failed;

        begin();
        for (int i = 0; i < DEPLOYERS; i++) {
                functions[i] = function_copy(function);
                ck_assert_int_eq(pthread_create(&threads[i], NULL, deploy, functions[i]), 0);
        }
        for (int i = 0; i < DEPLOYERS; i++) {
                ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
                ck_assert_ptr_null(failed);
                ck_assert_str_eq(functions[i]->code_digest, functions[0]->code_digest);
        }
        ck_assert_uint_eq(count_in("code"), 1);
        ck_assert_uint_eq(count_in("staging"), 0);
        for (int i = 0; i < DEPLOYERS; i++)
                function_unref(functions[i]);
        end();
}
TEST_END

static bool visit(const char *digest, void *context)
{
        strcpy(context, digest);
        return true;
}

/* As if it had been kept at that time. */
static void set_kept_at(const char *digest, time_t time_s)
{
        const struct timespec times[2] = {{.tv_sec = time_s}, {.tv_sec = time_s}};
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/code/%s", folder.path, digest);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

TEST(old_bundles_are_listed_and_removed_unless_they_were_kept_anew)
{
        char old[DIGEST_LENGTH + 1], young[DIGEST_LENGTH + 1], found[DIGEST_LENGTH + 1] = "";
        struct err err;

        begin();
        strcpy(old, kept(SOURCE));
        strcpy(young, kept(SLICE("young = 1\n")));
        set_kept_at(old, 1000);
        set_kept_at(young, 3000);
        ck_assert_int_eq(bundles->ops->each(bundles, 2000, visit, found, &err), 0);
        ck_assert_str_eq(found, old);
        ck_assert_int_eq(bundles->ops->remove(bundles, young, 2000, &err), -EBUSY);
        ck_assert_int_eq(bundles->ops->remove(bundles, old, 2000, &err), 0);
        ck_assert_int_eq(bundles->ops->remove(bundles, old, 2000, &err), -ENOENT);
        ck_assert_int_eq(bundles->ops->remove(bundles, "../staging", 2000, &err), -EINVAL);
        ck_assert_uint_eq(count_in("code"), 1);
        ck_assert_uint_eq(count_in("staging"), 0);

        (void)kept(SLICE("young = 1\n")); /* somebody deploys the same again */
        ck_assert_int_eq(bundles->ops->remove(bundles, young, 4000, &err), -EBUSY);
        end();
}
TEST_END

TEST_MAIN("bundles", a_zip_is_unpacked_with_modes_that_are_ours,
          the_same_content_has_the_same_digest_however_it_was_packed,
          another_content_name_mode_link_or_folder_makes_another_digest,
          the_longest_path_there_may_be_is_kept, a_folder_with_a_body_hides_nothing_that_follows,
          links_that_stay_inside_are_kept, a_kept_bundle_is_world_readable_and_a_discarded_one_gone,
          opening_the_store_empties_staging_and_keeps_the_code,
          a_store_below_a_folder_that_is_missing_cannot_be_opened,
          the_same_code_may_be_deployed_by_several_threads_at_once,
          old_bundles_are_listed_and_removed_unless_they_were_kept_anew)
