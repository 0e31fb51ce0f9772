/* A store of bundles under test: one folder, one function that is deployed, and what one expects of
 * it. */
#pragma once

#include "adapters/archive/bundles_archive.h"
#include "archives.h"
#include "temporary.h"
#include "testing.h"

#include <dirent.h>

static struct temporary folder;
static struct bundles *bundles;
static struct bundle_limits limits;
static char staging[DIGEST_LENGTH + 1];
static struct function *function;

static inline void open_store(void)
{
        struct err err;

        ck_assert_msg(bundles_archive_open(folder.path, &limits, &bundles, &err) == 0, "%s",
                      err.text);
}

static inline void begin(void)
{
        temporary_make(&folder);
        limits = BUNDLE_LIMITS_DEFAULT;
        open_store();
        function = function_new();
        strcpy(function->name, "hello");
}

static inline void end(void)
{
        function_unref(function);
        bundles_archive_close(bundles);
        bundles_archive_close(NULL);
        temporary_remove(&folder);
}

/* How many entries DATA-DIR/name has. */
static inline unsigned count_in(const char *name)
{
        DIR *listing = opendir(temporary_path(&folder, name));
        unsigned count = 0;

        ck_assert_ptr_nonnull(listing);
        for (struct dirent *entry; (entry = readdir(listing));)
                count += entry->d_name[0] != '.';
        ck_assert_int_eq(closedir(listing), 0);
        return count;
}

/* The sentence; and nothing is left behind. */
static inline const char *refusal(struct slice code)
{
        static struct err err;

        ck_assert_int_eq(bundles->ops->stage(bundles, code, function, staging, &err),
                         STAGE_REFUSED);
        ck_assert_uint_eq(count_in("staging"), 0);
        return err.text;
}

#define SOURCE SLICE("def handler(event, context):\n    return event\n")

/* The same three members in whatever order. */
static inline void tar_hello(struct buffer *tar, bool folder_last)
{
        buffer_init(tar, 1 << 20);
        if (!folder_last)
                tar_add(tar, "./lib/", '5', 0700, "", SLICE(""));
        tar_add(tar, "./main.py", '0', 0640, "", SOURCE);
        tar_add(tar, "./lib/tool", '0', 0700, "", SLICE("x"));
        if (folder_last)
                tar_add(tar, "./lib/", '5', 0755, "", SLICE(""));
        tar_end(tar);
}
