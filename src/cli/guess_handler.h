/* Which function of a source file is the handler. */
#pragma once

#include "cli/package.h"

/* "main.handler" for main.py that defines handler(). The caller frees. -EINVAL where several or
 * none could be meant. */
int handler_find(const struct package *package, const struct package_file *source,
                 char **ret_handler, struct err *err);
