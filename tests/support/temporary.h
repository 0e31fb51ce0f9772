/* A folder of its own for a test, removed with all that is in it. */
#pragma once

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct temporary {
        char path[64];
};

static inline void temporary_make(struct temporary *temporary)
{
        strcpy(temporary->path, "/tmp/magpie-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(temporary->path));
}

static inline int temporary_remove_one(const char *path, const struct stat *status, int kind,
                                       struct FTW *walk)
{
        (void)status;
        (void)kind;
        (void)walk;
        return remove(path);
}

static inline void temporary_remove(struct temporary *temporary)
{
        ck_assert_int_eq(nftw(temporary->path, temporary_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* "PATH/name"; of four calls in a row each has its own text. */
static inline const char *temporary_path(const struct temporary *temporary, const char *name)
{
        static char texts[4][256];
        static unsigned turn;
        char *text = texts[turn++ % 4];

        (void)snprintf(text, sizeof(texts[0]), "%s/%s", temporary->path, name);
        return text;
}
