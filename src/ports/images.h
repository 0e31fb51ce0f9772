/* What the gateway needs of container images: pulled by reference, kept as trees of files under the
 * digest of their manifest, and removed some day when no function has them any more.
 *
 * Everything but each_pull() and stop() blocks, a fetch() for minutes: call it on crew threads only. */
#pragma once

#include "base/err.h"
#include "core/registry/function.h"

struct images;
struct image_lease;

enum image_result {
        IMAGE_READY,
        IMAGE_NOT_A_REFERENCE,
        IMAGE_REGISTRY_REFUSED, /* this server does not pull from there */
        IMAGE_UNREACHABLE,      /* there is no registry, or none that can be talked to */
        IMAGE_NOT_ALLOWED,      /* the credentials are wrong, or there are none */
        IMAGE_UNKNOWN,          /* no such repository, tag or digest */
        IMAGE_OTHER_PLATFORM,   /* not for this machine */
        IMAGE_CORRUPT,          /* not what its digests say */
        IMAGE_REFUSED,          /* what is in it is not taken */
        IMAGE_DISK_FULL,
        IMAGE_NO_TRANSPORT, /* the program that talks to registries is not installed */
        IMAGE_LATE,         /* it took too long */
        IMAGE_STOPPED,      /* the server is about to end */
        IMAGE_FAILED,       /* we are at fault */
};

/* Borrowed. */
struct image_request {
        const char *reference;
        const char *owner_id;        /* who may see how far it is */
        const char *user, *password; /* for the registry; NULL: none */
};

struct image_found {
        char digest[DIGEST_LENGTH + 1];
        uint64_t bytes;         /* of its layers, unpacked */
        struct image *image;    /* a reference, the caller's */
        enum contract contract; /* as it makes plain; never CONTRACT_NONE */
        uint32_t port;          /* where a server in it listens */
        struct image_lease *lease;
};

enum layer_state { LAYER_WAITING, LAYER_PULLING, LAYER_PULLED, LAYER_UNPACKING, LAYER_THERE };

struct layer_progress {
        char digest[DIGEST_LENGTH + 1]; /* of the blob */
        uint64_t size, bytes;           /* packed; of those that are being pulled an estimate */
        enum layer_state state;
};

enum pull_state { PULL_RESOLVING, PULL_PULLING, PULL_UNPACKING, PULL_LINKING };

/* Borrowed, during the visit. */
struct pull_progress {
        const char *reference, *digest; /* "" until it is known */
        enum pull_state state;
        size_t layer_count;
        const struct layer_progress *layers;
};

/* An image on the disk, for the collector. */
struct image_use {
        char digest[DIGEST_LENGTH + 1];
        bool is_used; /* by a function: the collector's to say */
};

struct images_ops {
        /* Resolves the reference, and pulls the image unless it is there. *ret_found is written on
         * IMAGE_READY only. Until its lease is given back the image stays. */
        enum image_result (*fetch)(struct images *images, const struct image_request *request,
                                   struct image_found *ret_found, struct err *err);
        /* `lease` may be NULL. */
        void (*release)(struct images *images, struct image_lease *lease);
        /* Tells contract and port of an image that is there, as fetch() did. 0 or a negative errno. */
        int (*guess)(struct images *images, const char *digest, enum contract *ret_contract,
                     uint32_t *ret_port);
        /* The fetches of this owner that are under way. Quick, from any thread. */
        void (*each_pull)(struct images *images, const char *owner_id,
                          void (*visit)(const struct pull_progress *pull, void *context),
                          void *context);

        /* Collecting: what is there; and, with is_used filled in as of `began_ms` (Unix time), what
         * may go goes: images that have been unused for a while, and the least recently used ones
         * while all take more than they may; then layers of no image. */
        int (*each)(struct images *images, void (*visit)(const char *digest, void *context),
                    void *context);
        void (*collect)(struct images *images, const struct image_use *uses, size_t count,
                        uint64_t began_ms);

        /* Ends all fetches with IMAGE_STOPPED, those to come as well. Quick, from any thread. */
        void (*stop)(struct images *images);
};

struct images {
        const struct images_ops *ops;
};
