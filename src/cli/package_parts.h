/* The parts of package.c and package_zip.c that they share. */
#pragma once

#include "cli/package.h"

int package_add(struct package *package, const char *name, uint64_t size, bool executable,
                struct err *err);
/* Where a file lies on this machine; not for a zip. The caller frees. */
char *package_file_path(const struct package *package, const struct package_file *file);

/* Adds what a zip lists. */
int zip_list(struct package *package, struct err *err);
int zip_peek(const struct package *package, const struct package_file *file, struct buffer *head,
             struct err *err);
