/* A process becomes another; see snapshot.h.
 *
 * Everything that can fail for a reason is looked at first. Then the work goes on on a stack of our
 * own, because the process's is among what is replaced, and a failure ends the process: it has not
 * said READY, so that nobody's call is lost.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_MAX 512
#define MAPPED_FROM 4 /* pages; shorter runs are copied */

#define MUST(condition)                                                                            \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        _exit(WORKER_HEIRLOOM_BROKEN);                                             \
        } while (0)

/* ---- looking ---- */

static int read_tables(struct own *own, int fd)
{
        struct header *header = &own->header;
        struct maps *maps = &own->theirs;
        struct iovec parts[4];
        ssize_t got = pread(fd, header, sizeof(*header), 0);

        if (got != sizeof(*header) || header->state != WORKER_HEIRLOOM_COMPLETE ||
            header->mapping_count > MAPPING_MAX || header->path_bytes > PATHS_MAX ||
            header->run_count > RUNS_MAX || header->hash_count > PAGES_MAX ||
            header->signal_count > SIGNALS)
                return -EPROTO;
        parts[0] = (struct iovec){maps->mappings, header->mapping_count * sizeof(struct mapping)};
        parts[1] = (struct iovec){maps->paths, header->path_bytes};
        parts[2] = (struct iovec){own->runs, header->run_count * sizeof(struct run)};
        parts[3] = (struct iovec){own->hashes, header->hash_count * sizeof(uint64_t)};
        got = preadv(fd, parts, 4, sizeof(*header));
        if (got < 0 || (uint64_t)got != header->size_of_tables)
                return -EPROTO;
        maps->count = header->mapping_count;
        maps->path_bytes = header->path_bytes;
        own->run_count = header->run_count;
        own->hash_count = header->hash_count;
        return 0;
}

static bool same_backing(const struct mapping *a, const struct mapping *b)
{
        return a->kind == b->kind &&
               (a->kind != KIND_FILE || (a->device == b->device && a->inode == b->inode &&
                                         a->start - a->offset == b->start - b->offset));
}

static int open_file(const struct maps *maps, const struct mapping *mapping)
{
        int fd = open(maps_path(maps, mapping), O_RDONLY | O_CLOEXEC);
        struct stat status;

        MUST(fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == mapping->stat_device &&
             status.st_ino == mapping->stat_inode);
        return fd;
}

/* ---- mappings ---- */

static bool is_fixed(const struct mapping *mapping)
{
        return mapping && (mapping->kind == KIND_STACK || mapping->kind == KIND_KERNEL ||
                           mapping->kind == KIND_OURS || mapping->kind == KIND_SHARED);
}

static void map_new(const struct maps *maps, const struct mapping *mapping, uint64_t from,
                    uint64_t to)
{
        int protection = mapping->protection | (mapping->filled ? PROT_WRITE : 0);
        bool is_file = mapping->kind == KIND_FILE;
        int fd = is_file ? open_file(maps, mapping) : -1;
        int flags = MAP_PRIVATE | MAP_FIXED | (is_file ? 0 : MAP_ANONYMOUS | MAP_NORESERVE);
        off_t offset = is_file ? (off_t)(mapping->offset + from - mapping->start) : 0;

        MUST(mmap((void *)(uintptr_t)from, to - from, protection, flags, fd, offset) != MAP_FAILED);
        if (fd >= 0)
                (void)close(fd);
        if (mapping->wiped_on_fork)
                MUST(madvise((void *)(uintptr_t)from, to - from, MADV_WIPEONFORK) == 0);
}

/* What was there is lost, and nothing of it the same as anything. */
static void lose(struct own *own, uint64_t from, uint64_t to)
{
        for (uint64_t i = 0; i < own->changed_count; i++)
                if (own->changed[i].address >= from && own->changed[i].address < to)
                        own->changed[i].hash = ~own->changed[i].hash;
}

/* Where they still have a page of the nursery's that this process has given up, it is not among what
 * was saved. What was, comes over it. */
static void bring_back(const struct mapping *theirs, uint64_t from, uint64_t to)
{
        const struct base *base = snapshot_places.base;
        bool is_writable = theirs->filled || (theirs->protection & PROT_WRITE);

        for (uint64_t i = 0; i < base->page_count; i++) {
                uint64_t address = base->pages[i].address;
                void *page = (void *)(uintptr_t)address;
                if (address < from || address >= to)
                        continue;
                if (!is_writable)
                        MUST(mprotect(page, PAGE, theirs->protection | PROT_WRITE) == 0);
                memcpy(page, base->image + i * PAGE, PAGE);
                if (!is_writable)
                        MUST(mprotect(page, PAGE, theirs->protection) == 0);
        }
}

/* Of this piece of the address space, in which neither side has a border. */
static void conform_piece(struct own *own, const struct mapping *mine, const struct mapping *theirs,
                          uint64_t from, uint64_t to)
{
        if (is_fixed(mine) || is_fixed(theirs)) {
                MUST(!mine || !theirs || mine->kind == theirs->kind);
        } else if (!theirs) {
                MUST(munmap((void *)(uintptr_t)from, to - from) == 0);
        } else if (!mine || !same_backing(mine, theirs)) {
                lose(own, from, to);
                map_new(&own->theirs, theirs, from, to);
                bring_back(theirs, from, to);
        } else if (mine->protection != theirs->protection || theirs->filled) {
                int protection = theirs->protection | (theirs->filled ? PROT_WRITE : 0);
                if (protection != mine->protection)
                        MUST(mprotect((void *)(uintptr_t)from, to - from, protection) == 0);
        }
}

static const struct mapping *next_at(const struct maps *maps, uint64_t *index, uint64_t at,
                                     uint64_t *border)
{
        const struct mapping *mapping;

        while (*index < maps->count && maps->mappings[*index].end <= at)
                (*index)++;
        if (*index == maps->count)
                return NULL;
        mapping = &maps->mappings[*index];
        if (mapping->start > at) {
                if (mapping->start < *border)
                        *border = mapping->start;
                return NULL;
        }
        if (mapping->end < *border)
                *border = mapping->end;
        return mapping;
}

static void conform(struct own *own)
{
        uint64_t i = 0, j = 0, at = 0, border = UINT64_MAX;

        while (at != UINT64_MAX) {
                const struct mapping *mine, *theirs;
                border = UINT64_MAX;
                mine = next_at(&own->mine, &i, at, &border);
                theirs = next_at(&own->theirs, &j, at, &border);
                if (mine || theirs)
                        conform_piece(own, mine, theirs, at, border);
                at = border;
        }
}

/* The heap ends where theirs does, and `mine` says so. */
static void move_break(struct own *own, uint64_t address)
{
        uint64_t now = (uint64_t)(uintptr_t)sbrk(0);
        uint64_t old_end = (now + PAGE - 1) / PAGE * PAGE;

        if (now == address)
                return;
        MUST(brk((void *)(uintptr_t)address) == 0);
        for (uint64_t i = 0; i < own->mine.count; i++)
                if (own->mine.mappings[i].end == old_end)
                        own->mine.mappings[i].end = (address + PAGE - 1) / PAGE * PAGE;
}

/* ---- pages ---- */

static void *pointer(uint64_t address)
{
        return (void *)(uintptr_t)address;
}

static const struct mapping *find(const struct maps *maps, uint64_t address, uint64_t *cursor)
{
        while (*cursor < maps->count && maps->mappings[*cursor].end <= address)
                (*cursor)++;
        if (*cursor == maps->count || maps->mappings[*cursor].start > address)
                return NULL;
        return &maps->mappings[*cursor];
}

struct batch {
        int fd, count;
        uint64_t source, next;
        struct iovec parts[PARTS_MAX];
};

/* preadv(2) may stop short where a page cannot be had. */
static void flush(struct batch *batch)
{
        ssize_t wanted = (ssize_t)(batch->next - batch->source);

        if (batch->count > 0)
                MUST(preadv(batch->fd, batch->parts, batch->count, (off_t)batch->source) == wanted);
        batch->count = 0;
}

static void copy_later(struct batch *batch, const struct run *run)
{
        if (batch->count == PARTS_MAX || (batch->count > 0 && batch->next != run->source))
                flush(batch);
        if (batch->count == 0)
                batch->source = run->source;
        batch->parts[batch->count++] = (struct iovec){pointer(run->address), run->count * PAGE};
        batch->next = run->source + run->count * PAGE;
}

/* Pages in sequence are not copied but mapped: they cost a page fault only if they are needed, and are
 * shared by all who have loaded them until they are written to. */
static bool map_run(const struct own *own, int fd, const struct run *run, uint64_t *cursor)
{
        const struct mapping *theirs = find(&own->theirs, run->address, cursor);

        if (run->count < MAPPED_FROM || !theirs || theirs->kind != KIND_ANONYMOUS ||
            (theirs->protection & PROT_EXEC))
                return false;
        MUST(mmap(pointer(run->address), run->count * PAGE, theirs->protection,
                  MAP_PRIVATE | MAP_FIXED, fd, (off_t)run->source) != MAP_FAILED);
        return true;
}

/* Where in the tables one is that are walked together, by ascending addresses. */
struct walk {
        uint64_t changed, hash, mapping;
};

enum fate { FATE_SAME, FATE_COPIED, FATE_TAKEN };

/* A page that this process has written to itself may have become the same; else it is there to be
 * written to without a page fault. */
static enum fate fate_of(const struct own *own, struct walk *walk, uint64_t address)
{
        uint64_t hash;

        MUST(walk->hash < own->hash_count);
        hash = own->hashes[walk->hash++];
        while (walk->changed < own->changed_count && own->changed[walk->changed].address < address)
                walk->changed++;
        if (walk->changed == own->changed_count || own->changed[walk->changed].address != address)
                return FATE_TAKEN;
        return own->changed[walk->changed].hash == hash ? FATE_SAME : FATE_COPIED;
}

static void take(const struct own *own, struct batch *batch, const struct run *run, enum fate fate,
                 uint64_t *mapping)
{
        if (run->count == 0 || fate == FATE_SAME)
                return;
        if (fate == FATE_COPIED || !map_run(own, batch->fd, run, mapping))
                copy_later(batch, run);
}

/* The run in pieces of one fate each. */
static void take_run(const struct own *own, struct batch *batch, const struct run *run,
                     struct walk *walk)
{
        struct run piece = {.address = run->address, .source = run->source};
        enum fate fate = FATE_SAME;

        for (uint64_t i = 0; i < run->count; i++) {
                enum fate here = fate_of(own, walk, run->address + i * PAGE);
                if (here != fate) {
                        take(own, batch, &piece, fate, &walk->mapping);
                        piece = (struct run){.address = run->address + i * PAGE,
                                             .source = run->source + i * PAGE};
                        fate = here;
                }
                piece.count++;
        }
        take(own, batch, &piece, fate, &walk->mapping);
}

static void fill(const struct own *own, int fd)
{
        struct batch batch = {.fd = fd};
        struct walk walk = {0};

        for (uint64_t i = 0; i < own->run_count; i++) {
                const struct run *run = &own->runs[i];
                if (run->source == 0)
                        MUST(madvise(pointer(run->address), run->count * PAGE, MADV_DONTNEED) == 0);
                else
                        take_run(own, &batch, run, &walk);
        }
        flush(&batch);
}

/* What this process has changed and the other has not is as the nursery had it. */
static void revert(const struct own *own, const struct base *base)
{
        uint64_t run = 0, mapping = 0, page = 0;

        for (uint64_t i = 0; i < own->changed_count; i++) {
                uint64_t address = own->changed[i].address;
                const struct page *was;
                const struct mapping *theirs;
                while (run < own->run_count &&
                       own->runs[run].address + own->runs[run].count * PAGE <= address)
                        run++;
                if (run < own->run_count && own->runs[run].address <= address)
                        continue;
                theirs = find(&own->theirs, address, &mapping);
                if (!theirs || is_fixed(theirs))
                        continue;
                was = base_find(base, address, &page);
                if (!was) {
                        MUST(madvise(pointer(address), PAGE, MADV_DONTNEED) == 0);
                        continue;
                }
                if (!(theirs->protection & PROT_WRITE) && !theirs->filled)
                        MUST(mprotect(pointer(address), PAGE, theirs->protection | PROT_WRITE) ==
                             0);
                memcpy(pointer(address), base->image + (uint64_t)(was - base->pages) * PAGE, PAGE);
                if (!(theirs->protection & PROT_WRITE) && !theirs->filled)
                        MUST(mprotect(pointer(address), PAGE, theirs->protection) == 0);
        }
}

static void protect_again(const struct own *own)
{
        for (uint64_t i = 0; i < own->theirs.count; i++) {
                const struct mapping *mapping = &own->theirs.mappings[i];
                if (mapping->filled && !(mapping->protection & PROT_WRITE))
                        MUST(mprotect(pointer(mapping->start), mapping->end - mapping->start,
                                      mapping->protection) == 0);
        }
}

/* ---- becoming it ---- */

static void become(int fd)
{
        struct own *own = snapshot_places.own;
        const struct header *header = &own->header;

        move_break(own, header->break_address);
        conform(own);
        fill(own, fd);
        revert(own, snapshot_places.base);
        protect_again(own);
        for (uint32_t i = 0; i < header->signal_count; i++)
                MUST(sigaction(header->signal_numbers[i], &header->signals[i], NULL) == 0);
        own->resumed = 1;
        (void)setcontext(&header->context);
        _exit(WORKER_HEIRLOOM_BROKEN);
}

int snapshot_load(int fd)
{
        struct own *own = snapshot_places.own;
        const struct base *base = snapshot_places.base;
        ucontext_t context;
        int r = read_tables(own, fd);

        if (r < 0)
                return r;
        /* The C library keeps the thread's number in memory. */
        if (memcmp(own->header.nursery, base->nursery, sizeof(base->nursery)) != 0 ||
            own->header.thread != (uint32_t)gettid())
                return -ESTALE;
        if (getcontext(&context) < 0)
                return -errno;
        context.uc_stack.ss_sp = own->stack;
        context.uc_stack.ss_size = sizeof(own->stack);
        context.uc_link = NULL;
        makecontext(&context, (void (*)(void))become, 1, fd);
        (void)setcontext(&context);
        return -errno;
}
