/* See foresight.h. */
#include "foresight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define SPANS_MAX 2048
#define ENTRIES 512

/* Documentation/admin-guide/mm/pagemap.rst. What is mapped once has been copied: the nursery's pages are
 * mapped by both. */
#define IS_PRESENT (1ull << 63)
#define IS_FILE (1ull << 61)
#define IS_MAPPED_ONCE (1ull << 56)

static struct foresight_span spans[SPANS_MAX];
static size_t span_count;

/* ---- in the trial ---- */

/* In memory that no copy will have: what is written to while the trial looks is of no interest. */
struct notes {
        uint64_t entries[ENTRIES];
        char maps[1 << 20];
};

static bool is_written(uint64_t entry)
{
        return (entry & IS_PRESENT) && (entry & IS_MAPPED_ONCE) && !(entry & IS_FILE);
}

static int tell(int fd, struct foresight_span *span)
{
        if (span->size > 0 && write(fd, span, sizeof(*span)) != (ssize_t)sizeof(*span))
                return -EPIPE;
        span->size = 0;
        return 0;
}

static int tell_mapping(int fd, int pages_fd, struct notes *notes, size_t start, size_t end)
{
        const size_t page = (size_t)getpagesize();
        struct foresight_span span = {.size = 0};
        int r = 0;

        for (size_t at = start; at < end && r == 0;) {
                size_t count = (end - at) / page < ENTRIES ? (end - at) / page : ENTRIES;
                ssize_t size = (ssize_t)(count * sizeof(notes->entries[0]));
                if (pread(pages_fd, notes->entries, (size_t)size,
                          (off_t)(at / page * sizeof(notes->entries[0]))) != size)
                        return -EIO;
                for (size_t i = 0; i < count && r == 0; i++, at += page) {
                        if (!is_written(notes->entries[i])) {
                                r = tell(fd, &span);
                                continue;
                        }
                        if (span.size == 0)
                                span.start = at;
                        span.size += page;
                }
        }
        return r == 0 ? tell(fd, &span) : r;
}

static int read_maps(struct notes *notes)
{
        int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        size_t length = 0;
        ssize_t got = 1;

        if (fd < 0)
                return -errno;
        while (got > 0 && length < sizeof(notes->maps) - 1) {
                got = read(fd, notes->maps + length, sizeof(notes->maps) - 1 - length);
                length += got > 0 ? (size_t)got : 0;
        }
        (void)close(fd);
        notes->maps[length] = '\0';
        return got == 0 ? 0 : -EIO;
}

static int tell_mappings(int fd, int pages_fd, struct notes *notes)
{
        unsigned long start, end;
        char mode[5], *rest = NULL;
        int r = read_maps(notes);

        for (char *line = strtok_r(notes->maps, "\n", &rest); line && r == 0;
             line = strtok_r(NULL, "\n", &rest))
                if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 && mode[1] == 'w' &&
                    mode[3] == 'p')
                        r = tell_mapping(fd, pages_fd, notes, start, end);
        return r;
}

int foresight_tell(int fd)
{
        struct notes *notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int pages_fd, r;

        if (notes == MAP_FAILED)
                return -errno;
        pages_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        r = pages_fd < 0 ? -errno : tell_mappings(fd, pages_fd, notes);
        if (pages_fd >= 0)
                (void)close(pages_fd);
        (void)munmap(notes, sizeof(*notes));
        return r;
}

/* ---- in the nursery, and in its copies ---- */

void foresight_hear(int fd)
{
        const ssize_t size = sizeof(spans[0]);

        for (span_count = 0; span_count < SPANS_MAX; span_count++)
                if (read(fd, &spans[span_count], (size_t)size) != size)
                        break;
}

/* What fails is what the nursery has not mapped, or a system that cannot: the faults come later then. */
void foresight_use(void)
{
        for (size_t i = 0; i < span_count; i++)
                (void)madvise((void *)spans[i].start, spans[i].size, MADV_POPULATE_WRITE);
}
