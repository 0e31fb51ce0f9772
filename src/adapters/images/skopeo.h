/* skopeo(1): the program that knows registries, credentials and signatures. A child of ours, in a
 * process group of its own that ends with us, without our descriptors, and with a bounded time, output
 * and size of files. */
#pragma once

#include "adapters/images/patience.h"
#include "base/buffer.h"
#include "wire/image_reference.h"

#define SKOPEO_AUTHENTICATION "auth.json"

/* Everything lies in one folder: what it writes, its temporary files, and its credentials. */
struct skopeo {
        const char *folder; /* absolute; its current one */
        bool is_insecure;   /* TLS is not verified, and done without */
        struct patience patience;
        uint64_t file_max; /* bytes of one file that it may write */
        /* Now and then while it runs. Not IMAGE_READY: it is ended, and that is the result. */
        enum image_result (*tick)(void *context, struct err *err);
        void *context;
};

/* Writes the file of credentials (0600) that the others name to it; `user` may be NULL. */
int skopeo_write_credentials(int folder_fd, const char *registry, const char *user,
                             const char *password);

/* Reads the manifest, or with `configuration` the image's configuration, as it is, into `text`. */
enum image_result skopeo_inspect(const struct skopeo *skopeo, const char *location,
                                 bool configuration, struct buffer *text, struct err *err);
/* Copies the image's blobs to an OCI layout, a folder in its own; blobs that are there are taken for
 * good, and not fetched. */
enum image_result skopeo_copy(const struct skopeo *skopeo, const char *location, const char *layout,
                              struct err *err);
