/* What is in the root file system of a sandbox. */
#pragma once

#include "base/err.h"

/* Fills the current directory, an empty tmpfs whose mount namespace is ours, with everything that
 * the sandboxes share. */
int rootfs_fill(struct err *err);

/* template.c: a read-only, nosuid, nodev copy of a mount, attached nowhere. A descriptor. */
int template_clone_mount(int directory_fd, const char *path, struct err *err);
