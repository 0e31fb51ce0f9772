/* Which files belong to a function; see package.h. Packing is in package_zip.c. */
#include "cli/package.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/ignore.h"
#include "cli/output.h"
#include "cli/package_parts.h"
#include "cli/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD_SIZE 512 /* of a file: it says whether that is an archive */

/* One walk through a folder. */
struct walk {
        struct package *package;
        struct ignore ignore;
        int depth;
};

static int package_compare(const void *a, const void *b)
{
        const struct package_file *left = a, *right = b;
        return strcmp(left->name, right->name);
}

void package_deinit(struct package *package)
{
        for (size_t i = 0; i < package->count; i++)
                free(package->files[i].name);
        free(package->files);
        free(package->path);
        *package = (struct package){0};
}

int package_add(struct package *package, const char *name, uint64_t size, bool executable,
                struct err *err)
{
        if (package->count >= PACKAGE_FILES_MAX)
                return err_set(err, -E2BIG, "'%s' holds more than %d files", package->path,
                               PACKAGE_FILES_MAX);
        if (size > PACKAGE_BYTES_MAX - package->bytes)
                return err_set(err, -EFBIG, "'%s' is larger than %llu MiB", package->path,
                               PACKAGE_BYTES_MAX >> 20);
        package->files = memory_grow(package->files, package->count + 1, sizeof(*package->files));
        package->files[package->count++] = (struct package_file){
                .name = text_copy(name), .size = size, .executable = executable};
        package->bytes += size;
        return 0;
}

static int walk_folder(struct walk *walk, int parent_fd, const char *folder, const char *prefix,
                       struct err *err);

static int walk_entry(struct walk *walk, int folder_fd, const char *entry, const char *prefix,
                      struct err *err)
{
        AUTO(memory_free) char *name = text_format("%s%s", prefix, entry);
        struct stat link, target;

        if (fstatat(folder_fd, entry, &link, AT_SYMLINK_NOFOLLOW) < 0)
                return err_errno(err, -errno, "cannot look at '%s'", name);
        if (ignore_matches(&walk->ignore, name, S_ISDIR(link.st_mode)))
                return 0;
        if (S_ISDIR(link.st_mode)) {
                AUTO(memory_free) char *deeper = text_format("%s/", name);
                return walk_folder(walk, folder_fd, entry, deeper, err);
        }
        /* A link to a file counts as that file (node_modules/.bin is made of them). */
        if (fstatat(folder_fd, entry, &target, 0) < 0 || !S_ISREG(target.st_mode)) {
                say_note("leaving out '%s': links to folders and special files are not packed",
                         name);
                return 0;
        }
        return package_add(walk->package, name, (uint64_t)target.st_size,
                           (target.st_mode & S_IXUSR) != 0, err);
}

static int walk_folder(struct walk *walk, int parent_fd, const char *folder, const char *prefix,
                       struct err *err)
{
        AUTO(directory_close) DIR *directory = NULL;
        const struct dirent *entry;
        int fd = openat(parent_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

        if (fd < 0)
                return err_errno(err, -errno, "cannot open the folder '%s'", folder);
        directory = fdopendir(fd);
        if (!directory) {
                (void)close(fd);
                return err_set(err, -ENOMEM, "out of memory");
        }
        if (++walk->depth > PACKAGE_DEPTH_MAX)
                return err_set(err, -ELOOP, "'%s' is more than %d folders deep", prefix,
                               PACKAGE_DEPTH_MAX);
        while (r == 0 && (entry = readdir(directory)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        r = walk_entry(walk, fd, entry->d_name, prefix, err);
        walk->depth--;
        return r;
}

static int package_collect_folder(struct package *package, struct err *err)
{
        AUTO(memory_free) char *ignore_path = text_format("%s/%s", package->path, IGNORE_FILE);
        struct walk walk = {.package = package};
        int r;

        ignore_init(&walk.ignore);
        r = ignore_read(&walk.ignore, ignore_path, err);
        if (r == 0)
                r = walk_folder(&walk, AT_FDCWD, package->path, "", err);
        ignore_deinit(&walk.ignore);
        return r;
}

/* Empty where it is no file. */
static struct slice file_head(const char *path, char *bytes)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ssize_t length = fd < 0 ? 0 : read(fd, bytes, HEAD_SIZE);

        return slice_make(bytes, length < 0 ? 0 : (size_t)length);
}

bool package_is_zip(const char *path)
{
        char head[HEAD_SIZE];

        return slice_starts_with(file_head(path, head), SLICE("PK\003\004"));
}

bool package_is_archive(const char *path)
{
        static const struct {
                size_t offset;
                struct slice bytes;
        } signatures[] = {
                {0, {"PK\003\004", 4}},
                {0, {"PK\005\006", 4}}, /* a zip of nothing */
                {257, {"ustar", 5}},
                {0, {"\x1f\x8b", 2}}, /* gzip; what follows are refused with their names: bzip2, */
                {0, {"BZh", 3}},
                {0, {"\3757zXZ\0", 6}},       /* xz, */
                {0, {"\x28\xb5\x2f\xfd", 4}}, /* Zstandard */
        };
        char bytes[HEAD_SIZE];
        struct slice head = file_head(path, bytes);

        for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
                if (head.length >= signatures[i].offset &&
                    slice_starts_with(slice_skip(head, signatures[i].offset), signatures[i].bytes))
                        return true;
        return false;
}

int package_collect(const char *path, struct package *ret_package, struct err *err)
{
        struct package *package = ret_package;
        const char *slash = strrchr(path, '/');
        struct stat info;
        int r;

        *package = (struct package){.path = text_copy(path)};
        if (stat(path, &info) < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        if (S_ISDIR(info.st_mode)) {
                package->kind = PACKAGE_FOLDER;
                r = package_collect_folder(package, err);
        } else if (!S_ISREG(info.st_mode)) {
                r = err_set(err, -EINVAL, "'%s' is neither a file nor a folder", path);
        } else if (package_is_zip(path)) {
                package->kind = PACKAGE_ZIP;
                r = zip_list(package, err);
        } else {
                package->kind = PACKAGE_FILE;
                r = package_add(package, slash ? slash + 1 : path, (uint64_t)info.st_size,
                                (info.st_mode & S_IXUSR) != 0, err);
        }
        if (r < 0)
                return r;
        if (package->count == 0)
                return err_set(err, -ENOENT, "there is no code in '%s'", path);
        qsort(package->files, package->count, sizeof(*package->files), package_compare);
        return 0;
}

const struct package_file *package_find(const struct package *package, const char *name)
{
        struct package_file wanted = {.name = (char *)(uintptr_t)name};
        return bsearch(&wanted, package->files, package->count, sizeof(wanted), package_compare);
}

char *package_file_path(const struct package *package, const struct package_file *file)
{
        if (package->kind == PACKAGE_FILE)
                return text_copy(package->path);
        return text_format("%s/%s", package->path, file->name);
}

int package_peek(const struct package *package, const struct package_file *file,
                 struct buffer *head, struct err *err)
{
        AUTO(memory_free) char *path = NULL;
        AUTO(fd_close) int fd = -1;
        int r;

        if (package->kind == PACKAGE_ZIP)
                return zip_peek(package, file, head, err);
        path = package_file_path(package, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        r = fd_read_all(fd, path, head, err);
        return r == -EFBIG ? 0 : r;
}
