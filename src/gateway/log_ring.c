/* The files of a function's log; see log_ring.h. */
#include "gateway/log_ring.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CURRENT "current.ndjson"
#define PREVIOUS "previous.ndjson"
#define TAIL_BYTES 4096

int log_ring_init(struct log_ring *ring, const char *parent, const char *name,
                  uint32_t segment_bytes)
{
        char *folder = NULL;

        if (asprintf(&folder, "%s/%s", parent, name) < 0)
                return -ENOMEM;
        *ring = (struct log_ring){.folder = folder, .segment_bytes = segment_bytes};
        return 0;
}

void log_ring_deinit(struct log_ring *ring)
{
        free(ring->folder);
        ring->folder = NULL;
}

static int open_folder(const struct log_ring *ring, bool make, int *ret_fd)
{
        int fd;

        if (make && mkdir(ring->folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(ring->folder, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* Where the last whole line of the file ends. */
static int find_end(int fd, off_t size, off_t *ret_end)
{
        char tail[TAIL_BYTES];

        while (size > 0) {
                size_t length = size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
                ssize_t got = pread(fd, tail, length, size - (off_t)length);
                const char *newline;

                if (got != (ssize_t)length)
                        return got < 0 ? -errno : -EIO;
                newline = memrchr(tail, '\n', length);
                if (newline) {
                        *ret_end = size - (off_t)length + (newline - tail) + 1;
                        return 0;
                }
                size -= (off_t)length;
        }
        *ret_end = 0;
        return 0;
}

/* Opens the current segment for appending, behind its last whole line. */
static int open_current(int folder_fd, int *ret_fd, off_t *ret_size)
{
        AUTO(fd_close)
        int fd = openat(folder_fd, CURRENT, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                        0600);
        struct stat status;
        off_t end;
        int r;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        r = find_end(fd, status.st_size, &end);
        if (r < 0)
                return r;
        if (end < status.st_size && ftruncate(fd, end) < 0)
                return -errno;
        *ret_fd = fd_steal(&fd);
        *ret_size = end;
        return 0;
}

static int write_all(int fd, struct slice bytes)
{
        while (bytes.length > 0) {
                ssize_t written = write(fd, bytes.data, bytes.length);
                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0)
                        return -errno;
                bytes = slice_skip(bytes, (size_t)written);
        }
        return 0;
}

int log_ring_write(const struct log_ring *ring, struct slice lines)
{
        AUTO(fd_close) int folder_fd = -1;
        AUTO(fd_close) int fd = -1;
        off_t size;
        int r = open_folder(ring, true, &folder_fd);

        if (r == 0)
                r = open_current(folder_fd, &fd, &size);
        if (r < 0)
                return r;
        if (size > 0 && (uint64_t)size + lines.length > ring->segment_bytes) {
                fd_close(&fd);
                if (renameat(folder_fd, CURRENT, folder_fd, PREVIOUS) < 0)
                        return -errno;
                r = open_current(folder_fd, &fd, &size);
                if (r < 0)
                        return r;
        }
        return write_all(fd, lines);
}

static int read_whole(int folder_fd, const char *name, char **ret_data, size_t *ret_length)
{
        AUTO(fd_close) int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        AUTO(memory_free) char *data = NULL;
        struct stat status;
        size_t length = 0;

        if (fd < 0 || fstat(fd, &status) < 0)
                return -errno;
        data = malloc((size_t)status.st_size + 1);
        if (!data)
                return -ENOMEM;
        while (length < (size_t)status.st_size) {
                ssize_t got = read(fd, data + length, (size_t)status.st_size - length);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0)
                        break;
                length += (size_t)got;
        }
        *ret_data = memory_steal(&data);
        *ret_length = length;
        return 0;
}

/* 0: on to the older segment; 1: enough. */
static int read_segment(int folder_fd, const char *name,
                        bool (*visit)(struct slice line, void *context), void *context)
{
        AUTO(memory_free) char *data = NULL;
        const char *newline;
        size_t length = 0;
        int r = read_whole(folder_fd, name, &data, &length);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        newline = length ? memrchr(data, '\n', length) : NULL;
        while (newline) {
                const char *before = memrchr(data, '\n', (size_t)(newline - data));
                const char *start = before ? before + 1 : data;
                if (!visit(slice_make(start, (size_t)(newline - start)), context))
                        return 1;
                newline = before;
        }
        return 0;
}

int log_ring_read(const struct log_ring *ring, bool (*visit)(struct slice line, void *context),
                  void *context)
{
        AUTO(fd_close) int folder_fd = -1;
        int r = open_folder(ring, false, &folder_fd);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = read_segment(folder_fd, CURRENT, visit, context);
        if (r == 0)
                r = read_segment(folder_fd, PREVIOUS, visit, context);
        return r < 0 ? r : 0;
}

void log_ring_remove(const struct log_ring *ring)
{
        AUTO(fd_close) int folder_fd = -1;

        if (open_folder(ring, false, &folder_fd) < 0)
                return;
        (void)unlinkat(folder_fd, CURRENT, 0);
        (void)unlinkat(folder_fd, PREVIOUS, 0);
        (void)rmdir(ring->folder);
}
