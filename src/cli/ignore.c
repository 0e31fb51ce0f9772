/* What stays out of a package; see ignore.h. */
#include "cli/ignore.h"

#include "base/auto.h"
#include "cli/files.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#define IGNORE_MAX_BYTES 65536

void ignore_init(struct ignore *ignore)
{
        /* The settings travel beside the code, not in it. */
        static const char *const always[] = {
                "/function.yaml", "/.magpieignore", ".git/",          ".hg/",  ".svn/",
                "__pycache__/",   ".venv/",         ".pytest_cache/", "*.pyc", ".DS_Store",
        };

        *ignore = (struct ignore){0};
        for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
                text_list_add(&ignore->patterns, text_copy(always[i]));
}

void ignore_deinit(struct ignore *ignore)
{
        text_list_deinit(&ignore->patterns);
}

int ignore_read(struct ignore *ignore, const char *path, struct err *err)
{
        AUTO(buffer_deinit) struct buffer text;
        struct slice rest;
        int r;

        buffer_init(&text, IGNORE_MAX_BYTES);
        r = file_read(path, &text, err);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        rest = buffer_slice(&text);
        while (rest.length > 0) {
                const char *end = memchr(rest.data, '\n', rest.length);
                size_t length = end ? (size_t)(end - rest.data) : rest.length;
                struct slice line = slice_make(rest.data, length);

                rest = slice_skip(rest, end ? length + 1 : length);
                while (line.length > 0 && strchr(" \t\r", line.data[line.length - 1]))
                        line.length--;
                if (line.length > 0 && line.data[0] != '#')
                        text_list_add(&ignore->patterns, text_copy_span(line.data, line.length));
        }
        return 0;
}

static bool pattern_matches(const char *pattern, const char *name, bool is_folder)
{
        AUTO(memory_free) char *bare = text_copy(pattern);
        size_t length = strlen(bare);
        const char *slash = strrchr(name, '/');

        if (length > 0 && bare[length - 1] == '/') {
                if (!is_folder)
                        return false;
                bare[length - 1] = '\0';
        }
        if (strchr(bare, '/'))
                return fnmatch(*bare == '/' ? bare + 1 : bare, name, FNM_PATHNAME) == 0;
        return fnmatch(bare, slash ? slash + 1 : name, 0) == 0;
}

bool ignore_matches(const struct ignore *ignore, const char *name, bool is_folder)
{
        for (size_t i = ignore->patterns.count; i > 0; i--) {
                const char *pattern = ignore->patterns.items[i - 1];
                bool take_back = *pattern == '!';
                if (pattern_matches(pattern + take_back, name, is_folder))
                        return !take_back;
        }
        return false;
}
