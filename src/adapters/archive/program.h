/* Can this file of a bundle, or of an image, be run here? */
#pragma once

#include "adapters/archive/content.h"
#include "base/slice.h"

/* Where a program would run: is that interpreter there (absolute path)? */
struct program_world {
        bool (*has)(const struct program_world *world, const char *interpreter);
        const char *advice; /* for one whose dynamic loader is missing: ": do ..." */
};

/* The same of a file's content, for whatever world. `path` is its name in the sentence. */
enum stage_result program_content_check(struct slice content, const char *path, bool or_script,
                                        const struct program_world *world, struct err *err);

/* An ELF program for this machine whose dynamic loader is installed; with `or_script` also a script
 * whose first line names an interpreter that is installed. With `has_layers` either may lie below /opt,
 * where nobody looks for it here. */
enum stage_result program_check(int root_fd, const char *path, bool or_script, bool has_layers,
                                struct err *err);
