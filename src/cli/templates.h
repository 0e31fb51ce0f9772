/* What `magpie new` writes: the files below templates/, embedded by templates/embed at build time.
 * "{{name}}" in them stands for the function's name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct template_file {
        const char *runtime; /* NULL at the end of the table */
        const char *name;    /* "main.py" */
        const char *data;
        size_t length;
        bool executable;
};

extern const struct template_file template_files[];
