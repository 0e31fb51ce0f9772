/* Which pages a process has to itself, and which of them differ from the nursery's; see image.h. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define IS_PRESENT (1ull << 63)
#define IS_SWAPPED (1ull << 62)
#define IS_FILE (1ull << 61) /* or shared memory */
#define ENTRIES 8192

static int visit_entries(const struct mapping *mapping, uint64_t from, const uint64_t *entries,
                         size_t count, page_visitor *visit, void *context)
{
        int r = 0;

        for (size_t i = 0; i < count && r == 0; i++)
                if ((entries[i] & (IS_PRESENT | IS_SWAPPED)) && !(entries[i] & IS_FILE))
                        r = visit(context, from + i * PAGE, mapping);
        return r;
}

static int visit_mapping(int fd, const struct mapping *mapping, page_visitor *visit, void *context)
{
        uint64_t *entries = (uint64_t *)(void *)snapshot_places.own->scratch;
        uint64_t at = mapping->start;
        int r = 0;

        while (at < mapping->end && r == 0) {
                uint64_t count = (mapping->end - at) / PAGE;
                ssize_t got;
                if (count > ENTRIES)
                        count = ENTRIES;
                got = pread(fd, entries, count * sizeof(*entries),
                            (off_t)(at / PAGE * sizeof(*entries)));
                if (got <= 0)
                        return got < 0 ? -errno : -EPROTO;
                count = (uint64_t)got / sizeof(*entries);
                r = visit_entries(mapping, at, entries, count, visit, context);
                at += count * PAGE;
        }
        return r;
}

int pages_visit(const struct maps *maps, page_visitor *visit, void *context)
{
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        int r = 0;

        if (fd < 0)
                return -errno;
        for (uint64_t i = 0; i < maps->count && r == 0; i++) {
                const struct mapping *mapping = &maps->mappings[i];
                if (mapping->kind == KIND_ANONYMOUS || mapping->kind == KIND_FILE ||
                    mapping->kind == KIND_STACK)
                        r = visit_mapping(fd, mapping, visit, context);
        }
        (void)close(fd);
        return r;
}

/* Four lanes, so that the multiplications overlap. Who could find two pages of the same hash would
 * confuse nobody but itself. */
uint64_t page_hash(uint64_t address)
{
        const uint64_t *words = (const uint64_t *)(uintptr_t)address;
        uint64_t lanes[4] = {1, 2, 3, 4}, hash = 0;

        for (size_t i = 0; i < PAGE / sizeof(*words); i += 4)
                for (size_t lane = 0; lane < 4; lane++) {
                        lanes[lane] = (lanes[lane] ^ words[i + lane]) * 0x9e3779b97f4a7c15ull;
                        lanes[lane] ^= lanes[lane] >> 29;
                }
        for (size_t lane = 0; lane < 4; lane++)
                hash = (hash ^ lanes[lane]) * 0xff51afd7ed558ccdull;
        return hash ^ hash >> 32;
}

const struct page *base_find(const struct base *base, uint64_t address, uint64_t *cursor)
{
        while (*cursor < base->page_count && base->pages[*cursor].address < address)
                (*cursor)++;
        if (*cursor < base->page_count && base->pages[*cursor].address == address)
                return &base->pages[*cursor];
        return NULL;
}

struct search {
        struct own *own;
        const struct base *base;
        uint64_t cursor;
};

static int note_if_changed(void *context, uint64_t address, const struct mapping *mapping)
{
        struct search *search = context;
        const struct page *page = base_find(search->base, address, &search->cursor);
        uint64_t hash;

        /* Who loads has the stack of whom it loads. */
        if (mapping->kind == KIND_STACK || !(mapping->protection & PROT_READ))
                return 0;
        hash = page_hash(address);
        if (page && page->hash == hash)
                return 0;
        if (search->own->changed_count == PAGES_MAX)
                return -E2BIG;
        search->own->changed[search->own->changed_count++] =
                (struct page){.address = address, .hash = hash};
        return 0;
}

int changed_find(struct own *own, const struct base *base)
{
        struct search search = {.own = own, .base = base};

        own->changed_count = 0;
        return pages_visit(&own->mine, note_if_changed, &search);
}
