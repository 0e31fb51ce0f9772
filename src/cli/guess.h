/* What a person need not say: name, runtime and handler, read off the code itself. */
#pragma once

#include "cli/manifest.h"
#include "cli/package.h"

/* Fills in what the manifest does not say, and says on stderr what it took (unless `quiet`). 0;
 * -EINVAL and a sentence that asks for the flag that would decide. */
int guess_fill(struct manifest *manifest, const struct package *package, bool quiet,
               struct err *err);
