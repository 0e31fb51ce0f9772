/* Layers into folders; see layer.h.
 *
 * Nothing the archive says is believed: names go through member.c, bytes and entries are counted while
 * they are written, and everything is made below descriptors that were opened without following
 * links. Of two entries of one name the later one counts, as it does for Docker. */
#include "adapters/images/layer.h"

#include "adapters/archive/member.h"
#include "adapters/archive/tar_walk.h"
#include "adapters/archive/tree.h"
#include "adapters/images/blob.h"
#include "base/auto.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 4096 /* what a folder, or the last bytes of a file, take */
#define QUOTE(string) text_quote(slice_of(string)).text

struct unpacking {
        struct blob blob;
        struct tar_walk walk;
        int root_fd;
        struct layer_budget *budget;
        uint64_t written; /* bytes of files */
        uint64_t disk_bytes;
        struct err *err;
        int place_fd; /* the folder of the latest entry, kept open: most have the same as the next */
        char place[MEMBER_PATH_MAX + 1];
};

static void unpacking_free(struct unpacking **unpacking)
{
        struct unpacking *u = *unpacking;

        if (!u)
                return;
        blob_deinit(&u->blob);
        fd_close(&u->place_fd);
        free(u);
}

static enum image_result count_entries(struct unpacking *u, uint32_t entries)
{
        struct layer_budget *budget = u->budget;

        if (entries > budget->entries_left)
                return image_refuse(u->err, "the image has more than %" PRIu32 " files and folders",
                                    budget->entries_max);
        budget->entries_left -= entries;
        u->disk_bytes += (uint64_t)entries * BLOCK;
        return IMAGE_READY;
}

static enum image_result count_bytes(struct unpacking *u, uint64_t bytes)
{
        char most[24];

        if (__builtin_add_overflow(u->written, bytes, &u->written) ||
            u->written > u->budget->bytes_left) {
                size_format(u->budget->bytes_max, most);
                return image_refuse(u->err, "the image has more than %s when it is unpacked", most);
        }
        return IMAGE_READY;
}

/* Why could `path` not be made? */
static enum image_result explain(const struct unpacking *u, const char *path, int code)
{
        switch (code) {
        case -ENOTDIR:
        case -ELOOP:
                return image_refuse(u->err, "'%s' lies below something that is no folder",
                                    QUOTE(path));
        case -ENAMETOOLONG:
        case -EILSEQ:
        case -EINVAL:
                return image_refuse(u->err,
                                    "'%s' has a name, or leads to one, that this machine "
                                    "cannot have",
                                    QUOTE(path));
        case -EMLINK:
                return image_refuse(u->err, "'%s' has too many hard links", QUOTE(path));
        default:
                return image_fail(u->err, code, "unpacking '%s'", QUOTE(path));
        }
}

static void forget_place(struct unpacking *u)
{
        fd_close(&u->place_fd);
        u->place[0] = '\0';
}

/* Opens, and makes, the folder for `path` (tidy). *ret_fd is borrowed, until the next call. */
static enum image_result open_place(struct unpacking *u, const char *path, int *ret_fd,
                                    const char **ret_name)
{
        const char *slash = strrchr(path, '/');
        size_t length = slash ? (size_t)(slash - path) : 0;
        uint32_t made = 0;
        int r;

        if (u->place_fd < 0 || strncmp(u->place, path, length) != 0 || u->place[length] != '\0') {
                forget_place(u);
                r = tree_open_parent(u->root_fd, path, &made, &u->place_fd, ret_name);
                if (r < 0)
                        return explain(u, path, r);
                memcpy(u->place, path, length);
                u->place[length] = '\0';
        }
        *ret_fd = u->place_fd;
        *ret_name = slash ? slash + 1 : path;
        return count_entries(u, made);
}

/* What was there before goes, with all that is in it. */
static enum image_result make_room(const struct unpacking *u, const char *path, int place_fd,
                                   const char *name)
{
        int r = 0;

        if (unlinkat(place_fd, name, 0) == 0)
                return IMAGE_READY;
        if (errno == EISDIR)
                r = tree_remove(place_fd, name);
        else if (errno != ENOENT)
                r = -errno;
        return r < 0 ? explain(u, path, r) : IMAGE_READY;
}

static enum image_result create_file(struct unpacking *u, const char *path, int *ret_fd)
{
        const char *name;
        int place, flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        enum image_result result = open_place(u, path, &place, &name);

        if (result == IMAGE_READY)
                result = count_entries(u, 1);
        if (result != IMAGE_READY)
                return result;
        *ret_fd = openat(place, name, flags, 0600);
        if (*ret_fd < 0 && errno == EEXIST) {
                result = make_room(u, path, place, name);
                if (result != IMAGE_READY)
                        return result;
                *ret_fd = openat(place, name, flags, 0600);
        }
        return *ret_fd < 0 ? explain(u, path, -errno) : IMAGE_READY;
}

static int write_at(int fd, const char *data, size_t length, off_t offset)
{
        while (length > 0) {
                ssize_t written = pwrite(fd, data, length, offset);
                if (written < 0 && errno != EINTR)
                        return -errno;
                if (written > 0) {
                        data += written;
                        length -= (size_t)written;
                        offset += written;
                }
        }
        return 0;
}

/* The tar is read from the blob, so what went wrong there comes first. */
static enum image_result explain_archive(struct unpacking *u, struct archive *archive)
{
        const char *words = archive_error_string(archive);

        if (u->blob.result != IMAGE_READY)
                return u->blob.result;
        if (archive_errno(archive) == ENOMEM)
                return image_fail(u->err, -ENOMEM, "unpacking a layer");
        return image_corrupt(u->err, "a layer of the image is no tar: %s",
                             QUOTE(words ? words : "it is damaged"));
}

/* Holes stay holes, but are counted by what they seem to hold. */
static enum image_result write_content(struct unpacking *u, struct archive *archive, int fd,
                                       const char *path)
{
        enum image_result result = IMAGE_READY;
        la_int64_t offset, end = 0;
        const void *data;
        size_t length;
        int r;

        while ((r = archive_read_data_block(archive, &data, &length, &offset)) == ARCHIVE_OK) {
                if (offset < end)
                        return image_corrupt(u->err, "'%s' overlaps itself", QUOTE(path));
                result = count_bytes(u, (uint64_t)(offset - end) + length);
                if (result != IMAGE_READY)
                        return result;
                end = offset + (la_int64_t)length;
                u->disk_bytes += length;
                int w = write_at(fd, data, length, offset);
                if (w < 0)
                        return explain(u, path, w);
        }
        if (r != ARCHIVE_EOF)
                return explain_archive(u, archive);
        /* A hole at the end: the last block is empty, and says where. */
        if (offset > end) {
                result = count_bytes(u, (uint64_t)(offset - end));
                end = offset;
        }
        if (result == IMAGE_READY && ftruncate(fd, end) < 0)
                return explain(u, path, -errno);
        return result;
}

/* The time is kept: compiled Python is good for a source of just that time. */
static void keep_time(int fd, struct archive_entry *entry)
{
        const struct timespec times[2] = {
                {.tv_nsec = UTIME_OMIT},
                {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)},
        };

        if (archive_entry_mtime_is_set(entry))
                (void)futimens(fd, times);
}

static enum image_result unpack_file(struct unpacking *u, struct archive *archive,
                                     struct archive_entry *entry, const char *path)
{
        mode_t mode = archive_entry_perm(entry) & 0111 ? 0755 : 0644;
        AUTO(fd_close) int fd = -1;
        enum image_result result = create_file(u, path, &fd);

        if (result == IMAGE_READY)
                result = write_content(u, archive, fd, path);
        if (result != IMAGE_READY)
                return result;
        if (fchmod(fd, mode) < 0)
                return explain(u, path, -errno);
        keep_time(fd, entry);
        return IMAGE_READY;
}

static enum image_result unpack_folder(struct unpacking *u, const char *path)
{
        struct stat status;
        const char *name;
        int place;
        enum image_result result = open_place(u, path, &place, &name);

        if (result == IMAGE_READY)
                result = count_entries(u, 1);
        if (result != IMAGE_READY)
                return result;
        if (mkdirat(place, name, 0755) < 0) {
                if (errno != EEXIST)
                        return explain(u, path, -errno);
                /* A folder may come after what is in it, and more than once. */
                if (fstatat(place, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISDIR(status.st_mode))
                        return IMAGE_READY;
                result = make_room(u, path, place, name);
                if (result != IMAGE_READY)
                        return result;
                if (mkdirat(place, name, 0755) < 0)
                        return explain(u, path, -errno);
        }
        /* Whatever the umask. */
        return fchmodat(place, name, 0755, 0) < 0 ? explain(u, path, -errno) : IMAGE_READY;
}

static enum image_result unpack_link(struct unpacking *u, const char *path, const char *target)
{
        const char *name;
        int place;
        enum image_result result = open_place(u, path, &place, &name);

        if (result == IMAGE_READY)
                result = count_entries(u, 1);
        if (result != IMAGE_READY)
                return result;
        if (target[0] == '\0')
                return image_refuse(u->err, "the link '%s' leads nowhere", QUOTE(path));
        if (symlinkat(target, place, name) == 0)
                return IMAGE_READY;
        if (errno != EEXIST)
                return explain(u, path, -errno);
        result = make_room(u, path, place, name);
        if (result == IMAGE_READY && symlinkat(target, place, name) < 0)
                return explain(u, path, -errno);
        return result;
}

/* A hard link is another name of what the layer has given already. */
static enum image_result unpack_hard_link(struct unpacking *u, const char *path,
                                          const char *raw_target)
{
        AUTO(fd_close) int target_place = -1;
        char target[MEMBER_PATH_MAX + 1];
        const char *name, *target_name;
        struct stat status;
        int place;
        enum image_result result = open_place(u, path, &place, &name);

        if (result == IMAGE_READY)
                result = count_entries(u, 1);
        if (result != IMAGE_READY)
                return result;
        if (member_path_tidy(slice_of(raw_target), target, u->err) < 0)
                return IMAGE_REFUSED;
        if (target[0] == '\0' ||
            tree_open_parent(u->root_fd, target, NULL, &target_place, &target_name) < 0 ||
            fstatat(target_place, target_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !(S_ISREG(status.st_mode) || S_ISLNK(status.st_mode)))
                return image_refuse(u->err,
                                    "the hard link '%s' leads to '%s', which the layer does not "
                                    "have",
                                    QUOTE(path), QUOTE(raw_target));
        if (strcmp(path, target) == 0)
                return IMAGE_READY; /* to itself */
        if (linkat(target_place, target_name, place, name, 0) == 0)
                return IMAGE_READY;
        if (errno != EEXIST)
                return explain(u, path, -errno);
        result = make_room(u, path, place, name);
        if (result != IMAGE_READY || linkat(target_place, target_name, place, name, 0) == 0)
                return result;
        if (errno == ENOENT)
                return image_refuse(u->err,
                                    "the hard link '%s' takes the place of what it leads to",
                                    QUOTE(path));
        return explain(u, path, -errno);
}

/* Of union file systems other than ours there may be more in a layer, which means nothing here. */
static enum image_result unpack_whiteout(struct unpacking *u, const char *path, const char *name)
{
        const char *removed = name + strlen(WHITEOUT_PREFIX);
        AUTO(fd_close) int fd = -1;
        enum image_result result;

        if (strcmp(removed, "") == 0 || strcmp(removed, ".") == 0 || strcmp(removed, "..") == 0)
                return image_refuse(u->err, "'%s' removes what is not in its folder", QUOTE(path));
        if (strncmp(removed, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0 &&
            strcmp(name, WHITEOUT_OPAQUE) != 0)
                return IMAGE_READY;
        result = create_file(u, path, &fd);
        if (result == IMAGE_READY && fchmod(fd, 0644) < 0)
                return explain(u, path, -errno);
        return result;
}

static bool has_prefix(const char *name)
{
        return strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0;
}

/* Nothing can be in what is removed. */
static bool lies_in_whiteout(const char *path)
{
        for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
                if (has_prefix(path))
                        return true;
        return false;
}

static enum image_result unpack_entry(struct unpacking *u, struct archive *archive,
                                      struct archive_entry *entry)
{
        const char *raw = archive_entry_pathname(entry);
        const char *hard_link = archive_entry_hardlink(entry);
        const char *target = archive_entry_symlink(entry), *name;
        char path[MEMBER_PATH_MAX + 1];

        if (!raw)
                return image_refuse(u->err, "a layer of the image holds a name that is no text");
        if (member_path_tidy(slice_of(raw), path, u->err) < 0)
                return IMAGE_REFUSED;
        name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        if (path[0] == '\0' && archive_entry_filetype(entry) == AE_IFDIR)
                return IMAGE_READY; /* "./", as tar has it */
        if (path[0] == '\0')
                return image_refuse(u->err, "a layer of the image holds a file without a name");
        if (lies_in_whiteout(path))
                return image_refuse(u->err, "'%s' lies in something that is removed", QUOTE(path));
        if (has_prefix(name))
                return unpack_whiteout(u, path, name);
        if (hard_link)
                return unpack_hard_link(u, path, hard_link);
        switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
                return unpack_file(u, archive, entry, path);
        case AE_IFDIR:
                return unpack_folder(u, path);
        case AE_IFLNK:
                return unpack_link(u, path, target ? target : "");
        default: /* a device, a pipe, a socket: the sandbox has its own */
                return count_entries(u, 1);
        }
}

/* The bytes of the tar; libarchive's callback. */
static la_ssize_t fill(struct archive *archive, void *context, const void **ret_bytes)
{
        struct unpacking *u = context;
        struct slice bytes;

        if (blob_read(&u->blob, &bytes) == IMAGE_READY && !tar_walk_allows(&u->walk, bytes.length))
                u->blob.result = image_refuse(
                        u->err, "a layer of the image describes a file at too great a length");
        if (u->blob.result != IMAGE_READY) {
                archive_set_error(archive, ECANCELED, "ended by us");
                return -1;
        }
        *ret_bytes = bytes.data;
        return (la_ssize_t)bytes.length;
}

static enum image_result unpack_entries(struct unpacking *u, struct archive *archive)
{
        struct archive_entry *entry;
        enum image_result result = IMAGE_READY;
        int r = ARCHIVE_OK;

        while (result == IMAGE_READY &&
               ((r = tar_walk_next(&u->walk, archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN))
                result = unpack_entry(u, archive, entry);
        if (result == IMAGE_READY && r != ARCHIVE_EOF)
                return explain_archive(u, archive);
        return result;
}

static void archive_close(struct archive **archive)
{
        (void)archive_read_free(*archive);
}

static enum image_result unpack_tar(struct unpacking *u)
{
        AUTO(archive_close) struct archive *archive = archive_read_new();

        if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK ||
            archive_read_support_format_empty(archive) != ARCHIVE_OK)
                return image_fail(u->err, -ENOMEM, "unpacking a layer");
        if (archive_read_open(archive, u, NULL, fill, NULL) != ARCHIVE_OK)
                return explain_archive(u, archive);
        return unpack_entries(u, archive);
}

enum image_result layer_unpack(const struct layer_source *source, int root_fd,
                               const struct patience *patience, struct layer_budget *budget,
                               uint64_t *ret_bytes, struct err *err)
{
        AUTO(unpacking_free) struct unpacking *u = calloc(1, sizeof(*u));
        enum image_result result;

        if (!u)
                return image_fail(err, -ENOMEM, "unpacking a layer");
        u->place_fd = -1;
        u->root_fd = root_fd;
        u->budget = budget;
        u->err = err;
        result = blob_init(&u->blob, source->blob_fd, patience, budget->bytes_left,
                           budget->bytes_max, err);
        if (result == IMAGE_READY)
                result = unpack_tar(u);
        if (result == IMAGE_READY)
                result = blob_verify(&u->blob, source->digest, source->diff_id);
        if (result != IMAGE_READY)
                return result;
        budget->bytes_left -= u->written;
        *ret_bytes = u->disk_bytes;
        return IMAGE_READY;
}
