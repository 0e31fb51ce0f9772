/* Small files and folders of the store; see disk_parts.h. */
#include "adapters/images/disk_parts.h"

#include "base/auto.h"
#include "base/hash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#define SIZE_FILE "size"

int disk_random_name(char ret_name[NAME_SIZE])
{
        unsigned char chance[DIGEST_LENGTH / 2];

        if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
                return -errno;
        hex_encode(chance, sizeof(chance), ret_name);
        return 0;
}

int disk_folder_make(int parent_fd, const char *name, int *ret_fd)
{
        AUTO(fd_close) int fd = -1;

        if (mkdirat(parent_fd, name, 0755) < 0)
                return -errno;
        fd = openat(parent_fd, name, OPEN_FOLDER);
        if (fd < 0 || fchmod(fd, 0755) < 0)
                return -errno;
        *ret_fd = fd_steal(&fd);
        return 0;
}

int disk_folder_open(int parent_fd, const char *name, const char *part)
{
        AUTO(fd_close) int folder = openat(parent_fd, name, OPEN_FOLDER);
        int fd = folder < 0 ? -1 : openat(folder, part, OPEN_FOLDER);

        return fd < 0 ? -errno : fd;
}

int disk_file_write(int folder_fd, const char *name, struct slice content)
{
        AUTO(fd_close)
        int fd =
                openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        size_t written = 0;

        if (fd < 0)
                return -errno;
        while (written < content.length) {
                ssize_t length = write(fd, content.data + written, content.length - written);
                if (length < 0 && errno != EINTR)
                        return -errno;
                written += length > 0 ? (size_t)length : 0;
        }
        return 0;
}

int disk_file_read(int folder_fd, const char *name, struct buffer *text)
{
        AUTO(fd_close) int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char chunk[8192];
        ssize_t length;
        int r = 0;

        if (fd < 0)
                return -errno;
        while (r == 0 && (length = read(fd, chunk, sizeof(chunk))) > 0)
                r = buffer_append(text, chunk, (size_t)length);
        return r == 0 && length < 0 ? -errno : r;
}

int disk_sizes_write(int folder_fd, uint64_t first, uint64_t second)
{
        char text[48];
        int length = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", first, second);

        return disk_file_write(folder_fd, SIZE_FILE, slice_make(text, (size_t)length));
}

void disk_sizes_read(int folder_fd, uint64_t *ret_first, uint64_t *ret_second)
{
        AUTO(fd_close) int fd = openat(folder_fd, SIZE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char text[48] = "", *rest;
        ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

        text[length > 0 ? length : 0] = '\0';
        *ret_first = strtoull(text, &rest, 10);
        *ret_second = strtoull(rest, NULL, 10);
}
