/* Layers to a root; see root.h.
 *
 * What the layers hold is hostile, so nothing here follows a link but root_open(), which the kernel
 * keeps inside. The depth of the recursion is that of the layers' paths, MEMBER_DEPTH_MAX. */
#include "adapters/images/root.h"

#include "adapters/archive/member.h"
#include "adapters/archive/tree.h"
#include "adapters/images/layer.h"
#include "base/auto.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OPEN_FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FOLDER_BYTES 4096
#define COPY_BYTES ((size_t)16 << 20) /* between two looks at the clock */
#define QUOTE(string) text_quote(slice_of(string)).text

struct merging {
        const struct patience *patience;
        struct root_size *size;
        struct err *err;
};

static bool is_mark(const char *name)
{
        return strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0;
}

/* Whatever it is; it may be gone already. */
static int remove_any(int fd, const char *name)
{
        if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
                return 0;
        return errno == EISDIR ? tree_remove(fd, name) : -errno;
}

static const char *next_entry(DIR *folder)
{
        const struct dirent *entry;

        do {
                errno = 0;
                entry = readdir(folder);
        } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
        return entry ? entry->d_name : NULL;
}

/* Carries out a folder's marks on what lower layers have left there. */
static int remove_marked(DIR *layer, int root_fd)
{
        const char *name;
        int r = 0;

        while (r == 0 && (name = next_entry(layer))) {
                if (strcmp(name, WHITEOUT_OPAQUE) == 0)
                        r = tree_empty(root_fd, ".");
                else if (is_mark(name))
                        r = remove_any(root_fd, name + strlen(WHITEOUT_PREFIX));
        }
        return r < 0 ? r : -errno;
}

static enum image_result count_copy(struct merging *merging, uint64_t bytes)
{
        struct root_size *size = merging->size;
        char most[24];

        if (size->bytes > size->bytes_max || bytes > size->bytes_max - size->bytes) {
                size_format(size->bytes_max, most);
                return image_refuse(merging->err,
                                    "the image has files with more names than this machine allows, "
                                    "and with copies of them more than %s",
                                    most);
        }
        size->bytes += bytes;
        return IMAGE_READY;
}

static enum image_result copy_content(struct merging *merging, int from, int to, off_t left)
{
        enum image_result result = IMAGE_READY;

        while (left > 0 && result == IMAGE_READY) {
                size_t piece = left < (off_t)COPY_BYTES ? (size_t)left : COPY_BYTES;
                ssize_t sent = sendfile(to, from, NULL, piece);
                if (sent <= 0)
                        return image_fail(merging->err, sent < 0 ? -errno : -EIO, "copying a file");
                left -= sent;
                result = patience_check(merging->patience, merging->err);
        }
        return result;
}

/* A file has at most so many names as its file system allows: then it becomes a copy. */
static enum image_result copy_file(struct merging *merging, int layer_fd, int root_fd,
                                   const char *name)
{
        AUTO(fd_close) int from = openat(layer_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        AUTO(fd_close) int to = -1;
        enum image_result result;
        struct stat status;

        if (from < 0 || fstat(from, &status) < 0)
                return image_fail(merging->err, -errno, "copying '%s'", QUOTE(name));
        result = count_copy(merging, (uint64_t)status.st_size);
        if (result != IMAGE_READY)
                return result;
        to = openat(root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return image_fail(merging->err, -errno, "copying '%s'", QUOTE(name));
        result = copy_content(merging, from, to, status.st_size);
        if (result != IMAGE_READY)
                return result;
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, status.st_mtim};
        if (fchmod(to, status.st_mode & 0777) < 0 || futimens(to, times) < 0)
                return image_fail(merging->err, -errno, "copying '%s'", QUOTE(name));
        return IMAGE_READY;
}

/* A file or a link. */
static enum image_result add_file(struct merging *merging, int layer_fd, int root_fd,
                                  const char *name)
{
        int r = linkat(layer_fd, name, root_fd, name, 0) < 0 ? -errno : 0;

        if (r == -EEXIST) {
                r = remove_any(root_fd, name);
                if (r == 0 && linkat(layer_fd, name, root_fd, name, 0) < 0)
                        r = -errno;
        }
        if (r == -EMLINK)
                return copy_file(merging, layer_fd, root_fd, name);
        return r < 0 ? image_fail(merging->err, r, "linking '%s'", QUOTE(name)) : IMAGE_READY;
}

/* Makes the folder, or opens the one that is there; whatever else has the name goes. */
static int add_folder(struct merging *merging, int root_fd, const char *name, int *ret_fd)
{
        AUTO(fd_close) int fd = -1;
        bool made = mkdirat(root_fd, name, 0755) == 0;

        if (!made && errno != EEXIST)
                return -errno;
        fd = openat(root_fd, name, OPEN_FOLDER);
        if (fd < 0 && !made && (errno == ENOTDIR || errno == ELOOP)) {
                if (unlinkat(root_fd, name, 0) < 0 || mkdirat(root_fd, name, 0755) < 0)
                        return -errno;
                made = true;
                fd = openat(root_fd, name, OPEN_FOLDER);
        }
        if (fd < 0 || (made && fchmod(fd, 0755) < 0)) /* whatever the umask */
                return -errno;
        if (made)
                merging->size->bytes += FOLDER_BYTES;
        *ret_fd = fd_steal(&fd);
        return 0;
}

static bool is_folder(int fd, const char *name)
{
        struct stat status;

        return fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static enum image_result merge(struct merging *merging, int layer_fd, int root_fd);

static enum image_result merge_entry(struct merging *merging, int layer_fd, int root_fd,
                                     const char *name)
{
        AUTO(fd_close) int layer = -1, root = -1;
        int r;

        if (!is_folder(layer_fd, name))
                return add_file(merging, layer_fd, root_fd, name);
        layer = openat(layer_fd, name, OPEN_FOLDER);
        if (layer < 0)
                return image_fail(merging->err, -errno, "opening the folder '%s'", QUOTE(name));
        r = add_folder(merging, root_fd, name, &root);
        if (r < 0)
                return image_fail(merging->err, r, "making the folder '%s'", QUOTE(name));
        return merge(merging, layer, root);
}

static enum image_result merge(struct merging *merging, int layer_fd, int root_fd)
{
        AUTO(directory_close) DIR *folder = NULL;
        enum image_result result = IMAGE_READY;
        int fd = openat(layer_fd, ".", OPEN_FOLDER), r;
        const char *name;

        folder = fd < 0 ? NULL : fdopendir(fd);
        if (!folder) {
                fd_close(&fd);
                return image_fail(merging->err, -errno, "reading a layer");
        }
        r = remove_marked(folder, root_fd);
        if (r < 0)
                return image_fail(merging->err, r, "removing what a layer removes");
        rewinddir(folder);
        while (result == IMAGE_READY && (name = next_entry(folder))) {
                if (!is_mark(name))
                        result = merge_entry(merging, layer_fd, root_fd, name);
                if (result == IMAGE_READY)
                        result = patience_check(merging->patience, merging->err);
        }
        if (result == IMAGE_READY && errno != 0)
                return image_fail(merging->err, -errno, "reading a layer");
        return result;
}

enum image_result root_add_layer(int root_fd, int layer_fd, const struct patience *patience,
                                 struct root_size *size, struct err *err)
{
        struct merging merging = {.patience = patience, .size = size, .err = err};

        return merge(&merging, layer_fd, root_fd);
}

/* A real folder, whatever was there. */
static int fixture_folder(int root_fd, const char *name)
{
        if (is_folder(root_fd, name))
                return 0;
        if (unlinkat(root_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        return mkdirat(root_fd, name, 0755) < 0 || fchmodat(root_fd, name, 0755, 0) < 0 ? -errno
                                                                                        : 0;
}

static int fixture_file(int folder_fd, const char *name, struct slice content)
{
        AUTO(fd_close) int fd = -1;
        int r = remove_any(folder_fd, name);

        if (r < 0)
                return r;
        fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (write(fd, content.data, content.length) != (ssize_t)content.length)
                return errno ? -errno : -EIO;
        return fchmod(fd, 0644) < 0 ? -errno : 0;
}

enum image_result root_add_fixtures(int root_fd, struct err *err)
{
        static const char *const folders[] = {"proc", "sys", "dev", "tmp", "etc"};
        static const struct {
                const char *name, *content;
        } files[] = {
                {"hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 function\n"},
                {"hostname", "function\n"},
                {"resolv.conf", "nameserver 169.254.0.53\noptions timeout:2 attempts:2\n"},
        };
        AUTO(fd_close) int etc = -1;
        int r;

        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
                r = fixture_folder(root_fd, folders[i]);
                if (r < 0)
                        return image_fail(err, r, "making the folder /%s", folders[i]);
        }
        etc = openat(root_fd, "etc", OPEN_FOLDER);
        if (etc < 0)
                return image_fail(err, -errno, "opening the folder /etc");
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                r = fixture_file(etc, files[i].name, slice_of(files[i].content));
                if (r < 0)
                        return image_fail(err, r, "writing /etc/%s", files[i].name);
        }
        return IMAGE_READY;
}

int root_open(int root_fd, const char *path, int flags)
{
        const struct open_how how = {
                .flags = (unsigned)(flags | O_CLOEXEC),
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

        return fd < 0 ? -errno : fd;
}

/* One step: into `whole`, the way so far, or makes its last part in the folder `at`. */
static int step_into(int root_fd, int at, const char *whole, const char *part)
{
        int fd = root_open(root_fd, whole, O_PATH | O_DIRECTORY);

        if (fd != -ENOENT)
                return fd;
        /* -EEXIST: a link that leads to nowhere. */
        if (mkdirat(at, part, 0755) < 0 || fchmodat(at, part, 0755, 0) < 0)
                return -errno;
        return root_open(root_fd, whole, O_PATH | O_DIRECTORY);
}

enum image_result root_make_folder(int root_fd, const char *path, struct err *err)
{
        AUTO(fd_close) int at = root_open(root_fd, "/", O_PATH | O_DIRECTORY);
        char whole[MEMBER_PATH_MAX + 1];

        if (member_path_tidy(slice_of(path), whole, err) < 0)
                return IMAGE_REFUSED;
        for (char *part = whole, *end; at >= 0 && *part != '\0'; part = end) {
                size_t length = strcspn(part, "/");
                char rest = part[length];
                int next;

                end = part + length + (rest ? 1 : 0);
                part[length] = '\0';
                next = step_into(root_fd, at, whole, part);
                part[length] = rest;
                fd_close(&at);
                at = next;
        }
        if (at == -ENOTDIR || at == -ELOOP || at == -EEXIST)
                return image_refuse(err, "the image's WorkingDir '%s' is no folder", QUOTE(path));
        return at < 0 ? image_fail(err, at, "making the folder '%s'", QUOTE(path)) : IMAGE_READY;
}
