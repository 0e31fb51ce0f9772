/* What a bundle is made of, and the name that follows from it. */
#pragma once

#include "adapters/archive/tree.h"
#include "core/registry/function.h"
#include "ports/bundles.h"

#include <errno.h>

/* A sentence and the result in one: the user's fault, or ours with errno. */
#define bundle_refuse(err, ...) (err_set((err), -EINVAL, __VA_ARGS__), STAGE_REFUSED)
#define bundle_fail(err, code, ...) (err_errno((err), (code), __VA_ARGS__), STAGE_FAILED)

/* The sentence for a bundle without a file. */
extern const char content_is_empty[];

/* Looks at an unpacked tree as a whole: there is a file in it, no two names differ only in case,
 * and every link, as it lies on the disk, stays inside. */
enum stage_result content_check(int root_fd, struct err *err);

/* The SHA-256 of the canonical list of all members (sorted by path; for a file whether it can be
 * executed, its length and the SHA-256 of its content; for a link where it leads), and the bytes of
 * all files. Times, owners and the way it was packed do not matter. 0, or a negative errno and a
 * sentence. */
int content_digest(int root_fd, char ret_digest[DIGEST_LENGTH + 1], uint64_t *ret_bytes,
                   struct err *err);
