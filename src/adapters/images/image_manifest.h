/* Manifests: what an image consists of, or which image is for which machine.
 *
 * OCI image specification 1.1, "manifest.md" and "image-index.md"; Docker's "Image Manifest Version
 * 2, Schema 2", which has the same members. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "wire/image_reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_LAYERS_MAX 256
#define MANIFEST_ENTRIES_MAX 256
#define PLATFORM_TEXT_MAX 31

struct blob_reference {
        char digest[SHA256_HEX_LENGTH + 1];
        uint64_t size; /* bytes, as it is sent */
};

struct platform {
        char system[PLATFORM_TEXT_MAX + 1];       /* "linux" */
        char architecture[PLATFORM_TEXT_MAX + 1]; /* "amd64", "arm64": as Go has it */
        char variant[PLATFORM_TEXT_MAX + 1];      /* "v8", or "" */
};

struct manifest_entry {
        struct blob_reference manifest;
        struct platform platform;
};

struct image_manifest {
        bool is_index; /* then it has entries, else a configuration and layers */
        struct blob_reference configuration;
        size_t layer_count, entry_count;
        struct blob_reference *layers; /* the lowest first */
        struct manifest_entry *entries;
};

/* The caller calls image_manifest_deinit() afterwards, after a failure as well. 0; -EINVAL for what is no
 * manifest or beyond the bounds above, -ENOTSUP for a kind that is not taken, -ENOMEM; and a
 * sentence. */
int image_manifest_parse(struct slice text, struct image_manifest *ret_manifest, struct err *err);
void image_manifest_deinit(
        struct image_manifest *manifest); /* also as AUTO(image_manifest_deinit) */

/* This machine's. */
const struct platform *platform_here(void);
/* Can programs for `platform` run here? */
bool platform_runs_here(const struct platform *platform);

/* The index's entry for this machine, borrowed. NULL, and a sentence that says what there is. */
const struct manifest_entry *image_manifest_choose(const struct image_manifest *index,
                                                   struct err *err);
