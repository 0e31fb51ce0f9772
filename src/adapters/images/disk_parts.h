/* What the files of the adapter images_disk share; see images_disk.h. */
#pragma once

#include "adapters/images/configuration.h"
#include "adapters/images/images_disk.h"
#include "adapters/images/layer.h"
#include "adapters/images/skopeo.h"
#include "base/list.h"

#include <locale.h>
#include <pthread.h>

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NAME_SIZE (DIGEST_LENGTH + 1)

struct images_disk {
        struct images images;
        struct images_options options;
        char *pulls_path; /* absolute */
        int images_fd, layers_fd, pulls_fd;
        locale_t utf8; /* what libarchive converts names to */
        atomic_bool stopping;

        pthread_mutex_t lock; /* of all that follows; and of giving and taking names on the disk */
        pthread_cond_t changed;
        struct list fetches; /* struct fetch: all that are under way */
        struct list pulls;   /* struct pull: one a digest */
        struct list claims;  /* struct claim: layers that somebody is about to bring */
        struct list leases;  /* struct image_lease */
        uint64_t generation; /* one up with each pull that ends */
};

/* One image on its way to the disk. It lives until the last of those who wait has looked. */
struct pull {
        struct list link;
        unsigned users;
        bool ended;
        enum image_result result;
        struct err err;
        char digest[NAME_SIZE];
        char registry[REGISTRY_MAX + 1], owner_id[ID_LENGTH + 1]; /* whence, and for whom */
        enum pull_state state;
        size_t layer_count;
        struct layer_progress *layers;
        char (*diff_ids)[SHA256_HEX_LENGTH + 1]; /* layer_count; the collector leaves them alone */
};

/* One call of fetch(). */
struct fetch {
        struct list link;
        struct images_disk *disk;
        const struct image_request *request;
        struct image_reference reference;
        struct patience patience;
        struct pull *pull; /* NULL while the reference is being resolved */
        struct buffer manifest_text;
        struct image_manifest manifest;
        char digest[NAME_SIZE];
        char folder[NAME_SIZE]; /* below pulls/; "" while there is none */
        char *folder_path;
        int folder_fd;
        struct err *err;
};

struct image_lease {
        struct list link;
        char digest[NAME_SIZE];
};

/* disk_pull.c: brings the image of fetch->manifest under its name; fetch->pull tells how far it is. */
enum image_result pull_run(struct fetch *fetch);

/* disk_layers.c: brings all layers that the configuration names, or waits for those who do. Adds what
 * they take to *bytes. */
enum image_result layers_bring(struct fetch *fetch, const struct configuration *configuration,
                               uint64_t *bytes);
/* Opens a layer's files. */
int layer_open(const struct images_disk *disk, const char *diff_id);

/* disk_collect.c */
int disk_each(struct images *images, void (*visit)(const char *digest, void *context),
              void *context);
void disk_collect(struct images *images, const struct image_use *uses, size_t count,
                  uint64_t began_ms);

/* disk_files.c */
int disk_random_name(char ret_name[NAME_SIZE]);
/* A folder, 0755 whatever the umask, open. */
int disk_folder_make(int parent_fd, const char *name, int *ret_fd);
int disk_file_write(int folder_fd, const char *name, struct slice content);
int disk_file_read(int folder_fd, const char *name, struct buffer *text);
int disk_sizes_write(int folder_fd, uint64_t first, uint64_t second);
/* 0 for what is not there. */
void disk_sizes_read(int folder_fd, uint64_t *ret_first, uint64_t *ret_second);
/* Opens NAME/PART in a folder. */
int disk_folder_open(int parent_fd, const char *name, const char *part);

static inline struct images_disk *disk_of(struct images *images)
{
        return CONTAINER_OF(images, struct images_disk, images);
}

/* Tells how the skopeo of this fetch is run. */
struct skopeo fetch_skopeo(const struct fetch *fetch);
