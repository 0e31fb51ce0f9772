/* Whole files in and out; see files.h. */
#include "cli/files.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define READ_STEP 65536

int fd_read_all(int fd, const char *name, struct buffer *buffer, struct err *err)
{
        for (;;) {
                size_t room = buffer->limit - buffer->length;
                char probe;
                ssize_t count;

                /* When the buffer is full, one more byte tells the end from too much. */
                if (room == 0)
                        count = read(fd, &probe, 1);
                else if (buffer_reserve(buffer, room < READ_STEP ? room : READ_STEP) < 0)
                        return err_set(err, -ENOMEM, "out of memory reading '%s'", name);
                else
                        count = read(fd, buffer->data + buffer->length,
                                     room < READ_STEP ? room : READ_STEP);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return err_errno(err, -errno, "cannot read '%s'", name);
                if (count == 0)
                        return 0;
                if (room == 0)
                        return err_set(err, -EFBIG, "'%s' is larger than %zu bytes", name,
                                       buffer->limit);
                buffer->length += (size_t)count;
        }
}

int file_read(const char *path, struct buffer *buffer, struct err *err)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        return fd_read_all(fd, path, buffer, err);
}

int fd_write_all(int fd, const char *data, size_t length)
{
        while (length > 0) {
                ssize_t count = write(fd, data, length);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return -errno;
                data += count;
                length -= (size_t)count;
        }
        return 0;
}
