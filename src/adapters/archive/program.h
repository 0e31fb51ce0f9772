/* Can this file of a bundle be run here? */
#pragma once

#include "adapters/archive/content.h"

/* An ELF program for this machine whose dynamic loader is installed; with `or_script` also a script
 * whose first line names an interpreter that is installed. */
enum stage_result program_check(int root_fd, const char *path, bool or_script, struct err *err);
