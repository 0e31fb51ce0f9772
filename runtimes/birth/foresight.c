/* See foresight.h. */
#include "foresight.h"

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
#define MAPPING_MAX ((size_t)4 << 30)

/* Documentation/admin-guide/mm/pagemap.rst. What is mapped once has been copied: the nursery's pages are
 * mapped by both. */
#define IS_PRESENT (1ull << 63)
#define IS_FILE (1ull << 61)
#define IS_MAPPED_ONCE (1ull << 56)

/* Pages in sequence; bytes. */
static struct span {
        size_t start, size;
} spans[SPANS_MAX];
static size_t span_count;

/* Mapped after the scout was copied: what the nursery writes to looks as if the scout had. */
struct notes {
        struct span spans[SPANS_MAX];
        size_t span_count;
        uint64_t entries[ENTRIES];
        char maps[1 << 20];
};

static bool is_written(uint64_t entry)
{
        return (entry & IS_PRESENT) && (entry & IS_MAPPED_ONCE) && !(entry & IS_FILE);
}

static void note(struct notes *notes, size_t start, size_t size)
{
        struct span *last = notes->span_count > 0 ? &notes->spans[notes->span_count - 1] : NULL;

        if (last && last->start + last->size == start)
                last->size += size;
        else if (notes->span_count < SPANS_MAX)
                notes->spans[notes->span_count++] = (struct span){start, size};
}

static void look_at(struct notes *notes, int pages_fd, size_t start, size_t end)
{
        const size_t page = (size_t)getpagesize(), entry_size = sizeof(notes->entries[0]);
        ssize_t got = 1;

        for (size_t at = start; at < end && got > 0;) {
                size_t count = (end - at) / page < ENTRIES ? (end - at) / page : ENTRIES;
                got = pread(pages_fd, notes->entries, count * entry_size,
                            (off_t)(at / page * entry_size));
                for (ssize_t i = 0; i < got / (ssize_t)entry_size; i++, at += page)
                        if (is_written(notes->entries[i]))
                                note(notes, at, page);
        }
}

/* False where there is more than fits. */
static bool read_maps(struct notes *notes, int fd)
{
        size_t length = 0;
        ssize_t got = 1;

        while (got > 0 && length < sizeof(notes->maps) - 1) {
                got = read(fd, notes->maps + length, sizeof(notes->maps) - 1 - length);
                length += got > 0 ? (size_t)got : 0;
        }
        return got == 0;
}

/* Where later copies have memory that can be written to, which is where the nursery has. What is larger is
 * room that was set aside. */
static bool is_memory(const char *line, size_t *ret_start, size_t *ret_end)
{
        char mode[5];

        return sscanf(line, "%zx-%zx %4s", ret_start, ret_end, mode) == 3 && mode[1] == 'w' &&
               mode[3] == 'p' && *ret_end - *ret_start <= MAPPING_MAX;
}

static void look_at_all(struct notes *notes, pid_t scout)
{
        char path[48], *rest = NULL;
        int maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), pages_fd;
        size_t start, end;

        (void)snprintf(path, sizeof(path), "/proc/%d/pagemap", scout);
        pages_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (maps_fd >= 0 && pages_fd >= 0 && read_maps(notes, maps_fd))
                for (char *line = strtok_r(notes->maps, "\n", &rest); line;
                     line = strtok_r(NULL, "\n", &rest))
                        if (is_memory(line, &start, &end))
                                look_at(notes, pages_fd, start, end);
        if (maps_fd >= 0)
                (void)close(maps_fd);
        if (pages_fd >= 0)
                (void)close(pages_fd);
}

void foresight_learn(pid_t scout)
{
        /* Shared: such mappings are not looked at. */
        struct notes *notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (notes == MAP_FAILED)
                return;
        look_at_all(notes, scout);
        memcpy(spans, notes->spans, notes->span_count * sizeof(spans[0]));
        span_count = notes->span_count;
        (void)munmap(notes, sizeof(*notes));
}

/* Where the system cannot, or the memory was given up meanwhile, the faults come later. */
void foresight_use(void)
{
        for (size_t i = 0; i < span_count; i++)
                (void)madvise((void *)spans[i].start, spans[i].size, MADV_POPULATE_WRITE);
}
