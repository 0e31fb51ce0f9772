/* What a container image says about its program: an immutable value, shared by reference by the
 * versions of functions that run it.
 *
 * It is read from the image's configuration once, when the function is registered (OCI image
 * specification, "config.md"), and kept with the function, so that a cold start reads nothing.
 */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_REFERENCE_MAX 512
#define IMAGE_WORDS_MAX 64 /* of the command line */
#define IMAGE_ENV_MAX 64
#define IMAGE_TEXT_MAX 16384 /* of words, environment and folder together */
#define IMAGE_ID_MAX 65535u  /* users and groups that a sandbox can have */

struct image {
        atomic_uint references;
        char *directory; /* absolute: where the program starts */
        uint32_t user, group;
        size_t word_count; /* the command line, at least one */
        char **words;
        size_t env_count;
        char **env; /* "NAME=value" */
};

/* What is given to image_new(); borrowed. */
struct image_parts {
        const char *directory;
        uint32_t user, group;
        size_t word_count, env_count;
        const char *const *words, *const *env;
};

/* A deep copy with one reference. 0; -EINVAL for what is beyond the bounds above, has no word, or has a
 * relative folder; -ENOMEM. */
int image_new(const struct image_parts *parts, struct image **ret_image);
struct image *image_ref(struct image *image); /* NULL is fine */
void image_unref(struct image *image);        /* likewise */

/* As bytes, for a store: numbers and strings, each ended by NUL. `buffer`'s error as buffer_append()'s. */
int image_pack(const struct image *image, struct buffer *buffer);
/* 0; -EINVAL for what image_pack() does not write; -ENOMEM. */
int image_unpack(struct slice bytes, struct image **ret_image);
