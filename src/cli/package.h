/* The code of a function on its way to a node: which files there are, and the zip made of them.
 *
 * A package comes from a folder (all of it but what is ignored), a single file, or a zip that
 * somebody packed already. The zip depends on names, contents and the executable bit alone: the
 * same files give the same bytes on any machine, at any time.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PACKAGE_FILES_MAX 20000
#define PACKAGE_BYTES_MAX (256ull << 20) /* unpacked */
#define PACKAGE_ZIP_MAX (50ull << 20)
#define PACKAGE_DEPTH_MAX 64

enum package_kind { PACKAGE_FOLDER, PACKAGE_FILE, PACKAGE_ZIP };

struct package_file {
        char *name; /* inside the package: relative, parts joined by '/' */
        uint64_t size;
        bool executable;
};

struct package {
        enum package_kind kind;
        char *path;                 /* the folder, file or zip, as it was named */
        struct package_file *files; /* sorted by name */
        size_t count;
        uint64_t bytes; /* of all files, unpacked */
};

/* Finds out what lies at `path`. The caller ends it with package_deinit(), after a failure as well. */
int package_collect(const char *path, struct package *ret_package, struct err *err);
void package_deinit(struct package *package); /* also as AUTO(package_deinit) */

/* Does a zip lie at `path`? */
bool package_is_zip(const char *path);
/* An archive of any kind that a node knows? It unpacks zips, tars and tar.gz, and refuses the others. */
bool package_is_archive(const char *path);

/* NULL where there is none of this name. */
const struct package_file *package_find(const struct package *package, const char *name);
/* Appends the first bytes of a file, as many as the buffer's limit allows. */
int package_peek(const struct package *package, const struct package_file *file,
                 struct buffer *head, struct err *err);

/* Appends the zip. -EFBIG where it would be larger than the buffer's limit. */
int package_pack(const struct package *package, struct buffer *zip, struct err *err);
