/* Kernel attribute files; see file.h. */
#include "agent/file.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int file_write_at(int directory_fd, const char *path, const char *text)
{
        AUTO(fd_close) int fd = openat(directory_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int file_read_at(int directory_fd, const char *path, char *ret_text, size_t capacity)
{
        AUTO(fd_close) int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        size_t used = 0;

        if (fd < 0)
                return -errno;
        while (used < capacity - 1) {
                ssize_t got = read(fd, ret_text + used, capacity - 1 - used);
                if (got < 0)
                        return -errno;
                if (got == 0)
                        break;
                used += (size_t)got;
        }
        ret_text[used] = '\0';
        return (int)used;
}
