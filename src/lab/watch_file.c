/* Reading what the kernel tells in small files; see watch_parts.h. */
#include "lab/watch_parts.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

ssize_t watch_read(const char *path, char *text, size_t size)
{
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t length = 0;
        ssize_t count = 1;

        text[0] = '\0';
        if (fd < 0)
                return -errno;
        while (length + 1 < size && (count = read(fd, text + length, size - 1 - length)) > 0)
                length += (size_t)count;
        text[length] = '\0';
        return count < 0 ? -errno : (ssize_t)length;
}

double watch_number(const char *text, const char *name)
{
        size_t length = strlen(name);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                char *end;
                double number;

                line += *line == '\n';
                if (strncmp(line, name, length) != 0)
                        continue;
                number = strtod(line + length, &end);
                if (end != line + length)
                        return number;
        }
        return NAN;
}

double watch_entries(const char *path, bool may_count)
{
        AUTO(directory_close) DIR *folder = NULL;
        const struct dirent *entry;
        struct stat status;
        double count = 0;

        if (stat(path, &status) < 0)
                return NAN;
        if (status.st_size > 0 || !may_count)
                return (double)status.st_size;
        folder = opendir(path);
        while (folder && (entry = readdir(folder)))
                count += entry->d_name[0] != '.';
        return count;
}
