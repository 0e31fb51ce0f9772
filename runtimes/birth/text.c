/* See text.h. */
#include "text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE ((size_t)2 << 20)
#define MAPPINGS_MAX 8

struct span {
        uintptr_t start, end;
};

static uintptr_t round_up(uintptr_t address)
{
        return (address + HUGE - 1) & ~(uintptr_t)(HUGE - 1);
}

/* Where files are mapped to be executed. Their number, or a negative errno. */
static int find_text(struct span ret_spans[MAPPINGS_MAX])
{
        FILE *file = fopen("/proc/self/maps", "re");
        unsigned long start, end, inode;
        char mode[5], line[4400];
        int count = 0;

        if (!file)
                return -errno;
        while (count < MAPPINGS_MAX && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, mode, &inode) != 4 ||
                    inode == 0 || strcmp(mode, "r-xp") != 0)
                        continue;
                start = round_up(start);
                end &= ~(HUGE - 1);
                if (start < end)
                        ret_spans[count++] = (struct span){start, end};
        }
        (void)fclose(file);
        return count;
}

/* Has the kernel given huge pages for all of it? */
static bool is_huge(uintptr_t start, size_t size)
{
        FILE *file = fopen("/proc/self/smaps", "re");
        unsigned long from, to, huge_kib = 0;
        bool is_here = false, is = false;
        char line[4400];

        while (file && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
                        is_here = from <= start && start + size <= to;
                else if (is_here && sscanf(line, "AnonHugePages: %lu", &huge_kib) == 1)
                        is = huge_kib >= size / 1024;
        }
        if (file)
                (void)fclose(file);
        return is;
}

static int move(const struct span *span)
{
        size_t size = span->end - span->start;
        char *room =
                mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *copy;
        int r = 0;

        if (room == MAP_FAILED)
                return -errno;
        copy = (char *)round_up((uintptr_t)room);
        if (madvise(copy, size, MADV_HUGEPAGE) == 0) {
                memcpy(copy, (const void *)span->start, size);
                if (is_huge((uintptr_t)copy, size) &&
                    (mprotect(copy, size, PROT_READ | PROT_EXEC) < 0 ||
                     mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)span->start) ==
                             MAP_FAILED))
                        r = -errno;
        }
        (void)munmap(room, size + HUGE); /* what is left of it */
        return r;
}

int text_move(void)
{
        struct span spans[MAPPINGS_MAX];
        int count = find_text(spans), r = count < 0 ? count : 0;

        for (int i = 0; i < count && r == 0; i++)
                r = move(&spans[i]);
        return r;
}
