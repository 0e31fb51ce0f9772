/* Staging, keeping, merging and collecting bundles; see bundles_archive.h. */
#include "adapters/archive/bundles_archive.h"

#include "adapters/archive/entry.h"
#include "adapters/archive/merge.h"
#include "base/auto.h"
#include "base/hash.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define NAME_SIZE (DIGEST_LENGTH + 1)

struct bundles_archive {
        struct bundles bundles;
        struct bundle_limits limits;
        int code_fd, staging_fd;
        locale_t utf8;             /* what libarchive converts names to */
        pthread_mutex_t keep_lock; /* keeping a bundle anew, or removing it: not both */
};

static struct bundles_archive *self_of(struct bundles *bundles)
{
        return CONTAINER_OF(bundles, struct bundles_archive, bundles);
}

static int random_name(char ret_name[NAME_SIZE])
{
        unsigned char chance[DIGEST_LENGTH / 2];

        if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
                return -errno;
        hex_encode(chance, sizeof(chance), ret_name);
        return 0;
}

/* A new folder below staging/, open. */
static int staging_make(struct bundles_archive *self, char ret_name[NAME_SIZE], int *ret_fd)
{
        AUTO(fd_close) int fd = -1;
        char name[NAME_SIZE];
        int r = random_name(name);

        if (r < 0)
                return r;
        if (mkdirat(self->staging_fd, name, 0755) < 0)
                return -errno;
        fd = openat(self->staging_fd, name, OPEN_FOLDER);
        if (fd < 0 || fchmod(fd, 0755) < 0) {
                r = -errno;
                (void)tree_remove(self->staging_fd, name);
                return r;
        }
        memcpy(ret_name, name, sizeof(name));
        *ret_fd = fd_steal(&fd);
        return 0;
}

/* Into a new folder below staging/, which on failure is gone again. */
static enum stage_result unpack_to_staging(struct bundles_archive *self, struct slice code,
                                           const char *file_name, char ret_staging[NAME_SIZE],
                                           int *ret_fd, struct err *err)
{
        AUTO(fd_close) int root_fd = -1;
        char staging[NAME_SIZE];
        enum stage_result result;
        locale_t before;
        int r = staging_make(self, staging, &root_fd);

        if (r < 0)
                return bundle_fail(err, r, "making a folder to unpack to");
        before = uselocale(self->utf8);
        result = bundle_unpack(root_fd, code, file_name, &self->limits, err);
        (void)uselocale(before);
        if (result != STAGE_DONE) {
                (void)tree_remove(self->staging_fd, staging);
                return result;
        }
        memcpy(ret_staging, staging, sizeof(staging));
        *ret_fd = fd_steal(&root_fd);
        return STAGE_DONE;
}

static enum stage_result bundles_stage(struct bundles *bundles, struct slice code,
                                       struct function *function, char ret_staging[NAME_SIZE],
                                       struct err *err)
{
        struct bundles_archive *self = self_of(bundles);
        char staging[NAME_SIZE], file_name[HANDLER_MAX_LENGTH + 8];
        AUTO(fd_close) int root_fd = -1;
        enum stage_result result;

        entry_file_name(function, code, file_name);
        result = unpack_to_staging(self, code, file_name, staging, &root_fd, err);
        if (result != STAGE_DONE)
                return result;
        result = entry_choose(root_fd, function, err);
        if (result == STAGE_DONE)
                memcpy(ret_staging, staging, sizeof(staging));
        else
                (void)tree_remove(self->staging_fd, staging);
        return result;
}

static enum stage_result bundles_stage_layer(struct bundles *bundles, struct slice code,
                                             char ret_staging[NAME_SIZE], struct err *err)
{
        AUTO(fd_close) int root_fd = -1;

        return unpack_to_staging(self_of(bundles), code, NULL, ret_staging, &root_fd, err);
}

static void bundles_discard(struct bundles *bundles, const char *staging)
{
        if (strlen(staging) == DIGEST_LENGTH && hex_is_valid(staging, DIGEST_LENGTH))
                (void)tree_remove(self_of(bundles)->staging_fd, staging);
}

/* Moves the folder, or where its content is kept already, says that it was kept anew. The content
 * is on the disk before it gets its name. */
static int keep_as(struct bundles_archive *self, const char *staging, const char *digest)
{
        bool moved;
        int r = 0;

        pthread_mutex_lock(&self->keep_lock);
        moved = renameat2(self->staging_fd, staging, self->code_fd, digest, RENAME_NOREPLACE) == 0;
        if (!moved && errno != EEXIST)
                r = -errno;
        if (r == 0 && (utimensat(self->code_fd, digest, NULL, AT_SYMLINK_NOFOLLOW) < 0 ||
                       fsync(self->code_fd) < 0))
                r = -errno;
        if (r < 0 && moved)
                (void)renameat(self->code_fd, digest, self->staging_fd, staging);
        pthread_mutex_unlock(&self->keep_lock);
        if (r == 0 && !moved)
                (void)tree_remove(self->staging_fd, staging);
        return r;
}

/* By its content, which has a digest and a size then. */
static int keep_content(struct bundles_archive *self, const char *staging,
                        char ret_digest[NAME_SIZE], uint64_t *ret_bytes, struct err *err)
{
        AUTO(fd_close) int root_fd = openat(self->staging_fd, staging, OPEN_FOLDER);
        char digest[NAME_SIZE];
        uint64_t bytes;
        int r;

        if (root_fd < 0)
                return err_errno(err, -errno, "opening the staged bundle %s", staging);
        r = content_digest(root_fd, digest, &bytes, err);
        if (r < 0)
                return r;
        /* One commit for all files, where an fsync a file would be one each. */
        if (syncfs(root_fd) < 0)
                return err_errno(err, -errno, "writing the bundle to the disk");
        r = keep_as(self, staging, digest);
        if (r < 0)
                return err_errno(err, r, "keeping the bundle %s", digest);
        memcpy(ret_digest, digest, sizeof(digest));
        *ret_bytes = bytes;
        return 0;
}

static int bundles_keep(struct bundles *bundles, const char *staging, struct function *function,
                        struct err *err)
{
        return keep_content(self_of(bundles), staging, function->code_digest, &function->code_bytes,
                            err);
}

static int bundles_keep_layer(struct bundles *bundles, const char *staging, struct layer *layer,
                              struct err *err)
{
        return keep_content(self_of(bundles), staging, layer->digest, &layer->bytes, err);
}

/* Says that what is there was kept anew, so that nobody collects it for a while. */
static int keep_anew(struct bundles_archive *self, const char *digest)
{
        int r;

        pthread_mutex_lock(&self->keep_lock);
        r = utimensat(self->code_fd, digest, NULL, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        pthread_mutex_unlock(&self->keep_lock);
        return r;
}

static enum stage_result merge_layers(struct bundles_archive *self, size_t count,
                                      const char *const *digests, int root_fd, struct err *err)
{
        struct merging merging = {.root_fd = root_fd, .limits = &self->limits};
        enum stage_result result = STAGE_DONE;

        for (size_t i = 0; result == STAGE_DONE && i < count; i++) {
                AUTO(fd_close) int layer_fd = openat(self->code_fd, digests[i], OPEN_FOLDER);
                if (layer_fd < 0)
                        return bundle_fail(err, -errno, "opening the layer %s", digests[i]);
                result = merge_tree(&merging, layer_fd, err);
        }
        if (result == STAGE_DONE && syncfs(root_fd) < 0)
                return bundle_fail(err, -errno, "writing the layers' tree to the disk");
        return result;
}

static enum stage_result merge_as(struct bundles_archive *self, size_t count,
                                  const char *const *digests, const char *digest, struct err *err)
{
        AUTO(fd_close) int root_fd = -1;
        char staging[NAME_SIZE];
        enum stage_result result;
        int r = staging_make(self, staging, &root_fd);

        if (r < 0)
                return bundle_fail(err, r, "making a folder for the layers' tree");
        result = merge_layers(self, count, digests, root_fd, err);
        if (result == STAGE_DONE) {
                r = keep_as(self, staging, digest);
                if (r < 0)
                        result = bundle_fail(err, r, "keeping the layers' tree %s", digest);
        }
        if (result != STAGE_DONE)
                (void)tree_remove(self->staging_fd, staging);
        return result;
}

static enum stage_result bundles_merge(struct bundles *bundles, size_t count,
                                       const char *const *digests, char ret_digest[NAME_SIZE],
                                       struct err *err)
{
        struct bundles_archive *self = self_of(bundles);
        char digest[NAME_SIZE];
        enum stage_result result;
        int r = 0;

        /* From here on they stay until we have what we need of them. */
        for (size_t i = 0; r == 0 && i < count; i++)
                r = keep_anew(self, digests[i]);
        if (r == -ENOENT)
                return bundle_refuse(err, "a layer has been removed meanwhile");
        if (r == 0 && count > 1)
                r = merge_digest(count, digests, digest);
        if (r < 0)
                return bundle_fail(err, r, "putting the layers together");
        if (count == 1)
                memcpy(digest, digests[0], sizeof(digest));
        result = count == 1 || keep_anew(self, digest) == 0
                         ? STAGE_DONE
                         : merge_as(self, count, digests, digest, err);
        if (result == STAGE_DONE)
                memcpy(ret_digest, digest, sizeof(digest));
        return result;
}

static bool is_kept_since(const struct stat *status, uint64_t kept_before_s)
{
        return status->st_mtime >= 0 && (uint64_t)status->st_mtime >= kept_before_s;
}

static int bundles_each(struct bundles *bundles, uint64_t kept_before_s,
                        bool (*visit)(const char *digest, void *context), void *context,
                        struct err *err)
{
        AUTO(fd_close) int fd = openat(self_of(bundles)->code_fd, ".", OPEN_FOLDER);
        AUTO(directory_close) DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;
        struct stat status;
        bool wanted = true;

        if (!folder)
                return err_errno(err, -errno, "listing the bundles");
        (void)fd_steal(&fd);
        while (wanted && (errno = 0, entry = readdir(folder))) {
                if (strlen(entry->d_name) != DIGEST_LENGTH ||
                    !hex_is_valid(entry->d_name, DIGEST_LENGTH) ||
                    fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
                    is_kept_since(&status, kept_before_s))
                        continue;
                wanted = visit(entry->d_name, context);
        }
        return wanted && errno != 0 ? err_errno(err, -errno, "listing the bundles") : 0;
}

/* Out of code/ in one step, so that nobody ever finds half a bundle there. */
static int remove_from_code(struct bundles_archive *self, const char *digest,
                            uint64_t kept_before_s, const char *rubbish)
{
        struct stat status;
        int r = 0;

        pthread_mutex_lock(&self->keep_lock);
        if (fstatat(self->code_fd, digest, &status, AT_SYMLINK_NOFOLLOW) < 0)
                r = -errno;
        if (r == 0 && is_kept_since(&status, kept_before_s))
                r = -EBUSY;
        if (r == 0 && renameat(self->code_fd, digest, self->staging_fd, rubbish) < 0)
                r = -errno;
        pthread_mutex_unlock(&self->keep_lock);
        return r;
}

static int bundles_remove(struct bundles *bundles, const char *digest, uint64_t kept_before_s,
                          struct err *err)
{
        struct bundles_archive *self = self_of(bundles);
        char rubbish[NAME_SIZE];
        int r = random_name(rubbish);

        if (strlen(digest) != DIGEST_LENGTH || !hex_is_valid(digest, DIGEST_LENGTH))
                r = -EINVAL;
        if (r == 0)
                r = remove_from_code(self, digest, kept_before_s, rubbish);
        if (r == 0)
                r = tree_remove(self->staging_fd, rubbish);
        return r < 0 ? err_errno(err, r, "removing the bundle %s", digest) : 0;
}

static const struct bundles_ops bundles_archive_ops = {
        .stage = bundles_stage,
        .keep = bundles_keep,
        .stage_layer = bundles_stage_layer,
        .keep_layer = bundles_keep_layer,
        .merge = bundles_merge,
        .discard = bundles_discard,
        .each = bundles_each,
        .remove = bundles_remove,
};

/* Opens DATA-DIR/name, made where it is missing. */
static int folder_open(int data_fd, const char *name, int *ret_fd)
{
        AUTO(fd_close) int fd = -1;

        if (mkdirat(data_fd, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(data_fd, name, OPEN_FOLDER);
        if (fd < 0 || fchmod(fd, 0755) < 0)
                return -errno;
        *ret_fd = fd_steal(&fd);
        return 0;
}

/* Opens both folders and empties staging/, which itself stays: others may have it open. */
static int folders_open(struct bundles_archive *self, const char *data_dir, struct err *err)
{
        AUTO(fd_close) int data_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (data_fd < 0)
                return err_errno(err, -errno, "opening %s", data_dir);
        r = folder_open(data_fd, "code", &self->code_fd);
        if (r < 0)
                return err_errno(err, r, "opening %s/code", data_dir);
        r = folder_open(data_fd, "staging", &self->staging_fd);
        if (r < 0)
                return err_errno(err, r, "opening %s/staging", data_dir);
        r = tree_empty(data_fd, "staging");
        if (r < 0)
                return err_errno(err, r, "emptying %s/staging", data_dir);
        /* The names of the two folders must outlive a power cut, too. */
        return fsync(data_fd) < 0 ? err_errno(err, -errno, "writing %s", data_dir) : 0;
}

int bundles_archive_open(const char *data_dir, const struct bundle_limits *limits,
                         struct bundles **ret_bundles, struct err *err)
{
        struct bundles_archive *self = calloc(1, sizeof(*self));
        int r;

        if (!self)
                return err_errno(err, -ENOMEM, "opening %s", data_dir);
        self->bundles.ops = &bundles_archive_ops;
        self->limits = *limits;
        self->code_fd = self->staging_fd = -1;
        pthread_mutex_init(&self->keep_lock, NULL);
        r = folders_open(self, data_dir, err);
        if (r == 0) {
                self->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
                if (self->utf8 == (locale_t)0)
                        r = err_errno(err, -errno, "opening the locale C.UTF-8");
        }
        if (r < 0) {
                bundles_archive_close(&self->bundles);
                return r;
        }
        *ret_bundles = &self->bundles;
        return 0;
}

void bundles_archive_close(struct bundles *bundles)
{
        if (!bundles)
                return;
        struct bundles_archive *self = self_of(bundles);
        if (self->utf8 != (locale_t)0)
                freelocale(self->utf8);
        fd_close(&self->code_fd);
        fd_close(&self->staging_fd);
        pthread_mutex_destroy(&self->keep_lock);
        free(self);
}
