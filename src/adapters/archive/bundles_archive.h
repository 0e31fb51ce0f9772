/* The port bundles: user code in folders below DATA-DIR, docs/adr/0006-code-bundles.md.
 *
 * staging/<64 random hexadecimal digits>/ holds what is being verified, code/<SHA-256>/ what functions
 * run: the same content has the same name, whoever uploads it and however it was packed. A bundle in
 * code/ is never changed. Layers are bundles, too, and so is the tree of hard links that is made of
 * several of them, but for its name: that comes from their list, docs/adr/0019-layers.md. Files are
 * 0644, or 0755 where they can be executed; folders 0755.
 *
 * An upload is hostile: nothing is opened but relative to a directory descriptor and without following
 * links. Calls may run at the same time on several threads. */
#pragma once

#include "adapters/archive/unpack.h"

/* Makes DATA-DIR/code and DATA-DIR/staging where they are missing, and empties the latter: nothing
 * in it outlives the process that verified it. 0, or a negative errno and a sentence. */
int bundles_archive_open(const char *data_dir, const struct bundle_limits *limits,
                         struct bundles **ret_bundles, struct err *err);
void bundles_archive_close(struct bundles *bundles); /* NULL is fine */
