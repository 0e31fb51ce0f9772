/* The process's mappings, from /proc; see image.h. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool starts_with(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_ours(uint64_t start, uint64_t end)
{
        const struct places *places = &snapshot_places;

        return start < (uint64_t)(uintptr_t)places->end && end > (uint64_t)(uintptr_t)places->base;
}

static uint8_t kind_of(const struct mapping *mapping, const char *name, char shared)
{
        if (is_ours(mapping->start, mapping->end))
                return KIND_OURS;
        if (starts_with(name, "[stack]"))
                return KIND_STACK;
        if (starts_with(name, "[v"))
                return KIND_KERNEL;
        if (shared == 's')
                return KIND_SHARED;
        return mapping->inode != 0 ? KIND_FILE : KIND_ANONYMOUS;
}

static int add_path(struct maps *maps, struct mapping *mapping, const char *path)
{
        size_t size = strlen(path) + 1;

        if (size > PATHS_MAX - maps->path_bytes)
                return -E2BIG;
        memcpy(maps->paths + maps->path_bytes, path, size);
        mapping->path = (uint32_t)maps->path_bytes;
        maps->path_bytes += size;
        return 0;
}

/* "start-end rwxp offset major:minor inode   path" */
static int add_line(struct maps *maps, const char *line)
{
        struct mapping *mapping = &maps->mappings[maps->count];
        unsigned long start, end, offset, inode;
        unsigned int major, minor;
        char permissions[5];
        int consumed = 0;

        if (maps->count == MAPPING_MAX)
                return -E2BIG;
        if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &start, &end, permissions, &offset, &major,
                   &minor, &inode, &consumed) < 7)
                return -EPROTO;
        *mapping = (struct mapping){.start = start,
                                    .end = end,
                                    .offset = offset,
                                    .inode = inode,
                                    .device = (uint64_t)major << 32 | minor};
        if (permissions[0] == 'r')
                mapping->protection |= PROT_READ;
        if (permissions[1] == 'w')
                mapping->protection |= PROT_WRITE;
        if (permissions[2] == 'x')
                mapping->protection |= PROT_EXEC;
        mapping->kind = kind_of(mapping, line + consumed, permissions[3]);
        maps->count++;
        return mapping->kind == KIND_FILE ? add_path(maps, mapping, line + consumed) : 0;
}

/* wf: wiped on fork; dc: not copied by a fork; io, pf: a device's; ss: a shadow stack. */
static int add_flags(struct maps *maps, const char *flags)
{
        struct mapping *mapping = &maps->mappings[maps->count - 1];

        if (mapping->kind == KIND_KERNEL || mapping->kind == KIND_OURS)
                return 0;
        mapping->wiped_on_fork = strstr(flags, " wf") != NULL;
        if (strstr(flags, " dc") || strstr(flags, " io") || strstr(flags, " pf") ||
            strstr(flags, " ss"))
                return -EBUSY;
        return 0;
}

static bool is_hexadecimal(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static int add_text(struct maps *maps, char *line)
{
        if (is_hexadecimal(line[0])) /* the other lines of smaps begin with capitals */
                return add_line(maps, line);
        return starts_with(line, "VmFlags:") && maps->count > 0 ? add_flags(maps, line) : 0;
}

/* Takes the whole lines off the front of the text; how many bytes are left of a last one. */
static int add_lines(struct maps *maps, char *text, size_t *length)
{
        char *line = text, *end;

        while ((end = memchr(line, '\n', *length))) {
                int r;
                *end = '\0';
                r = add_text(maps, line);
                if (r < 0)
                        return r;
                *length -= (size_t)(end + 1 - line);
                line = end + 1;
        }
        memmove(text, line, *length);
        return 0;
}

int maps_read(struct maps *ret_maps, bool flags)
{
        char *text = (char *)snapshot_places.own->scratch;
        const size_t capacity = sizeof(snapshot_places.own->scratch);
        size_t length = 0;
        ssize_t got = 1;
        int r = 0, fd;

        fd = open(flags ? "/proc/self/smaps" : "/proc/self/maps", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        ret_maps->count = 0;
        ret_maps->path_bytes = 1; /* 0 is no path */
        while (r == 0 && got > 0) {
                got = read(fd, text + length, capacity - length);
                if (got < 0)
                        r = -errno;
                length += got > 0 ? (size_t)got : 0;
                if (r == 0)
                        r = add_lines(ret_maps, text, &length);
        }
        (void)close(fd);
        return r;
}

const char *maps_path(const struct maps *maps, const struct mapping *mapping)
{
        return maps->paths + mapping->path;
}
