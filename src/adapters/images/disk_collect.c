/* Removing images and layers; see images_disk.h.
 *
 * Who is removed loses his name first, under the lock, where it is seen that nobody has him just now;
 * the files go afterwards, which may take its time. */
#include "adapters/images/disk_parts.h"

#include "adapters/archive/tree.h"
#include "adapters/images/document.h"
#include "base/auto.h"
#include "base/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct candidate {
        char digest[NAME_SIZE];
        int64_t used_ms; /* Unix time */
        uint64_t bytes;  /* of its own, and of layers that only it has: what its removal brings */
};

struct collection {
        struct images_disk *disk;
        uint64_t began_ms;
        size_t candidate_count, diff_id_count, diff_id_capacity;
        struct candidate *candidates;
        char (*diff_ids)[NAME_SIZE]; /* of all images that stay, sorted */
};

/* Every well-formed name in a folder. 0 or a negative errno. */
static int each_name(int folder_fd, void (*visit)(const char *name, void *context), void *context)
{
        int fd = openat(folder_fd, ".", OPEN_FOLDER);
        AUTO(directory_close) DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!folder) {
                int r = -errno;
                fd_close(&fd);
                return r;
        }
        while ((entry = readdir(folder)))
                if (strlen(entry->d_name) == DIGEST_LENGTH &&
                    hex_is_valid(entry->d_name, DIGEST_LENGTH))
                        visit(entry->d_name, context);
        return 0;
}

int disk_each(struct images *images, void (*visit)(const char *digest, void *context),
              void *context)
{
        return each_name(disk_of(images)->images_fd, visit, context);
}

static int64_t used_ms(const struct images_disk *disk, const char *digest)
{
        struct stat status;

        if (fstatat(disk->images_fd, digest, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return INT64_MAX;
        return status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

/* Takes the name away, under the lock. False where it must stay. */
static bool unname(struct images_disk *disk, int folder_fd, const char *name,
                   char ret_rubbish[NAME_SIZE])
{
        return disk_random_name(ret_rubbish) == 0 &&
               renameat(folder_fd, name, disk->pulls_fd, ret_rubbish) == 0;
}

/* Images ------------------------------------------------------------------------------------------- */

/* With the lock held. */
static bool image_is_busy(struct collection *self, const char *digest)
{
        const struct image_lease *lease;
        const struct pull *pull;

        LIST_FOR_EACH (lease, &self->disk->leases, link)
                if (strcmp(lease->digest, digest) == 0)
                        return true;
        LIST_FOR_EACH (pull, &self->disk->pulls, link)
                if (strcmp(pull->digest, digest) == 0)
                        return true;
        return used_ms(self->disk, digest) >= (int64_t)self->began_ms;
}

static void image_remove(struct collection *self, const char *digest)
{
        struct images_disk *disk = self->disk;
        char rubbish[NAME_SIZE];
        bool removed;

        pthread_mutex_lock(&disk->lock);
        removed = !image_is_busy(self, digest) && unname(disk, disk->images_fd, digest, rubbish);
        pthread_mutex_unlock(&disk->lock);
        if (removed)
                (void)tree_remove(disk->pulls_fd, rubbish);
}

static int compare_candidates(const void *left, const void *right)
{
        const struct candidate *a = left, *b = right;

        return a->used_ms < b->used_ms ? -1 : a->used_ms > b->used_ms;
}

/* The bytes of its own folders, and of its layers: what several unused images share is counted for
 * each, so that rather more goes than must. */
static uint64_t image_bytes(const struct images_disk *disk, const char *digest)
{
        AUTO(fd_close) int fd = openat(disk->images_fd, digest, OPEN_FOLDER);
        uint64_t layers = 0, folders = 0;

        if (fd >= 0)
                disk_sizes_read(fd, &layers, &folders);
        return layers + folders;
}

/* The least recently used goes first. */
static void collect_images(struct collection *self)
{
        const struct images_options *options = &self->disk->options;
        uint64_t bytes = 0;

        if (self->candidate_count > 0)
                qsort(self->candidates, self->candidate_count, sizeof(*self->candidates),
                      compare_candidates);
        for (size_t i = 0; i < self->candidate_count; i++)
                bytes += self->candidates[i].bytes;
        for (size_t i = 0; i < self->candidate_count; i++) {
                const struct candidate *candidate = &self->candidates[i];
                int64_t idle_ms = (int64_t)self->began_ms - candidate->used_ms;
                if (idle_ms < (int64_t)options->unused_keep_ms && bytes <= options->disk_bytes_max)
                        break;
                image_remove(self, candidate->digest);
                bytes -= candidate->bytes;
        }
}

/* Layers ------------------------------------------------------------------------------------------- */

static bool add_diff_id(struct collection *self, const char *diff_id)
{
        if (self->diff_id_count == self->diff_id_capacity) {
                size_t capacity = self->diff_id_capacity ? 2 * self->diff_id_capacity : 64;
                char(*grown)[NAME_SIZE] =
                        reallocarray(self->diff_ids, capacity, sizeof(*self->diff_ids));
                if (!grown)
                        return false;
                self->diff_ids = grown;
                self->diff_id_capacity = capacity;
        }
        memcpy(self->diff_ids[self->diff_id_count++], diff_id, NAME_SIZE);
        return true;
}

struct reading {
        struct collection *collection;
        bool failed;
};

static void add_layers_of(const char *digest, void *context)
{
        struct reading *reading = context;
        AUTO(configuration_deinit) struct configuration configuration = {0};
        AUTO(buffer_deinit) struct buffer text;
        AUTO(fd_close)
        int folder = openat(reading->collection->disk->images_fd, digest, OPEN_FOLDER);

        buffer_init(&text, DOCUMENT_MAX);
        if (folder < 0 || disk_file_read(folder, "configuration.json", &text) < 0 ||
            configuration_parse(buffer_slice(&text), &configuration, NULL) < 0) {
                reading->failed = true;
                return;
        }
        for (size_t i = 0; i < configuration.layer_count; i++)
                if (!add_diff_id(reading->collection, configuration.diff_ids[i]))
                        reading->failed = true;
}

static int compare_names(const void *left, const void *right)
{
        return strcmp(left, right);
}

/* With the lock held. */
static bool pull_needs(const struct images_disk *disk, const char *diff_id)
{
        const struct pull *pull;

        LIST_FOR_EACH (pull, &disk->pulls, link)
                for (size_t i = 0; i < pull->layer_count; i++)
                        if (strcmp(pull->diff_ids[i], diff_id) == 0)
                                return true;
        return false;
}

struct sweep {
        struct collection *collection;
        uint64_t generation; /* images that came later have not been read */
};

static void sweep_layer(const char *diff_id, void *context)
{
        const struct sweep *sweep = context;
        const struct collection *self = sweep->collection;
        struct images_disk *disk = self->disk;
        char rubbish[NAME_SIZE];
        bool removed;

        if (self->diff_id_count > 0 && bsearch(diff_id, self->diff_ids, self->diff_id_count,
                                               sizeof(*self->diff_ids), compare_names))
                return;
        pthread_mutex_lock(&disk->lock);
        removed = disk->generation == sweep->generation && !pull_needs(disk, diff_id) &&
                  unname(disk, disk->layers_fd, diff_id, rubbish);
        pthread_mutex_unlock(&disk->lock);
        if (removed)
                (void)tree_remove(disk->pulls_fd, rubbish);
}

static void collect_layers(struct collection *self)
{
        struct reading reading = {.collection = self};
        struct sweep sweep = {.collection = self};

        pthread_mutex_lock(&self->disk->lock);
        sweep.generation = self->disk->generation;
        pthread_mutex_unlock(&self->disk->lock);
        /* Where not all is known, nothing goes. */
        if (each_name(self->disk->images_fd, add_layers_of, &reading) < 0 || reading.failed)
                return;
        if (self->diff_id_count > 0)
                qsort(self->diff_ids, self->diff_id_count, sizeof(*self->diff_ids), compare_names);
        (void)each_name(self->disk->layers_fd, sweep_layer, &sweep);
}

void disk_collect(struct images *images, const struct image_use *uses, size_t count,
                  uint64_t began_ms)
{
        struct images_disk *disk = disk_of(images);
        struct collection self = {.disk = disk, .began_ms = began_ms};

        self.candidates = calloc(count ? count : 1, sizeof(*self.candidates));
        for (size_t i = 0; i < count && self.candidates; i++) {
                struct candidate *candidate = &self.candidates[self.candidate_count];
                if (uses[i].is_used) {
                        (void)utimensat(disk->images_fd, uses[i].digest, NULL, AT_SYMLINK_NOFOLLOW);
                        continue;
                }
                memcpy(candidate->digest, uses[i].digest, NAME_SIZE);
                candidate->used_ms = used_ms(disk, candidate->digest);
                candidate->bytes = image_bytes(disk, candidate->digest);
                self.candidate_count++;
        }
        collect_images(&self);
        collect_layers(&self);
        free(self.candidates);
        free(self.diff_ids);
}
