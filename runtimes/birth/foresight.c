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

static int tell_mapping(int fd, int pages_fd, size_t start, size_t end)
{
        const size_t page = (size_t)getpagesize();
        struct foresight_span span = {.size = 0};
        uint64_t entries[ENTRIES];
        int r = 0;

        for (size_t at = start; at < end && r == 0;) {
                size_t count = (end - at) / page < ENTRIES ? (end - at) / page : ENTRIES;
                ssize_t size = (ssize_t)(count * sizeof(entries[0]));
                if (pread(pages_fd, entries, (size_t)size,
                          (off_t)(at / page * sizeof(entries[0]))) != size)
                        return -EIO;
                for (size_t i = 0; i < count && r == 0; i++, at += page) {
                        if (!is_written(entries[i])) {
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

int foresight_tell(int fd)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        int pages_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        int r = maps && pages_fd >= 0 ? 0 : -errno;
        unsigned long start, end;
        char mode[5], line[4400];

        while (r == 0 && fgets(line, sizeof(line), maps))
                if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 && mode[1] == 'w' &&
                    mode[3] == 'p')
                        r = tell_mapping(fd, pages_fd, start, end);
        if (pages_fd >= 0)
                (void)close(pages_fd);
        if (maps)
                (void)fclose(maps);
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
