/* Bringing layers; see disk_parts.h.
 *
 * What a configuration calls a layer anybody may write. Only who names the blob of a layer, too, is given
 * what is there: beside a layer's files stand the digests of the blobs that were unpacked to just
 * these, and with any other blob the layer is brought again.
 *
 * Each layer is brought by one pull at a time. Who needs a layer that somebody else has claimed first
 * brings his own, gives up his claims, and only then waits: so no two can wait for each other. A layer
 * whose claim has ended without it is claimed by one of those who waited. */
#include "adapters/images/disk_parts.h"

#include "adapters/archive/tree.h"
#include "base/auto.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LAYOUT "layout"
#define BLOBS LAYOUT "/blobs/sha256"
#define LOOK_AGAIN_MS 200
#define SLACK_BYTES (8u << 20) /* manifests and configuration, which are pulled too */

struct claim {
        struct list link;
        const char *diff_id;
        size_t layer; /* number */
};

struct bringing {
        struct fetch *fetch;
        const struct configuration *configuration;
        struct layer_budget budget;
        struct claim claims[MANIFEST_LAYERS_MAX];
        size_t claim_count;
        int blobs_fd, layout_fd;
};

static void bringing_free(struct bringing **bringing)
{
        if (!*bringing)
                return;
        fd_close(&(*bringing)->blobs_fd);
        fd_close(&(*bringing)->layout_fd);
        free(*bringing);
}

int layer_open(const struct images_disk *disk, const char *diff_id)
{
        return disk_folder_open(disk->layers_fd, diff_id, "files");
}

/* Is it there, and has this blob been seen to be it? */
static bool layer_is_proven(const struct images_disk *disk, const char *diff_id, const char *blob)
{
        char path[2 * NAME_SIZE];

        (void)snprintf(path, sizeof(path), "%s/%s", diff_id, blob);
        return faccessat(disk->layers_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int proof_write(int folder_fd, const char *blob)
{
        int r = disk_file_write(folder_fd, blob, SLICE(""));

        return r == -EEXIST ? 0 : r;
}

static const char *blob_of(const struct bringing *b, size_t layer)
{
        return b->fetch->manifest.layers[layer].digest;
}

static void set_layer_state(const struct bringing *b, size_t layer, enum layer_state state)
{
        struct layer_progress *progress = &b->fetch->pull->layers[layer];

        pthread_mutex_lock(&b->fetch->disk->lock);
        progress->state = state;
        if (state == LAYER_THERE || state == LAYER_PULLED)
                progress->bytes = progress->size;
        pthread_mutex_unlock(&b->fetch->disk->lock);
}

static void set_state(const struct bringing *b, enum pull_state state)
{
        pthread_mutex_lock(&b->fetch->disk->lock);
        b->fetch->pull->state = state;
        pthread_mutex_unlock(&b->fetch->disk->lock);
}

/* Claiming ---------------------------------------------------------------------------------------- */

static bool is_claimed(const struct images_disk *disk, const char *diff_id)
{
        const struct claim *claim;

        LIST_FOR_EACH (claim, &disk->claims, link)
                if (strcmp(claim->diff_id, diff_id) == 0)
                        return true;
        return false;
}

/* Claims what is neither there nor claimed. True: something is missing still, here or elsewhere. */
static bool claim_missing(struct bringing *b)
{
        struct images_disk *disk = b->fetch->disk;
        bool missing = false;

        b->claim_count = 0;
        pthread_mutex_lock(&disk->lock);
        for (size_t i = 0; i < b->configuration->layer_count; i++) {
                const char *diff_id = b->configuration->diff_ids[i];
                struct layer_progress *progress = &b->fetch->pull->layers[i];
                struct claim *claim = &b->claims[b->claim_count];

                if (layer_is_proven(disk, diff_id, blob_of(b, i))) {
                        progress->state = LAYER_THERE;
                        progress->bytes = progress->size;
                        continue;
                }
                missing = true;
                if (is_claimed(disk,
                               diff_id)) /* perhaps by ourselves: a layer may be there twice */
                        continue;
                *claim = (struct claim){.diff_id = diff_id, .layer = i};
                list_push_back(&disk->claims, &claim->link);
                b->claim_count++;
        }
        pthread_mutex_unlock(&disk->lock);
        return missing;
}

static void claims_release(struct bringing *b)
{
        struct images_disk *disk = b->fetch->disk;

        pthread_mutex_lock(&disk->lock);
        for (size_t i = 0; i < b->claim_count; i++)
                list_remove(&b->claims[i].link);
        b->claim_count = 0;
        pthread_cond_broadcast(&disk->changed);
        pthread_mutex_unlock(&disk->lock);
}

static enum image_result wait_for_others(const struct bringing *b)
{
        struct images_disk *disk = b->fetch->disk;
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_AGAIN_MS * 1000000l;
        until.tv_sec += until.tv_nsec / 1000000000l;
        until.tv_nsec %= 1000000000l;
        pthread_mutex_lock(&disk->lock);
        (void)pthread_cond_timedwait(&disk->changed, &disk->lock, &until);
        pthread_mutex_unlock(&disk->lock);
        return patience_check(&b->fetch->patience, b->fetch->err);
}

/* Transport --------------------------------------------------------------------------------------- */

static bool claims_blob(const struct bringing *b, const char *digest)
{
        for (size_t i = 0; i < b->claim_count; i++)
                if (strcmp(blob_of(b, b->claims[i].layer), digest) == 0)
                        return true;
        return false;
}

/* Makes the layout. What is not to be fetched is in it already, as an empty file: skopeo takes a blob
 * that is there for good. */
static int layout_make(struct bringing *b)
{
        int folder_fd = b->fetch->folder_fd;

        if (mkdirat(folder_fd, LAYOUT, 0700) < 0 || mkdirat(folder_fd, LAYOUT "/blobs", 0700) < 0 ||
            mkdirat(folder_fd, BLOBS, 0700) < 0)
                return -errno;
        b->layout_fd = openat(folder_fd, LAYOUT, OPEN_FOLDER);
        b->blobs_fd = openat(folder_fd, BLOBS, OPEN_FOLDER);
        if (b->layout_fd < 0 || b->blobs_fd < 0)
                return -errno;
        for (size_t i = 0; i < b->configuration->layer_count; i++) {
                const char *digest = blob_of(b, i);
                int r = claims_blob(b, digest) ? 0
                                               : disk_file_write(b->blobs_fd, digest, SLICE(""));
                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return 0;
}

static int layout_remove(struct bringing *b)
{
        fd_close(&b->blobs_fd);
        fd_close(&b->layout_fd);
        return tree_remove(b->fetch->folder_fd, LAYOUT);
}

/* Bytes of blobs that are not whole yet: skopeo's temporary files beside them. */
static uint64_t partial_bytes(int layout_fd)
{
        int fd = openat(layout_fd, ".", OPEN_FOLDER);
        AUTO(directory_close) DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;
        uint64_t bytes = 0;
        struct stat status;

        if (!folder)
                fd_close(&fd);
        while (folder && (entry = readdir(folder)))
                if (strncmp(entry->d_name, "oci-put-blob", 12) == 0 &&
                    fstatat(layout_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
                        bytes += (uint64_t)status.st_size;
        return bytes;
}

/* How far is it? Which temporary file is whose nobody tells: their bytes are given to the layers that
 * are not whole, in the order in which skopeo begins them. */
static enum image_result on_tick(void *context, struct err *err)
{
        struct bringing *b = context;
        struct pull *pull = b->fetch->pull;
        uint64_t partial = partial_bytes(b->layout_fd), left = partial, most = SLACK_BYTES;
        struct stat status;

        pthread_mutex_lock(&b->fetch->disk->lock);
        for (size_t i = 0; i < b->claim_count; i++) {
                size_t layer = b->claims[i].layer;
                struct layer_progress *progress = &pull->layers[layer];

                most += progress->size;
                if (fstatat(b->blobs_fd, blob_of(b, layer), &status, AT_SYMLINK_NOFOLLOW) == 0) {
                        progress->state = LAYER_PULLED;
                        progress->bytes = progress->size;
                        continue;
                }
                progress->bytes = left < progress->size ? left : progress->size;
                progress->state = progress->bytes > 0 ? LAYER_PULLING : LAYER_WAITING;
                left -= progress->bytes;
        }
        pthread_mutex_unlock(&b->fetch->disk->lock);
        if (partial > most)
                return image_corrupt(err, "the registry sends more than the image's manifest says");
        return IMAGE_READY;
}

static enum image_result claims_fetch(struct bringing *b)
{
        char location[IMAGE_LOCATION_SIZE];
        struct skopeo skopeo = fetch_skopeo(b->fetch);
        int r = layout_make(b);

        if (r < 0)
                return image_fail(b->fetch->err, r, "making a folder for the image's layers");
        skopeo.tick = on_tick;
        skopeo.context = b;
        for (size_t i = 0; i < b->claim_count; i++) {
                uint64_t size = b->fetch->manifest.layers[b->claims[i].layer].size;
                if (size + SLACK_BYTES > skopeo.file_max)
                        skopeo.file_max = size + SLACK_BYTES;
        }
        image_reference_locate(&b->fetch->reference, b->fetch->digest, location);
        return skopeo_copy(&skopeo, location, LAYOUT, b->fetch->err);
}

/* Unpacking --------------------------------------------------------------------------------------- */

static enum image_result claim_unpack(struct bringing *b, const struct claim *claim, int files_fd,
                                      uint64_t *ret_bytes)
{
        const struct fetch *fetch = b->fetch;
        const char *blob = blob_of(b, claim->layer);
        AUTO(fd_close) int fd = openat(b->blobs_fd, blob, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        const struct layer_source source = {
                .blob_fd = fd, .digest = blob, .diff_id = claim->diff_id};
        enum image_result result;

        if (fd < 0)
                return image_fail(fetch->err, -errno, "opening a layer");
        set_layer_state(b, claim->layer, LAYER_UNPACKING);
        result = layer_unpack(&source, files_fd, &fetch->patience, &b->budget, ret_bytes,
                              fetch->err);
        if (result != IMAGE_READY)
                err_prefix(fetch->err, "layer %zu of %zu", claim->layer + 1,
                           fetch->manifest.layer_count);
        return result;
}

/* To a folder of its own in pulls/, named by the layer. */
static enum image_result claim_stage(struct bringing *b, const struct claim *claim)
{
        AUTO(fd_close) int folder = -1, files = -1;
        uint64_t bytes = 0;
        enum image_result result;
        int r = disk_folder_make(b->fetch->folder_fd, claim->diff_id, &folder);

        if (r == 0)
                r = disk_folder_make(folder, "files", &files);
        if (r < 0)
                return image_fail(b->fetch->err, r, "making a folder for a layer");
        result = claim_unpack(b, claim, files, &bytes);
        if (result != IMAGE_READY)
                return result;
        r = disk_sizes_write(folder, bytes, 0);
        if (r == 0)
                r = proof_write(folder, blob_of(b, claim->layer));
        return r < 0 ? image_fail(b->fetch->err, r, "unpacking a layer") : IMAGE_READY;
}

static int claim_publish(const struct bringing *b, const struct claim *claim)
{
        int layers_fd = b->fetch->disk->layers_fd;
        AUTO(fd_close) int there = -1;
        int r;

        if (renameat(b->fetch->folder_fd, claim->diff_id, layers_fd, claim->diff_id) == 0)
                return 0;
        if (errno != EEXIST && errno != ENOTEMPTY)
                return -errno;
        /* Another blob had brought it; a third may do so yet. */
        there = openat(layers_fd, claim->diff_id, OPEN_FOLDER);
        r = there < 0 ? -errno : proof_write(there, blob_of(b, claim->layer));
        return r < 0 ? r : tree_remove(b->fetch->folder_fd, claim->diff_id);
}

/* All at once, and each whole on the disk before it gets its name. */
static int claims_publish(struct bringing *b)
{
        struct images_disk *disk = b->fetch->disk;
        int r = syncfs(b->fetch->folder_fd) < 0 ? -errno : 0;

        pthread_mutex_lock(&disk->lock);
        for (size_t i = 0; i < b->claim_count && r == 0; i++)
                r = claim_publish(b, &b->claims[i]);
        pthread_mutex_unlock(&disk->lock);
        return r == 0 && fsync(disk->layers_fd) < 0 ? -errno : r;
}

static enum image_result claims_bring(struct bringing *b)
{
        enum image_result result;
        int r;

        set_state(b, PULL_PULLING);
        result = claims_fetch(b);
        if (result == IMAGE_READY)
                set_state(b, PULL_UNPACKING);
        for (size_t i = 0; i < b->claim_count && result == IMAGE_READY; i++) {
                result = claim_stage(b, &b->claims[i]);
                /* Another layer may have the same blob: what a registry calls a layer is up to it. */
                if (result == IMAGE_READY)
                        set_layer_state(b, b->claims[i].layer, LAYER_PULLED);
        }
        if (result != IMAGE_READY)
                return result;
        r = layout_remove(b);
        if (r == 0)
                r = claims_publish(b);
        return r < 0 ? image_fail(b->fetch->err, r, "keeping the image's layers") : IMAGE_READY;
}

/* What is there counts, too. */
static uint64_t bytes_there(const struct bringing *b)
{
        uint64_t sum = 0, bytes, unused;

        for (size_t i = 0; i < b->configuration->layer_count; i++) {
                AUTO(fd_close)
                int fd = openat(b->fetch->disk->layers_fd, b->configuration->diff_ids[i],
                                OPEN_FOLDER);
                if (fd < 0)
                        continue;
                disk_sizes_read(fd, &bytes, &unused);
                sum += bytes;
        }
        return sum;
}

enum image_result layers_bring(struct fetch *fetch, const struct configuration *configuration,
                               uint64_t *bytes)
{
        AUTO(bringing_free) struct bringing *b = calloc(1, sizeof(*b));
        const struct images_options *options = &fetch->disk->options;
        enum image_result result = IMAGE_READY;

        if (!b)
                return image_fail(fetch->err, -ENOMEM, "pulling the image");
        b->blobs_fd = b->layout_fd = -1;
        b->fetch = fetch;
        b->configuration = configuration;
        b->budget = (struct layer_budget){.bytes_max = options->image_bytes_max,
                                          .bytes_left = options->image_bytes_max,
                                          .entries_max = options->image_entries_max,
                                          .entries_left = options->image_entries_max};
        while (result == IMAGE_READY && claim_missing(b)) {
                if (b->claim_count > 0) {
                        result = claims_bring(b);
                        claims_release(b);
                } else {
                        result = wait_for_others(b);
                }
        }
        *bytes += bytes_there(b);
        return result;
}
