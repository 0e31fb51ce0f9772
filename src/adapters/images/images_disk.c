/* Fetching images; see images_disk.h. What they consist of is disk_pull.c's, removing them
 * disk_collect.c's. */
#include "adapters/images/images_disk.h"

#include "adapters/archive/tree.h"
#include "adapters/images/description.h"
#include "adapters/images/digest.h"
#include "adapters/images/disk_parts.h"
#include "adapters/images/document.h"
#include "adapters/images/registries.h"
#include "base/auto.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Leases -------------------------------------------------------------------------------------------- */

static int touch(const struct images_disk *disk, const char *digest)
{
        return utimensat(disk->images_fd, digest, NULL, AT_SYMLINK_NOFOLLOW);
}

static bool image_exists(const struct images_disk *disk, const char *digest)
{
        return faccessat(disk->images_fd, digest, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* With the lock held. NULL without memory. */
static struct image_lease *lease_new(struct images_disk *disk, const char *digest)
{
        struct image_lease *lease = calloc(1, sizeof(*lease));

        if (!lease)
                return NULL;
        memcpy(lease->digest, digest, sizeof(lease->digest));
        list_push_back(&disk->leases, &lease->link);
        return lease;
}

static void disk_release(struct images *images, struct image_lease *lease)
{
        struct images_disk *disk = disk_of(images);

        if (!lease)
                return;
        pthread_mutex_lock(&disk->lock);
        list_remove(&lease->link);
        (void)touch(disk, lease->digest); /* whoever began to collect before does not take it */
        pthread_mutex_unlock(&disk->lock);
        free(lease);
}

/* Describing --------------------------------------------------------------------------------------- */

static int configuration_read(const struct images_disk *disk, const char *digest,
                              struct configuration *ret_configuration, uint64_t *ret_bytes,
                              struct err *err)
{
        AUTO(fd_close) int folder = openat(disk->images_fd, digest, OPEN_FOLDER);
        AUTO(buffer_deinit) struct buffer text;
        uint64_t folders;
        int r;

        buffer_init(&text, DOCUMENT_MAX);
        r = folder < 0 ? -errno : disk_file_read(folder, "configuration.json", &text);
        if (r < 0)
                return err_errno(err, r, "reading the image %s", digest);
        disk_sizes_read(folder, ret_bytes, &folders);
        return configuration_parse(buffer_slice(&text), ret_configuration, err);
}

/* What lies on the disk was whole when it got its name. */
static enum image_result describe(struct images_disk *disk, const char *digest,
                                  struct image_found *found, struct err *err)
{
        AUTO(configuration_deinit) struct configuration configuration = {0};
        AUTO(fd_close) int root = disk_folder_open(disk->images_fd, digest, "root");
        int r = root < 0 ? err_errno(err, root, "opening the image %s", digest)
                         : configuration_read(disk, digest, &configuration, &found->bytes, err);

        if (r < 0)
                return image_result_of_errno(r);
        memcpy(found->digest, digest, sizeof(found->digest));
        found->contract = configuration_contract(&configuration);
        found->port = configuration_port(&configuration);
        return description_make(&configuration, root, &found->image, err);
}

static int disk_guess(struct images *images, const char *digest, enum contract *ret_contract,
                      uint32_t *ret_port)
{
        AUTO(configuration_deinit) struct configuration configuration = {0};
        uint64_t bytes;
        int r;

        if (strlen(digest) != DIGEST_LENGTH)
                return -EINVAL;
        r = configuration_read(disk_of(images), digest, &configuration, &bytes, NULL);
        if (r < 0)
                return r;
        *ret_contract = configuration_contract(&configuration);
        *ret_port = configuration_port(&configuration);
        return 0;
}

/* Resolving ---------------------------------------------------------------------------------------- */

/* Reads the manifest at `location`; its digest must be `wanted`, unless that is "". */
static enum image_result manifest_fetch(struct fetch *fetch, const char *location,
                                        const char *wanted)
{
        struct skopeo skopeo = fetch_skopeo(fetch);
        enum image_result result;
        int r;

        buffer_clear(&fetch->manifest_text);
        result = skopeo_inspect(&skopeo, location, false, &fetch->manifest_text, fetch->err);
        if (result != IMAGE_READY)
                return result;
        if (digest_of(buffer_slice(&fetch->manifest_text), fetch->digest) < 0)
                return image_fail(fetch->err, -ENOMEM, "checking the image's manifest");
        if (wanted[0] != '\0' && strcmp(fetch->digest, wanted) != 0)
                return image_corrupt(
                        fetch->err,
                        "the image's manifest is not what was asked for: its digest is "
                        "%s, not %s",
                        fetch->digest, wanted);
        image_manifest_deinit(&fetch->manifest);
        r = image_manifest_parse(buffer_slice(&fetch->manifest_text), &fetch->manifest, fetch->err);
        if (r < 0)
                return r == -ENOMEM ? IMAGE_FAILED : IMAGE_REFUSED;
        return IMAGE_READY;
}

static enum image_result resolve(struct fetch *fetch)
{
        char location[IMAGE_LOCATION_SIZE], wanted[NAME_SIZE];
        const struct manifest_entry *entry;
        enum image_result result;

        image_reference_locate(&fetch->reference, NULL, location);
        result = manifest_fetch(fetch, location, fetch->reference.digest);
        if (result != IMAGE_READY || !fetch->manifest.is_index)
                return result;
        entry = image_manifest_choose(&fetch->manifest, fetch->err);
        if (!entry)
                return IMAGE_OTHER_PLATFORM;
        memcpy(wanted, entry->manifest.digest, sizeof(wanted));
        image_reference_locate(&fetch->reference, wanted, location);
        result = manifest_fetch(fetch, location, wanted);
        if (result == IMAGE_READY && fetch->manifest.is_index)
                return image_refuse(fetch->err, "the image's index names an index again");
        return result;
}

/* Pulling ------------------------------------------------------------------------------------------ */

/* With the lock held. */
static struct pull *pull_find(struct images_disk *disk, const char *digest)
{
        struct pull *pull;

        LIST_FOR_EACH (pull, &disk->pulls, link)
                if (strcmp(pull->digest, digest) == 0)
                        return pull;
        return NULL;
}

/* With the lock held. */
static void pull_leave(struct fetch *fetch)
{
        struct pull *pull = fetch->pull;

        fetch->pull = NULL;
        if (--pull->users > 0)
                return;
        free(pull->layers);
        free(pull->diff_ids);
        free(pull);
}

/* With the lock held, which is given up meanwhile. */
static enum image_result pull_lead(struct fetch *fetch)
{
        struct images_disk *disk = fetch->disk;
        struct pull *pull = calloc(1, sizeof(*pull));
        enum image_result result;

        if (!pull)
                return image_fail(fetch->err, -ENOMEM, "pulling the image");
        pull->users = 1;
        pull->state = PULL_PULLING;
        memcpy(pull->digest, fetch->digest, sizeof(pull->digest));
        memcpy(pull->registry, fetch->reference.registry, sizeof(pull->registry));
        (void)snprintf(pull->owner_id, sizeof(pull->owner_id), "%s", fetch->request->owner_id);
        list_push_back(&disk->pulls, &pull->link);
        fetch->pull = pull;
        pthread_mutex_unlock(&disk->lock);
        result = pull_run(fetch);
        pthread_mutex_lock(&disk->lock);
        pull->ended = true;
        pull->result = result;
        if (result != IMAGE_READY)
                pull->err = *fetch->err;
        disk->generation++;
        list_remove(&pull->link);
        pthread_cond_broadcast(&disk->changed);
        pull_leave(fetch);
        return result;
}

static void patience_renew(struct fetch *fetch)
{
        fetch->patience.deadline_ns =
                clock_now_ns() + fetch->disk->options.pull_timeout_ms * NS_PER_MS;
}

/* Would we have failed as it did? An image of the same digest may be anybody's, and come from a registry that
 * fails whenever its owner likes. */
static bool pull_is_as_ours(const struct pull *pull, const struct fetch *fetch)
{
        return strcmp(pull->registry, fetch->reference.registry) == 0 &&
               strcmp(pull->owner_id, fetch->request->owner_id) == 0;
}

/* With the lock held, which is given up meanwhile: somebody else pulls what we want. Where that has failed,
 * and need not mean us, we are told READY, and try it ourselves. */
static enum image_result pull_follow(struct fetch *fetch, struct pull *pull)
{
        struct images_disk *disk = fetch->disk;
        enum image_result result = IMAGE_READY;

        pull->users++;
        fetch->pull = pull;
        while (!pull->ended && result == IMAGE_READY) {
                struct timespec until;
                (void)clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_sec++; /* stop() broadcasts; the deadline does not */
                (void)pthread_cond_timedwait(&disk->changed, &disk->lock, &until);
                result = patience_check(&fetch->patience, fetch->err);
        }
        if (pull->ended && pull->result != IMAGE_READY) {
                if (pull_is_as_ours(pull, fetch)) {
                        result = pull->result;
                        *fetch->err = pull->err;
                } else if (result == IMAGE_READY) {
                        patience_renew(fetch);
                }
        }
        pull_leave(fetch);
        return result;
}

/* Until the image is there, and leased. */
static enum image_result obtain(struct fetch *fetch, struct image_lease **ret_lease)
{
        struct images_disk *disk = fetch->disk;
        enum image_result result = IMAGE_READY;
        struct image_lease *lease = NULL;

        pthread_mutex_lock(&disk->lock);
        while (!lease && result == IMAGE_READY) {
                struct pull *pull = pull_find(disk, fetch->digest);
                if (pull) {
                        result = pull_follow(fetch, pull);
                } else if (!image_exists(disk, fetch->digest)) {
                        result = pull_lead(fetch);
                } else {
                        lease = lease_new(disk, fetch->digest);
                        if (!lease)
                                result = image_fail(fetch->err, -ENOMEM, "pulling the image");
                }
        }
        pthread_mutex_unlock(&disk->lock);
        if (lease)
                *ret_lease = lease;
        return result;
}

/* Fetching ----------------------------------------------------------------------------------------- */

/* A folder of its own for what is on its way, and the credentials in it. */
static enum image_result folder_begin(struct fetch *fetch)
{
        const struct image_request *request = fetch->request;
        char name[NAME_SIZE];
        int r = disk_random_name(name);

        if (r == 0)
                r = disk_folder_make(fetch->disk->pulls_fd, name, &fetch->folder_fd);
        if (r == 0)
                memcpy(fetch->folder, name, sizeof(name));
        if (r == 0 && asprintf(&fetch->folder_path, "%s/%s", fetch->disk->pulls_path, name) < 0) {
                fetch->folder_path = NULL;
                r = -ENOMEM;
        }
        if (r == 0)
                r = skopeo_write_credentials(fetch->folder_fd, fetch->reference.registry,
                                             request->user, request->password);
        return r < 0 ? image_fail(fetch->err, r, "making a folder to pull to") : IMAGE_READY;
}

static void fetch_begin(struct fetch *fetch, struct images_disk *disk,
                        const struct image_request *request, struct err *err)
{
        *fetch = (struct fetch){.disk = disk, .request = request, .folder_fd = -1, .err = err};
        fetch->patience.stopping = &disk->stopping;
        patience_renew(fetch);
        buffer_init(&fetch->manifest_text, DOCUMENT_MAX);
        pthread_mutex_lock(&disk->lock);
        list_push_back(&disk->fetches, &fetch->link);
        pthread_mutex_unlock(&disk->lock);
}

static void fetch_end(struct fetch *fetch)
{
        pthread_mutex_lock(&fetch->disk->lock);
        list_remove(&fetch->link);
        pthread_mutex_unlock(&fetch->disk->lock);
        fd_close(&fetch->folder_fd);
        if (fetch->folder[0] != '\0')
                (void)tree_remove(fetch->disk->pulls_fd, fetch->folder);
        free(fetch->folder_path);
        buffer_deinit(&fetch->manifest_text);
        image_manifest_deinit(&fetch->manifest);
}

static enum image_result fetch_image(struct fetch *fetch, struct image_found *ret_found)
{
        struct image_found found = {0};
        enum image_result result = IMAGE_READY;
        bool is_there = false;

        /* Who knows the digest of an image that is here needs no registry. */
        if (fetch->reference.digest[0] != '\0') {
                memcpy(fetch->digest, fetch->reference.digest, sizeof(fetch->digest));
                pthread_mutex_lock(&fetch->disk->lock);
                is_there = image_exists(fetch->disk, fetch->digest);
                pthread_mutex_unlock(&fetch->disk->lock);
        }
        if (!is_there) {
                result = registries_check(&fetch->disk->options, fetch->reference.registry,
                                          fetch->err);
                if (result == IMAGE_READY)
                        result = folder_begin(fetch);
                if (result == IMAGE_READY)
                        result = resolve(fetch);
        }
        if (result == IMAGE_READY)
                result = obtain(fetch, &found.lease);
        if (result == IMAGE_READY)
                result = describe(fetch->disk, fetch->digest, &found, fetch->err);
        if (result == IMAGE_READY)
                *ret_found = found;
        else
                disk_release(&fetch->disk->images, found.lease);
        return result;
}

static enum image_result disk_fetch(struct images *images, const struct image_request *request,
                                    struct image_found *ret_found, struct err *err)
{
        struct images_disk *disk = disk_of(images);
        struct image_reference reference;
        enum image_result result;
        struct fetch fetch;
        struct err own;

        if (image_reference_parse(slice_of(request->reference), &reference, err) < 0)
                return IMAGE_NOT_A_REFERENCE;
        fetch_begin(&fetch, disk, request, err ? err : &own);
        fetch.reference = reference;
        result = patience_check(&fetch.patience, fetch.err);
        if (result == IMAGE_READY)
                result = fetch_image(&fetch, ret_found);
        fetch_end(&fetch);
        return result;
}

static void disk_each_pull(struct images *images, const char *owner_id,
                           void (*visit)(const struct pull_progress *pull, void *context),
                           void *context)
{
        struct images_disk *disk = disk_of(images);
        const struct fetch *fetch;

        pthread_mutex_lock(&disk->lock);
        LIST_FOR_EACH (fetch, &disk->fetches, link) {
                const struct pull *pull = fetch->pull;
                const struct pull_progress progress = {
                        .reference = fetch->request->reference,
                        .digest = pull ? pull->digest : "",
                        .state = pull ? pull->state : PULL_RESOLVING,
                        .layer_count = pull ? pull->layer_count : 0,
                        .layers = pull ? pull->layers : NULL,
                };
                if (strcmp(fetch->request->owner_id, owner_id) == 0)
                        visit(&progress, context);
        }
        pthread_mutex_unlock(&disk->lock);
}

static void disk_stop(struct images *images)
{
        struct images_disk *disk = disk_of(images);

        atomic_store(&disk->stopping, true);
        pthread_mutex_lock(&disk->lock);
        pthread_cond_broadcast(&disk->changed);
        pthread_mutex_unlock(&disk->lock);
}

/* Opening ------------------------------------------------------------------------------------------ */

static const struct images_ops disk_ops = {
        .fetch = disk_fetch,
        .release = disk_release,
        .guess = disk_guess,
        .each_pull = disk_each_pull,
        .each = disk_each,
        .collect = disk_collect,
        .stop = disk_stop,
};

static int open_folder(int data_fd, const char *name, int *ret_fd)
{
        int r = disk_folder_make(data_fd, name, ret_fd);

        if (r != -EEXIST)
                return r;
        *ret_fd = openat(data_fd, name, OPEN_FOLDER);
        return *ret_fd < 0 || fchmod(*ret_fd, 0755) < 0 ? -errno : 0;
}

static int open_folders(struct images_disk *disk, const char *data_dir, struct err *err)
{
        const struct {
                const char *name;
                int *ret_fd;
        } folders[] = {{"images", &disk->images_fd},
                       {"layers", &disk->layers_fd},
                       {"pulls", &disk->pulls_fd}};
        AUTO(fd_close) int data_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (data_fd < 0)
                return err_errno(err, -errno, "opening %s", data_dir);
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
                r = open_folder(data_fd, folders[i].name, folders[i].ret_fd);
                if (r < 0)
                        return err_errno(err, r, "opening %s/%s", data_dir, folders[i].name);
        }
        /* What a process that is gone was pulling. */
        r = tree_empty(data_fd, "pulls");
        if (r < 0)
                return err_errno(err, r, "emptying %s/pulls", data_dir);
        /* The folders' own names must outlive a power cut, too. */
        return fsync(data_fd) < 0 ? err_errno(err, -errno, "writing %s", data_dir) : 0;
}

static void init_lock(struct images_disk *disk)
{
        pthread_condattr_t attributes;

        pthread_mutex_init(&disk->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&disk->changed, &attributes);
        pthread_condattr_destroy(&attributes);
}

int images_disk_open(const char *data_dir, const struct images_options *options,
                     struct images **ret_images, struct err *err)
{
        struct images_disk *disk = calloc(1, sizeof(*disk));
        int r;

        if (!disk)
                return err_errno(err, -ENOMEM, "opening %s", data_dir);
        disk->images.ops = &disk_ops;
        disk->options = *options;
        disk->images_fd = disk->layers_fd = disk->pulls_fd = -1;
        init_lock(disk);
        list_init(&disk->fetches);
        list_init(&disk->pulls);
        list_init(&disk->claims);
        list_init(&disk->leases);
        r = open_folders(disk, data_dir, err);
        if (r == 0 && asprintf(&disk->pulls_path, "%s/pulls", data_dir) < 0) {
                disk->pulls_path = NULL;
                r = err_errno(err, -ENOMEM, "opening %s", data_dir);
        }
        if (r == 0) {
                disk->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
                if (disk->utf8 == (locale_t)0)
                        r = err_errno(err, -errno, "opening the locale C.UTF-8");
        }
        if (r < 0) {
                images_disk_close(&disk->images);
                return r;
        }
        *ret_images = &disk->images;
        return 0;
}

void images_disk_close(struct images *images)
{
        if (!images)
                return;
        struct images_disk *disk = disk_of(images);
        if (disk->utf8 != (locale_t)0)
                freelocale(disk->utf8);
        fd_close(&disk->images_fd);
        fd_close(&disk->layers_fd);
        fd_close(&disk->pulls_fd);
        pthread_cond_destroy(&disk->changed);
        pthread_mutex_destroy(&disk->lock);
        free(disk->pulls_path);
        free(disk);
}
