/* What stays out of a package: a few folders nobody means, and what .magpieignore says.
 *
 * .magpieignore is a small .gitignore: a pattern a line; `#` begins a comment; `*`, `?` and `[...]`
 * stand for characters within one name; a `/` at the end means folders only; a `/` elsewhere ties
 * the pattern to the top folder; `!` takes back what an earlier line left out. The last line that
 * matches decides. */
#pragma once

#include "base/err.h"
#include "cli/text.h"

#include <stdbool.h>

#define IGNORE_FILE ".magpieignore"

struct ignore {
        struct text_list patterns;
};

void ignore_init(struct ignore *ignore);   /* with what is always left out */
void ignore_deinit(struct ignore *ignore); /* also as AUTO(ignore_deinit) */
/* Adds the patterns of a file; none is fine. */
int ignore_read(struct ignore *ignore, const char *path, struct err *err);
/* `name` is relative to the top folder: "lib/util.py". */
bool ignore_matches(const struct ignore *ignore, const char *name, bool is_folder);
