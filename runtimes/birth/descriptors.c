/* See descriptors.h. */
#include "descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 48
#define WATCHES_MAX 32
#define PIPE_BYTES_MAX 64
#define TEXT_MAX 4096

enum kind { DEVICE, EVENT, PIPE_READ, PIPE_WRITE, EPOLL };

struct descriptor {
        int fd;
        enum kind kind;
        int status;                 /* O_NONBLOCK */
        int access;                 /* O_RDONLY, ... */
        char path[16];              /* a device's */
        uint64_t number;            /* an eventfd's count; a pipe's inode */
        char bytes[PIPE_BYTES_MAX]; /* that wait in a pipe */
        int byte_count;
};

struct watch {
        int epoll_fd, fd;
        struct epoll_event event;
};

static struct descriptor descriptors[DESCRIPTORS_MAX]; /* by number */
static struct watch watches[WATCHES_MAX];
static size_t descriptor_count, watch_count;

/* ---- in the original ---- */

static int read_info(int fd, char ret_text[TEXT_MAX])
{
        char path[40];
        ssize_t length;
        int file;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
                return -errno;
        length = read(file, ret_text, TEXT_MAX - 1);
        (void)close(file);
        if (length < 0)
                return -errno;
        ret_text[length] = '\0';
        return length < TEXT_MAX - 1 ? 0 : -E2BIG;
}

static int record_event(struct descriptor *descriptor)
{
        static const char name[] = "eventfd-count:";
        char text[TEXT_MAX];
        const char *line;
        int r = read_info(descriptor->fd, text);

        line = r < 0 ? NULL : strstr(text, name);
        if (!line)
                return r < 0 ? r : -ENOTSUP;
        descriptor->kind = EVENT;
        descriptor->number = strtoull(line + strlen(name), NULL, 16);
        return 0;
}

static int record_epoll(struct descriptor *descriptor)
{
        char text[TEXT_MAX];
        int r = read_info(descriptor->fd, text);

        if (r < 0)
                return r;
        descriptor->kind = EPOLL;
        for (const char *at = text; (at = strstr(at, "tfd:")); at += strlen("tfd:")) {
                struct watch *watch = &watches[watch_count];
                uint64_t data;
                uint32_t events;
                if (watch_count == WATCHES_MAX)
                        return -E2BIG;
                if (sscanf(at, "tfd: %d events: %" SCNx32 " data: %" SCNx64, &watch->fd, &events,
                           &data) != 3)
                        return -ENOTSUP;
                watch->event = (struct epoll_event){.events = events, .data.u64 = data};
                watch->epoll_fd = descriptor->fd;
                watch_count++;
        }
        return 0;
}

/* Without taking them out. */
static int record_bytes(struct descriptor *descriptor)
{
        int pair[2], waiting, r = 0;

        if (ioctl(descriptor->fd, FIONREAD, &waiting) < 0)
                return -errno;
        if (waiting == 0)
                return 0;
        if (waiting > PIPE_BYTES_MAX)
                return -E2BIG;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        if (tee(descriptor->fd, pair[1], (size_t)waiting, SPLICE_F_NONBLOCK) != waiting ||
            read(pair[0], descriptor->bytes, (size_t)waiting) != waiting)
                r = errno ? -errno : -EIO;
        (void)close(pair[0]);
        (void)close(pair[1]);
        descriptor->byte_count = waiting;
        return r;
}

static int record_pipe(struct descriptor *descriptor, const struct stat *status)
{
        if (descriptor->access == O_RDWR)
                return -ENOTSUP;
        descriptor->kind = descriptor->access == O_RDONLY ? PIPE_READ : PIPE_WRITE;
        descriptor->number = status->st_ino;
        return descriptor->kind == PIPE_READ ? record_bytes(descriptor) : 0;
}

/* /dev/null, zero, full, random and urandom: they have no state, and are in each sandbox. */
static int record_device(struct descriptor *descriptor, const struct stat *status, const char *path)
{
        unsigned int number = minor(status->st_rdev);

        if (!S_ISCHR(status->st_mode) || major(status->st_rdev) != 1 ||
            (number != 3 && number != 5 && number != 7 && number != 8 && number != 9) ||
            strlen(path) >= sizeof(descriptor->path))
                return -ENOTSUP;
        descriptor->kind = DEVICE;
        memcpy(descriptor->path, path, strlen(path) + 1);
        return 0;
}

static int record(int fd)
{
        struct descriptor *descriptor = &descriptors[descriptor_count];
        char path[40], target[64] = "";
        struct stat status;
        int flags = fcntl(fd, F_GETFL);

        if (descriptor_count == DESCRIPTORS_MAX)
                return -E2BIG;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (flags < 0 || fstat(fd, &status) < 0 || readlink(path, target, sizeof(target) - 1) < 0)
                return -errno;
        descriptor_count++;
        *descriptor = (struct descriptor){
                .fd = fd, .status = flags & O_NONBLOCK, .access = flags & O_ACCMODE};
        if (strcmp(target, "anon_inode:[eventfd]") == 0)
                return record_event(descriptor);
        if (strcmp(target, "anon_inode:[eventpoll]") == 0)
                return record_epoll(descriptor);
        if (S_ISFIFO(status.st_mode))
                return record_pipe(descriptor, &status);
        return record_device(descriptor, &status, target);
}

static int by_number(const void *a, const void *b)
{
        return ((const struct descriptor *)a)->fd - ((const struct descriptor *)b)->fd;
}

/* Is some end of a pipe somebody else's? It cannot be made anew then. */
static bool is_whole(const struct descriptor *end)
{
        enum kind other = end->kind == PIPE_READ ? PIPE_WRITE : PIPE_READ;

        for (size_t i = 0; i < descriptor_count; i++)
                if (descriptors[i].kind == other && descriptors[i].number == end->number)
                        return true;
        return false;
}

int descriptors_record(int from)
{
        DIR *folder = opendir("/proc/self/fd");
        const struct dirent *entry;
        int r = 0;

        if (!folder)
                return -errno;
        descriptor_count = watch_count = 0;
        while (r == 0 && (entry = readdir(folder))) {
                int fd = (int)strtol(entry->d_name, NULL, 10);
                if (entry->d_name[0] != '.' && fd >= from && fd != dirfd(folder))
                        r = record(fd);
        }
        (void)closedir(folder);
        qsort(descriptors, descriptor_count, sizeof(*descriptors), by_number);
        for (size_t i = 0; i < descriptor_count && r == 0; i++)
                if ((descriptors[i].kind == PIPE_READ || descriptors[i].kind == PIPE_WRITE) &&
                    !is_whole(&descriptors[i]))
                        r = -ENOTSUP;
        return r;
}

/* ---- in a copy ---- */

/* All between those that were recorded. */
static int close_others(int from)
{
        unsigned int next = (unsigned int)from;

        for (size_t i = 0; i < descriptor_count; i++) {
                unsigned int fd = (unsigned int)descriptors[i].fd;
                if (fd > next && close_range(next, fd - 1, 0) < 0)
                        return -errno;
                next = fd + 1;
        }
        return close_range(next, ~0u, 0) < 0 ? -errno : 0;
}

static int put(int fd, int number)
{
        if (fd < 0 || dup3(fd, number, O_CLOEXEC) < 0)
                return -errno;
        (void)close(fd);
        return 0;
}

/* The reading end, with its writing ends: all of one pipe. */
static int remake_pipe(const struct descriptor *reader)
{
        int pair[2], r;

        if (pipe2(pair, O_CLOEXEC) < 0)
                return -errno;
        if (reader->byte_count > 0 &&
            write(pair[1], reader->bytes, (size_t)reader->byte_count) != reader->byte_count)
                return -EIO;
        r = fcntl(pair[0], F_SETFL, reader->status) < 0 ? -errno : put(pair[0], reader->fd);
        for (size_t i = 0; i < descriptor_count && r == 0; i++) {
                const struct descriptor *writer = &descriptors[i];
                if (writer->kind != PIPE_WRITE || writer->number != reader->number)
                        continue;
                if (fcntl(pair[1], F_SETFL, writer->status) < 0 ||
                    dup3(pair[1], writer->fd, O_CLOEXEC) < 0)
                        r = -errno;
        }
        (void)close(pair[1]);
        return r;
}

static int remake(const struct descriptor *descriptor)
{
        switch (descriptor->kind) {
        case DEVICE:
                return put(
                        open(descriptor->path, descriptor->access | descriptor->status | O_CLOEXEC),
                        descriptor->fd);
        case PIPE_WRITE: /* with its reading end */
                return 0;
        case EVENT:
                return put(eventfd((unsigned int)descriptor->number,
                                   EFD_CLOEXEC | (descriptor->status ? EFD_NONBLOCK : 0)),
                           descriptor->fd);
        case PIPE_READ:
                return remake_pipe(descriptor);
        case EPOLL:
                return put(epoll_create1(EPOLL_CLOEXEC), descriptor->fd);
        }
        return -EINVAL;
}

int descriptors_remake(int from)
{
        int r = close_others(from);

        for (size_t i = 0; i < descriptor_count && r == 0; i++)
                r = remake(&descriptors[i]);
        for (size_t i = 0; i < watch_count && r == 0; i++) {
                struct epoll_event event = watches[i].event;
                if (epoll_ctl(watches[i].epoll_fd, EPOLL_CTL_ADD, watches[i].fd, &event) < 0)
                        r = -errno;
        }
        return r;
}
