/* Layers on the disk: kept like code, and made one tree without a copy. */
#include "bundle_story.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

static char digests[8][DIGEST_LENGTH + 1];

/* A member of a layer: a file, or with `target` a link. */
struct part {
        const char *path, *content, *target;
};

static struct slice zip_of(struct zip *zip, const struct part *parts, size_t count)
{
        zip_begin(zip);
        for (size_t i = 0; i < count; i++)
                zip_add(zip, slice_of(parts[i].path),
                        parts[i].target ? S_IFLNK | 0777 : S_IFREG | 0644,
                        slice_of(parts[i].target ? parts[i].target : parts[i].content));
        return zip_end(zip);
}

/* Publishes; its digest is the one of that number from then on. */
static void publish(unsigned number, const struct part *parts, size_t count)
{
        struct layer *layer = layer_new();
        struct err err = {0};
        struct zip zip;

        ck_assert_msg(bundles->ops->stage_layer(bundles, zip_of(&zip, parts, count), staging,
                                                &err) == STAGE_DONE,
                      "%s", err.text);
        ck_assert_int_eq(bundles->ops->keep_layer(bundles, staging, layer, &err), 0);
        strcpy(digests[number], layer->digest);
        ck_assert_uint_gt(layer->bytes, 0);
        layer_unref(layer);
        buffer_deinit(&zip.bytes);
}

#define PUBLISH(number, ...)                                                                       \
        publish((number), (const struct part[]){__VA_ARGS__},                                      \
                sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part))

static enum stage_result merge(size_t count, const unsigned *numbers, char *ret_digest,
                               struct err *err)
{
        const char *list[LAYERS_MAX];

        for (size_t i = 0; i < count; i++)
                list[i] = digests[numbers[i]];
        return bundles->ops->merge(bundles, count, list, ret_digest, err);
}

/* The digest of the tree. */
static const char *merged(size_t count, const unsigned *numbers)
{
        static char digest[DIGEST_LENGTH + 1];
        struct err err = {0};

        ck_assert_msg(merge(count, numbers, digest, &err) == STAGE_DONE, "%s", err.text);
        return digest;
}

#define MERGED(...)                                                                                \
        merged(sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned),                         \
               (const unsigned[]){__VA_ARGS__})

static const char *path_in(const char *digest, const char *name)
{
        static char path[512];

        (void)snprintf(path, sizeof(path), "%s/code/%s/%s", folder.path, digest, name);
        return path;
}

/* "" where there is no such file. */
static const char *content(const char *digest, const char *name)
{
        static char text[64];
        FILE *file = fopen(path_in(digest, name), "r");
        size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

        text[length] = '\0';
        if (file)
                ck_assert_int_eq(fclose(file), 0);
        return text;
}

static ino_t inode(const char *digest, const char *name)
{
        struct stat status;

        ck_assert_int_eq(lstat(path_in(digest, name), &status), 0);
        return status.st_ino;
}

static mode_t mode(const char *digest, const char *name)
{
        struct stat status;

        return lstat(path_in(digest, name), &status) < 0 ? 0 : status.st_mode;
}

TEST(one_layer_alone_is_its_own_tree)
{
        begin();
        PUBLISH(0, {"a", "x", NULL});
        ck_assert_str_eq(MERGED(0), digests[0]);
        ck_assert_uint_eq(count_in("code"), 1);
        end();
}
TEST_END

TEST(a_tree_has_the_files_of_all_its_layers_themselves)
{
        const char *tree;

        begin();
        PUBLISH(0, {"bin/a", "#!/bin/sh\n", NULL}, {"deep/er/file", "1", NULL});
        PUBLISH(1, {"bin/b", "2", NULL}, {"deep/link", NULL, "er/file"});
        (void)umask(077);
        tree = MERGED(0, 1);
        ck_assert_uint_eq(inode(tree, "bin/a"), inode(digests[0], "bin/a"));
        ck_assert_uint_eq(inode(tree, "bin/b"), inode(digests[1], "bin/b"));
        ck_assert_str_eq(content(tree, "deep/link"), "1");
        ck_assert(S_ISLNK(mode(tree, "deep/link")));
        ck_assert_uint_eq(mode(tree, "") & 07777, 0755);
        ck_assert_uint_eq(mode(tree, "deep/er") & 07777, 0755);
        ck_assert_uint_eq(mode(tree, "bin/a") & 07777, 0755);
        ck_assert_uint_eq(mode(tree, "bin/b") & 07777, 0644);
        ck_assert_uint_eq(count_in("staging"), 0);
        end();
}
TEST_END

TEST(what_comes_later_takes_the_place_of_what_has_its_name)
{
        char up[DIGEST_LENGTH + 1], down[DIGEST_LENGTH + 1];

        begin();
        PUBLISH(0, {"same", "first", NULL}, {"swap", "file", NULL}, {"turn/inner", "x", NULL},
                {"link", NULL, "same"}, {"to/a", "1", NULL});
        PUBLISH(1, {"same", "second", NULL}, {"swap/inner", "y", NULL}, {"turn", "file", NULL},
                {"link/inner", "z", NULL}, {"to/b", "2", NULL});
        strcpy(up, MERGED(0, 1));
        strcpy(down, MERGED(1, 0));
        ck_assert_str_ne(up, down);
        ck_assert_str_eq(content(up, "same"), "second");
        ck_assert_str_eq(content(up, "swap/inner"), "y");
        ck_assert_str_eq(content(up, "turn"), "file");
        ck_assert_str_eq(content(up, "link/inner"), "z");
        ck_assert_str_eq(content(down, "same"), "first");
        ck_assert_str_eq(content(down, "swap"), "file");
        ck_assert_str_eq(content(down, "turn/inner"), "x");
        ck_assert_str_eq(content(down, "link"), "first");
        ck_assert_str_eq(content(down, "to/b"), "2");
        ck_assert_str_eq(content(down, "to/a"), "1");
        ck_assert_str_eq(content(digests[0], "same"), "first");
        ck_assert_str_eq(content(digests[1], "same"), "second");
        end();
}
TEST_END

TEST(the_same_list_is_the_same_tree_and_outlives_its_layers)
{
        char first[DIGEST_LENGTH + 1];
        struct err err;

        begin();
        PUBLISH(0, {"a", "1", NULL});
        PUBLISH(1, {"b", "2", NULL});
        PUBLISH(2, {"c", "3", NULL});
        strcpy(first, MERGED(0, 1, 2));
        ck_assert_str_eq(MERGED(0, 1, 2), first);
        ck_assert_str_ne(MERGED(0, 2, 1), first);
        ck_assert_uint_eq(count_in("code"), 5);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(bundles->ops->remove(bundles, digests[i], UINT64_MAX, &err), 0);
        ck_assert_str_eq(content(first, "b"), "2");
        end();
}
TEST_END

TEST(a_layer_that_is_gone_is_refused_and_leaves_no_tree)
{
        char digest[DIGEST_LENGTH + 1] = "unchanged";
        struct err err;

        begin();
        PUBLISH(0, {"a", "1", NULL});
        PUBLISH(1, {"b", "2", NULL});
        ck_assert_int_eq(bundles->ops->remove(bundles, digests[1], UINT64_MAX, &err), 0);
        ck_assert_int_eq(merge(2, (const unsigned[]){0, 1}, digest, &err), STAGE_REFUSED);
        ck_assert_int_eq(merge(1, (const unsigned[]){1}, digest, &err), STAGE_REFUSED);
        ck_assert_str_eq(digest, "unchanged");
        ck_assert_uint_eq(count_in("code"), 1);
        ck_assert_uint_eq(count_in("staging"), 0);
        end();
}
TEST_END

TEST(merging_keeps_layers_and_tree_anew)
{
        const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        char tree[DIGEST_LENGTH + 1];
        struct err err;

        begin();
        PUBLISH(0, {"a", "1", NULL});
        PUBLISH(1, {"b", "2", NULL});
        strcpy(tree, MERGED(0, 1));
        ck_assert_int_eq(utimensat(AT_FDCWD, path_in(tree, ""), old, 0), 0);
        ck_assert_int_eq(utimensat(AT_FDCWD, path_in(digests[0], ""), old, 0), 0);
        (void)MERGED(0, 1);
        ck_assert_int_eq(bundles->ops->remove(bundles, tree, 2000, &err), -EBUSY);
        ck_assert_int_eq(bundles->ops->remove(bundles, digests[0], 2000, &err), -EBUSY);
        end();
}
TEST_END

TEST(layers_are_bounded_together)
{
        char digest[DIGEST_LENGTH + 1];
        struct err err;

        begin();
        PUBLISH(0, {"a", "1234567890", NULL});
        PUBLISH(1, {"b", "1234567890", NULL}, {"c", "", NULL});
        bundles_archive_close(bundles);
        limits.unpacked_bytes = 19;
        open_store();
        ck_assert_int_eq(merge(2, (const unsigned[]){0, 1}, digest, &err), STAGE_REFUSED);
        ck_assert_str_eq(err.text, "the layers have more than 19 together");
        ck_assert_int_eq(merge(1, (const unsigned[]){0}, digest, &err), STAGE_DONE);
        bundles_archive_close(bundles);
        limits = BUNDLE_LIMITS_DEFAULT;
        limits.members = 2;
        open_store();
        ck_assert_int_eq(merge(2, (const unsigned[]){0, 1}, digest, &err), STAGE_REFUSED);
        ck_assert_str_eq(err.text, "the layers have more than 2 files and folders together");
        ck_assert_uint_eq(count_in("staging"), 0);
        ck_assert_uint_eq(count_in("code"), 2);
        end();
}
TEST_END

TEST(a_single_file_is_no_layer)
{
        struct err err;

        begin();
        ck_assert_int_eq(bundles->ops->stage_layer(bundles, SOURCE, staging, &err), STAGE_REFUSED);
        ck_assert_str_eq(err.text, "this is no archive: pack it as zip or tar.gz");
        ck_assert_uint_eq(count_in("staging"), 0);
        end();
}
TEST_END

enum { MERGERS = 4, MERGINGS = 10 };

static void *merge_often(void *argument)
{
        char *digest = argument;

        for (int i = 0; i < MERGINGS; i++)
                if (merge(2, (const unsigned[]){0, 1}, digest, NULL) != STAGE_DONE)
                        return "failed";
        return NULL;
}

TEST(the_same_tree_may_be_made_by_several_threads_at_once)
{
        char trees[MERGERS][DIGEST_LENGTH + 1];
        pthread_t threads[MERGERS];
        void *failed;

        begin();
        PUBLISH(0, {"a/b/c", "1", NULL});
        PUBLISH(1, {"a/b/d", "2", NULL});
        for (int i = 0; i < MERGERS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, merge_often, trees[i]), 0);
        for (int i = 0; i < MERGERS; i++) {
                ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
                ck_assert_ptr_null(failed);
                ck_assert_str_eq(trees[i], trees[0]);
        }
        ck_assert_uint_eq(count_in("code"), 3);
        ck_assert_uint_eq(count_in("staging"), 0);
        end();
}
TEST_END

TEST_MAIN("layer_trees", one_layer_alone_is_its_own_tree,
          a_tree_has_the_files_of_all_its_layers_themselves,
          what_comes_later_takes_the_place_of_what_has_its_name,
          the_same_list_is_the_same_tree_and_outlives_its_layers,
          a_layer_that_is_gone_is_refused_and_leaves_no_tree, merging_keeps_layers_and_tree_anew,
          layers_are_bounded_together, a_single_file_is_no_layer,
          the_same_tree_may_be_made_by_several_threads_at_once)
