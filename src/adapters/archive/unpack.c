/* Archives and single files into a folder; see unpack.h.
 *
 * Nothing the archive says is believed: names go through member.c, sizes are counted while they are
 * written, and files are made with O_EXCL below descriptors that were opened without following
 * links, so that what exists twice or lies behind a link shows itself.
 */
#include "adapters/archive/unpack.h"

#include "adapters/archive/member.h"
#include "adapters/archive/tar_walk.h"
#include "adapters/archive/zip_directory.h"
#include "base/auto.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CHUNK_SIZE 65536
/* Small archives may well hold a table of zeros. */
#define RATIO_FROM_BYTES (16ull << 20)
/* Of a tar, beside what is unpacked: its own records. More of it is bytes that lead nowhere. */
#define OVERHEAD_BYTES (64ull << 20)
#define QUOTE(string) text_quote(slice_of(string)).text

struct unpacking {
        int root_fd;
        const struct bundle_limits *limits;
        uint64_t packed, unpacked; /* bytes */
        uint32_t members, headers;
        char *chunk; /* CHUNK_SIZE */

        /* Of a tar: where its bytes come from, and how many have. */
        struct archive *packing; /* NULL: it is not packed, and this is left of it: */
        struct slice rest;
        uint64_t tar_bytes;
        struct tar_walk walk;
        enum stage_result fed; /* why its bytes ended early; STAGE_DONE: they did not */
        struct err *err;       /* where the sentence for it goes */
};

enum code_kind { CODE_FILE, CODE_ZIP, CODE_EMPTY_ZIP, CODE_TAR, CODE_GZIP, CODE_UNKNOWN_ARCHIVE };

/* What people pack with, and what it is called where we do not read it. */
static const struct {
        size_t offset;
        struct slice bytes;
        enum code_kind kind;
        const char *name;
} signatures[] = {
        {0, {"PK\3\4", 4}, CODE_ZIP, NULL},
        {0, {"PK\5\6", 4}, CODE_EMPTY_ZIP, NULL}, /* begins with its end */
        {0, {"\x1f\x8b", 2}, CODE_GZIP, NULL},
        {257, {"ustar", 5}, CODE_TAR, NULL},
        {0, {"BZh", 3}, CODE_UNKNOWN_ARCHIVE, "bzip2"},
        {0, {"\3757zXZ\0", 6}, CODE_UNKNOWN_ARCHIVE, "xz"},
        {0, {"\x28\xb5\x2f\xfd", 4}, CODE_UNKNOWN_ARCHIVE, "Zstandard"},
        {0, {"7z\xbc\xaf\x27\x1c", 6}, CODE_UNKNOWN_ARCHIVE, "7-Zip"},
        {0, {"Rar!\x1a\7", 6}, CODE_UNKNOWN_ARCHIVE, "RAR"},
};

static enum code_kind code_kind_of(struct slice code, const char **ret_name)
{
        for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
                if (code.length < signatures[i].offset ||
                    !slice_starts_with(slice_skip(code, signatures[i].offset), signatures[i].bytes))
                        continue;
                *ret_name = signatures[i].name;
                return signatures[i].kind;
        }
        *ret_name = NULL;
        return CODE_FILE;
}

static enum stage_result count_members(struct unpacking *u, struct err *err)
{
        if (u->members <= u->limits->members)
                return STAGE_DONE;
        return bundle_refuse(err, "the bundle has more than %" PRIu32 " files and folders",
                             u->limits->members);
}

static enum stage_result count_bytes(struct unpacking *u, uint64_t bytes, struct err *err)
{
        char most[24];

        if (__builtin_add_overflow(u->unpacked, bytes, &u->unpacked) ||
            u->unpacked > u->limits->unpacked_bytes) {
                size_format(u->limits->unpacked_bytes, most);
                return bundle_refuse(err, "the bundle has more than %s when it is unpacked", most);
        }
        if (u->unpacked > RATIO_FROM_BYTES && u->unpacked / u->limits->ratio > u->packed)
                return bundle_refuse(err,
                                     "the archive grows to more than %" PRIu32
                                     " times its size when it is unpacked",
                                     u->limits->ratio);
        return STAGE_DONE;
}

/* Opens, and makes, the folder for `path` (clean). */
static enum stage_result open_place(struct unpacking *u, const char *path, int *ret_fd,
                                    const char **ret_name, struct err *err)
{
        int r = tree_open_parent(u->root_fd, path, &u->members, ret_fd, ret_name);

        if (r == -ENOTDIR)
                return bundle_refuse(err, "'%s' lies below something that is no folder",
                                     QUOTE(path));
        if (r < 0)
                return bundle_fail(err, r, "making the folder of '%s'", QUOTE(path));
        return count_members(u, err);
}

/* Why could `path` not be made? */
static enum stage_result explain(const char *path, int code, struct err *err)
{
        if (code == -EEXIST)
                return bundle_refuse(err, "'%s' is there twice", QUOTE(path));
        return bundle_fail(err, code, "unpacking '%s'", QUOTE(path));
}

/* Makes an empty file to be filled. */
static enum stage_result file_create(struct unpacking *u, const char *path, int *ret_fd,
                                     struct err *err)
{
        AUTO(fd_close) int place = -1;
        const char *name;
        enum stage_result result = open_place(u, path, &place, &name, err);

        if (result != STAGE_DONE)
                return result;
        u->members++;
        *ret_fd = openat(place, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (*ret_fd < 0)
                return explain(path, -errno, err);
        return count_members(u, err);
}

static int write_all(int fd, const char *data, size_t length)
{
        while (length > 0) {
                ssize_t written = write(fd, data, length);
                if (written < 0 && errno != EINTR)
                        return -errno;
                if (written > 0) {
                        data += written;
                        length -= (size_t)written;
                }
        }
        return 0;
}

/* Programs and scripts can be executed, whatever the packer thought. */
static bool is_program(struct slice beginning)
{
        return slice_starts_with(beginning, SLICE("\177ELF")) ||
               slice_starts_with(beginning, SLICE("#!"));
}

/* The last look at a file that was written: its mode, and nothing else of what the archive said. */
static enum stage_result file_finish(int fd, const char *path, bool is_executable, struct err *err)
{
        if (fchmod(fd, is_executable ? 0755 : 0644) < 0)
                return bundle_fail(err, -errno, "unpacking '%s'", QUOTE(path));
        return STAGE_DONE;
}

/* What libarchive says is the archive's fault, unless memory ran out. Before it counts what we said when
 * we gave it no more. */
static enum stage_result archive_explain(const struct unpacking *u, struct archive *archive,
                                         struct err *err)
{
        const char *words = archive_error_string(archive);

        if (u->fed != STAGE_DONE)
                return u->fed;
        if (archive_errno(archive) == ENOMEM)
                return bundle_fail(err, -ENOMEM, "reading the archive");
        return bundle_refuse(err, "the archive is damaged: %s",
                             QUOTE(words ? words : "it cannot be read"));
}

static enum stage_result unpack_file(struct unpacking *u, struct archive *archive,
                                     struct archive_entry *entry, const char *path, struct err *err)
{
        bool is_executable = (archive_entry_perm(entry) & 0111) != 0, is_first = true;
        AUTO(fd_close) int fd = -1;
        enum stage_result result = file_create(u, path, &fd, err);
        ssize_t length;

        if (result != STAGE_DONE)
                return result;
        /* Holes come as zeros, so a sparse file is counted by what it seems to hold. */
        while ((length = archive_read_data(archive, u->chunk, CHUNK_SIZE)) > 0) {
                int r;
                result = count_bytes(u, (uint64_t)length, err);
                if (result != STAGE_DONE)
                        return result;
                if (is_first && is_program(slice_make(u->chunk, (size_t)length)))
                        is_executable = true;
                is_first = false;
                r = write_all(fd, u->chunk, (size_t)length);
                if (r < 0)
                        return bundle_fail(err, r, "unpacking '%s'", QUOTE(path));
        }
        if (length < 0)
                return archive_explain(u, archive, err);
        return file_finish(fd, path, is_executable, err);
}

static enum stage_result unpack_folder(struct unpacking *u, const char *path, struct err *err)
{
        AUTO(fd_close) int place = -1;
        const char *name;
        struct stat status;
        enum stage_result result = open_place(u, path, &place, &name, err);

        if (result != STAGE_DONE)
                return result;
        if (mkdirat(place, name, 0755) == 0) {
                u->members++;
                if (fchmodat(place, name, 0755, 0) < 0) /* whatever the umask */
                        return bundle_fail(err, -errno, "unpacking '%s'", QUOTE(path));
                return count_members(u, err);
        }
        if (errno != EEXIST)
                return explain(path, -errno, err);
        /* A folder may come after what is in it, and more than once. */
        if (fstatat(place, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
                return STAGE_DONE;
        return explain(path, -EEXIST, err);
}

static enum stage_result unpack_link(struct unpacking *u, const char *path, const char *target,
                                     struct err *err)
{
        AUTO(fd_close) int place = -1;
        const char *name;
        enum stage_result result;

        if (member_link_check(path, slice_of(target), err) < 0)
                return STAGE_REFUSED;
        result = open_place(u, path, &place, &name, err);
        if (result != STAGE_DONE)
                return result;
        u->members++;
        if (symlinkat(target, place, name) < 0)
                return explain(path, -errno, err);
        return count_members(u, err);
}

/* A hard link is another name of a file that the archive has already given. */
static enum stage_result unpack_hard_link(struct unpacking *u, const char *path,
                                          const char *raw_target, struct err *err)
{
        AUTO(fd_close) int place = -1, target_place = -1;
        char target[MEMBER_PATH_MAX + 1];
        const char *name, *target_name;
        struct stat status;
        enum stage_result result;

        if (member_path_clean(slice_of(raw_target), target, err) < 0)
                return STAGE_REFUSED;
        if (target[0] == '\0' ||
            tree_open_parent(u->root_fd, target, NULL, &target_place, &target_name) < 0 ||
            fstatat(target_place, target_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
                return bundle_refuse(err, "the hard link '%s' leads to '%s', which is no file",
                                     QUOTE(path), QUOTE(raw_target));
        result = open_place(u, path, &place, &name, err);
        if (result == STAGE_DONE)
                result = count_bytes(u, (uint64_t)status.st_size, err);
        if (result != STAGE_DONE)
                return result;
        u->members++;
        if (linkat(target_place, target_name, place, name, 0) < 0)
                return explain(path, -errno, err);
        return count_members(u, err);
}

static enum stage_result unpack_entry(struct unpacking *u, struct archive *archive,
                                      struct archive_entry *entry, struct err *err)
{
        const char *raw = archive_entry_pathname(entry);
        const char *hard_link = archive_entry_hardlink(entry);
        const char *target = archive_entry_symlink(entry);
        char path[MEMBER_PATH_MAX + 1];

        if (!raw)
                return bundle_refuse(err, "the archive holds a name that is not UTF-8");
        if (member_path_clean(slice_of(raw), path, err) < 0)
                return STAGE_REFUSED;
        if (archive_entry_is_encrypted(entry))
                return bundle_refuse(err, "'%s' is encrypted: pack it without a password",
                                     QUOTE(raw));
        if (path[0] == '\0' && archive_entry_filetype(entry) == AE_IFDIR)
                return STAGE_DONE; /* "./", as tar has it */
        if (path[0] == '\0')
                return bundle_refuse(err, "the archive holds a file without a name");
        if (hard_link)
                return unpack_hard_link(u, path, hard_link, err);
        switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
                return unpack_file(u, archive, entry, path, err);
        case AE_IFDIR:
                return unpack_folder(u, path, err);
        case AE_IFLNK:
                return unpack_link(u, path, target ? target : "", err);
        default:
                return bundle_refuse(err, "'%s' is a device, a pipe or a socket", QUOTE(raw));
        }
}

/* What makes no file costs time, too: a folder that is named again and again. */
static enum stage_result count_header(struct unpacking *u, struct err *err)
{
        if (u->headers++ / 2 > u->limits->members)
                return bundle_refuse(err, "the archive names more than %" PRIu32 " things",
                                     2 * u->limits->members);
        return STAGE_DONE;
}

static int next_header(struct unpacking *u, struct archive *archive, enum code_kind kind,
                       struct archive_entry **ret_entry)
{
        return kind == CODE_ZIP ? archive_read_next_header(archive, ret_entry)
                                : tar_walk_next(&u->walk, archive, ret_entry);
}

static enum stage_result unpack_entries(struct unpacking *u, struct archive *archive,
                                        enum code_kind kind, struct err *err)
{
        struct archive_entry *entry;
        enum stage_result result = STAGE_DONE;
        int r = ARCHIVE_OK;

        while (result == STAGE_DONE &&
               ((r = next_header(u, archive, kind, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN)) {
                result = count_header(u, err);
                if (result == STAGE_DONE)
                        result = unpack_entry(u, archive, entry, err);
        }
        if (result == STAGE_DONE && r != ARCHIVE_EOF)
                return archive_explain(u, archive, err);
        return result;
}

static void archive_close(struct archive **archive)
{
        (void)archive_read_free(*archive);
}

/* Zips know where their members are, and what is not asked for is not read. */
static enum stage_result unpack_zip(struct unpacking *u, struct slice code, struct err *err)
{
        AUTO(archive_close) struct archive *archive = archive_read_new();

        if (!archive || archive_read_support_format_zip_seekable(archive) != ARCHIVE_OK)
                return bundle_fail(err, -ENOMEM, "reading the archive");
        if (zip_directory_check(code, err) < 0)
                return STAGE_REFUSED;
        if (archive_read_open_memory(archive, code.data, code.length) != ARCHIVE_OK)
                return archive_explain(u, archive, err);
        return unpack_entries(u, archive, CODE_ZIP, err);
}

/* The next piece of the tar; empty at its end. */
static enum stage_result tar_read(struct unpacking *u, struct slice *ret_bytes)
{
        const void *data = NULL;
        size_t length = u->rest.length < CHUNK_SIZE ? u->rest.length : CHUNK_SIZE;
        la_int64_t offset;
        int r;

        *ret_bytes = slice_make(u->rest.data, length);
        if (!u->packing) {
                u->rest = slice_skip(u->rest, length);
                return STAGE_DONE;
        }
        r = archive_read_data_block(u->packing, &data, &length, &offset);
        if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
                return archive_explain(u, u->packing, u->err);
        *ret_bytes = slice_make(data, r == ARCHIVE_OK ? length : 0);
        return STAGE_DONE;
}

static enum stage_result tar_count(struct unpacking *u, size_t length)
{
        u->tar_bytes += length;
        if (u->tar_bytes > u->limits->unpacked_bytes + OVERHEAD_BYTES)
                return bundle_refuse(u->err, "the archive holds far more than it unpacks to");
        if (!tar_walk_allows(&u->walk, length))
                return bundle_refuse(u->err, "the archive describes one of its files at too great "
                                             "a length");
        return STAGE_DONE;
}

/* libarchive's callback. */
static la_ssize_t tar_feed(struct archive *archive, void *context, const void **ret_bytes)
{
        struct unpacking *u = context;
        struct slice bytes;

        u->fed = tar_read(u, &bytes);
        if (u->fed == STAGE_DONE)
                u->fed = tar_count(u, bytes.length);
        if (u->fed != STAGE_DONE) {
                archive_set_error(archive, ECANCELED, "ended by us");
                return -1;
        }
        *ret_bytes = bytes.data;
        return (la_ssize_t)bytes.length;
}

static enum stage_result unpack_tar(struct unpacking *u, struct err *err)
{
        AUTO(archive_close) struct archive *archive = archive_read_new();

        if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK)
                return bundle_fail(err, -ENOMEM, "reading the archive");
        if (archive_read_open(archive, u, NULL, tar_feed, NULL) != ARCHIVE_OK)
                return archive_explain(u, archive, err);
        return unpack_entries(u, archive, CODE_TAR, err);
}

/* Packed once: a packer inside of a packer would let a small upload keep us busy for hours. */
static enum stage_result unpack_gzip(struct unpacking *u, struct slice code, struct err *err)
{
        AUTO(archive_close) struct archive *packing = archive_read_new();
        struct archive_entry *entry;

        if (!packing || archive_read_support_format_raw(packing) != ARCHIVE_OK ||
            archive_read_append_filter(packing, ARCHIVE_FILTER_GZIP) != ARCHIVE_OK)
                return bundle_fail(err, -ENOMEM, "reading the archive");
        if (archive_read_open_memory(packing, code.data, code.length) != ARCHIVE_OK ||
            archive_read_next_header(packing, &entry) != ARCHIVE_OK)
                return archive_explain(u, packing, err);
        u->packing = packing;
        return unpack_tar(u, err);
}

/* Only what was recognised, so that nobody smuggles in a format that nobody expects. */
static enum stage_result unpack_archive(struct unpacking *u, struct slice code, enum code_kind kind,
                                        struct err *err)
{
        if (kind == CODE_ZIP)
                return unpack_zip(u, code, err);
        u->err = err;
        u->rest = code;
        return kind == CODE_TAR ? unpack_tar(u, err) : unpack_gzip(u, code, err);
}

static enum stage_result unpack_single(struct unpacking *u, struct slice code,
                                       const char *file_name, struct err *err)
{
        char path[MEMBER_PATH_MAX + 1];
        AUTO(fd_close) int fd = -1;
        enum stage_result result;
        int r;

        if (code.length == 0)
                return bundle_refuse(err, "the code is empty");
        if (member_path_clean(slice_of(file_name), path, err) < 0)
                return STAGE_REFUSED;
        result = count_bytes(u, code.length, err);
        if (result == STAGE_DONE)
                result = file_create(u, path, &fd, err);
        if (result != STAGE_DONE)
                return result;
        r = write_all(fd, code.data, code.length);
        if (r < 0)
                return bundle_fail(err, r, "unpacking '%s'", QUOTE(path));
        return file_finish(fd, path, is_program(code), err);
}

enum stage_result bundle_unpack(int root_fd, struct slice code, const char *file_name,
                                const struct bundle_limits *limits, struct err *err)
{
        struct unpacking u = {
                .root_fd = root_fd, .limits = limits, .packed = code.length, .fed = STAGE_DONE};
        const char *name;
        enum code_kind kind = code_kind_of(code, &name);
        enum stage_result result;

        if (kind == CODE_UNKNOWN_ARCHIVE)
                return bundle_refuse(err, "the code is packed with %s: pack it as zip or tar.gz",
                                     name);
        if (kind == CODE_EMPTY_ZIP)
                return bundle_refuse(err, "%s", content_is_empty);
        if (kind == CODE_FILE && !file_name)
                return bundle_refuse(err, "this is no archive: pack it as zip or tar.gz");
        if (kind == CODE_FILE) {
                result = unpack_single(&u, code, file_name, err);
        } else {
                AUTO(memory_free) char *chunk = malloc(CHUNK_SIZE);
                if (!chunk)
                        return bundle_fail(err, -ENOMEM, "reading the archive");
                u.chunk = chunk;
                result = unpack_archive(&u, code, kind, err);
        }
        return result == STAGE_DONE ? content_check(root_fd, err) : result;
}
