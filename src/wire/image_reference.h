/* The name of a container image: registry/repository:tag@digest, with Docker's defaults.
 *
 * Grammar: distribution/reference of the OCI distribution specification ("Pulling manifests"), with
 * what Docker adds to it: no registry is Docker's own, where one-part repositories are "library/...". */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

#define REGISTRY_MAX 255
#define REPOSITORY_MAX 255
#define TAG_MAX 128
#define SHA256_HEX_LENGTH 64

struct image_reference {
        char registry[REGISTRY_MAX + 1]; /* host, or host:port */
        char repository[REPOSITORY_MAX + 1];
        char tag[TAG_MAX + 1];              /* "latest" where neither tag nor digest is given */
        char digest[SHA256_HEX_LENGTH + 1]; /* without "sha256:"; "" where none is given */
};

/* 0, or -EINVAL and a sentence. */
int image_reference_parse(struct slice text, struct image_reference *ret_reference,
                          struct err *err);

/* What "sha256:HEX" names. False for anything else. */
bool sha256_parse(struct slice text, char ret_hex[SHA256_HEX_LENGTH + 1]);

#define IMAGE_LOCATION_SIZE (REGISTRY_MAX + REPOSITORY_MAX + TAG_MAX + SHA256_HEX_LENGTH + 16)

/* "registry/repository@sha256:DIGEST" where `digest` or the reference has one, else ":TAG".
 * `digest` may be NULL. */
void image_reference_locate(const struct image_reference *reference, const char *digest,
                            char ret_location[IMAGE_LOCATION_SIZE]);

/* Is it served by this machine itself (localhost, 127.0.0.0/8)? */
bool image_registry_is_loopback(const char *registry);
/* Does `list`, of names with commas between them, name it, by host or by host:port? */
bool image_registry_is_listed(const char *registry, const char *list);

/* A function's name to try: the repository's last part, spelled as names are ([a-z0-9-]); then, as
 * `attempt` goes up from 0, with "-2", "-3" and so on. `ret_name` holds `size` bytes, 16 at least. */
void image_reference_name(const struct image_reference *reference, unsigned attempt, char *ret_name,
                          size_t size);
