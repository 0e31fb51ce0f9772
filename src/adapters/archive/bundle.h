/* Code bundles: what users upload, unpacked, checked, and kept under the hash of its content.
 *
 * DATA-DIR/staging/<64 random hexadecimal digits>/ holds what is being verified, and
 * DATA-DIR/code/<SHA-256>/ what functions run: the same content has the same name, whoever uploads
 * it and however it was packed. A bundle in code/ is never changed. Files are 0644, or 0755 where
 * they can be executed; directories 0755.
 *
 * An upload is hostile. Nothing is opened but relative to a directory descriptor and without
 * following links; see docs/adr/0006-code-bundles.md for what is refused.
 *
 * All calls block: use the crew. They may run at the same time on several threads.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "core/registry/function.h"

#define BUNDLE_NAME_SIZE (DIGEST_LENGTH + 1)

struct bundle_store;

enum bundle_result {
        BUNDLE_OK,
        BUNDLE_REFUSED, /* the user's fault: the sentence is for him */
        BUNDLE_FAILED,  /* ours: no space, no memory, input/output */
};

struct bundle_input {
        struct slice bytes;     /* the upload, where fd is -1 */
        int fd;                 /* or a regular file that nobody changes meanwhile; borrowed */
        struct slice file_name; /* its name where it is a single file and no archive */
};

struct bundle_limits {
        uint64_t unpacked_bytes;
        uint32_t files; /* with folders and links */
        uint32_t ratio; /* unpacked to packed, from 16 MiB unpacked on */
};

#define BUNDLE_LIMITS_DEFAULT                                                                      \
        ((struct bundle_limits){.unpacked_bytes = 256ull << 20, .files = 20000, .ratio = 200})

/* Makes DATA-DIR/code and DATA-DIR/staging where they are missing, and empties the latter: nothing
 * in it outlives the process that verified it. 0, or a negative errno and a sentence. */
int bundle_store_open(const char *data_dir, struct bundle_store **ret_store, struct err *err);
void bundle_store_close(struct bundle_store *store); /* NULL is fine */

/* Unpacks a zip, tar or tar.gz, told by its first bytes, or takes the input for a single file. On
 * success the bundle lies in staging under *ret_staging; otherwise nothing is left of it. */
enum bundle_result bundle_unpack(struct bundle_store *store, const struct bundle_input *input,
                                 const struct bundle_limits *limits,
                                 char ret_staging[BUNDLE_NAME_SIZE], struct err *err);

/* Moves a staged bundle to code/. When it returns, the bundle survives a power cut, and
 * bundle_remove() spares it for as long as its caller's `kept_before_s` says. On failure it is
 * still staged. */
int bundle_keep(struct bundle_store *store, const char *staging, char ret_digest[BUNDLE_NAME_SIZE],
                uint64_t *ret_bytes, struct err *err);
/* Removes a staged bundle. Harmless where it is gone. */
void bundle_discard(struct bundle_store *store, const char *staging);

/* Collecting what no function uses goes as in git-gc: list what was kept before a time that lies
 * well back, let the catalog say which of it is unused, remove that. A bundle that a deployment
 * kept anew in between is spared, for bundle_remove() looks at the time again.
 *
 * Calls `visit` with each digest that was last kept before `kept_before_s` (Unix time), until it
 * returns false. 0, or a negative errno and a sentence. */
int bundle_list(struct bundle_store *store, uint64_t kept_before_s,
                bool (*visit)(const char *digest, void *context), void *context, struct err *err);
/* 0, -ENOENT, -EBUSY where it was kept since, or another negative errno; and a sentence. */
int bundle_remove(struct bundle_store *store, const char *digest, uint64_t kept_before_s,
                  struct err *err);
