/* A look at a zip's central directory before libarchive reads it, for what libarchive smooths over:
 * it ends a name at a NUL, turns backslashes into slashes, and takes a device for an empty file.
 * APPNOTE.TXT 6.3.10, sections 4.3.12 and 4.3.16. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

/* 0, or -EINVAL and a sentence. A directory that is not where it should be is libarchive's to
 * judge: what it makes of it passes all other checks. */
int zip_directory_check(struct slice zip, struct err *err);
