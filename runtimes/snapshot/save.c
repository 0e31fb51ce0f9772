/* A process writes down what it has become; see snapshot.h. */
#include "image.h"
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BELOW 4096 /* of the frame that is saved, for what it calls */

/* ---- what no snapshot can hold ---- */

/* Entries of a folder of /proc with a number above `most`; or a negative errno. */
static int count_above(const char *path, long most)
{
        DIR *folder = opendir(path);
        struct dirent *entry;
        int count = 0;

        if (!folder)
                return -errno;
        while ((entry = readdir(folder)))
                count += entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) > most;
        (void)closedir(folder);
        return count;
}

static int check_timers(void)
{
        static const int kinds[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
        struct itimerval timer;

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (getitimer((__itimer_which_t)kinds[i], &timer) < 0 ||
                    timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0)
                        return -EBUSY;
        return 0;
}

static int check_process(void)
{
        siginfo_t info;

        if (count_above("/proc/self/task", 0) != 1)
                return -EBUSY;
        /* One is the folder's own. */
        if (count_above("/proc/self/fd", SNAPSHOT_FD) != 1)
                return -EBUSY;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD)
                return -EBUSY;
        return check_timers();
}

/* The kernel fills 64 bits of the mask, the C library leaves what it likes behind them. */
static bool same_action(const struct sigaction *a, const struct sigaction *b)
{
        return a->sa_handler == b->sa_handler && a->sa_flags == b->sa_flags &&
               memcmp(&a->sa_mask, &b->sa_mask, SIGNALS / 8) == 0;
}

/* Changed signal handlers are kept; a changed limit or mask is rare enough to be refused. */
static int note_signals(struct header *header, const struct traits *before)
{
        struct traits traits = {0};
        int r = traits_read(&traits);

        if (r < 0)
                return r;
        if (traits.mask != before->mask ||
            memcmp(traits.limits, before->limits, sizeof(traits.limits)) != 0)
                return -EBUSY;
        header->signal_count = 0;
        for (int number = 1; number <= SIGNALS; number++) {
                if (same_action(&traits.signals[number], &before->signals[number]))
                        continue;
                header->signals[header->signal_count] = traits.signals[number];
                header->signal_numbers[header->signal_count++] = (uint8_t)number;
        }
        return 0;
}

/* ---- mappings ---- */

static bool has_mapping(const struct maps *maps, const struct mapping *wanted)
{
        for (uint64_t i = 0; i < maps->count; i++) {
                const struct mapping *mapping = &maps->mappings[i];
                if (mapping->start <= wanted->start && mapping->end >= wanted->end &&
                    mapping->kind == wanted->kind && mapping->device == wanted->device &&
                    mapping->inode == wanted->inode)
                        return true;
        }
        return false;
}

/* A file that only this process has mapped will be found by its path. */
static int note_file(struct maps *maps, struct mapping *mapping)
{
        struct stat status;

        if (stat(maps_path(maps, mapping), &status) < 0 || !S_ISREG(status.st_mode))
                return -EBUSY;
        mapping->stat_device = status.st_dev;
        mapping->stat_inode = status.st_ino;
        return 0;
}

static int check_mappings(struct maps *maps, const struct maps *before)
{
        int r = 0;

        for (uint64_t i = 0; i < maps->count && r == 0; i++) {
                struct mapping *mapping = &maps->mappings[i];
                if (mapping->kind == KIND_SHARED && !has_mapping(before, mapping))
                        r = -EBUSY;
                else if (mapping->kind == KIND_FILE && !has_mapping(before, mapping))
                        r = note_file(maps, mapping);
        }
        return r;
}

/* ---- pages ---- */

struct saving {
        struct own *own;
        const struct base *base;
        uint64_t cursor;  /* in the nursery's pages */
        uint64_t mapping; /* index, for pages that are no more */
        uint64_t stack_from;
        uint64_t private_pages, pages;
        const struct mapping *last_mapping;
};

static int add_hash(struct own *own, uint64_t hash)
{
        if (own->hash_count == PAGES_MAX)
                return -E2BIG;
        own->hashes[own->hash_count++] = hash;
        return 0;
}

static int add_page(struct saving *saving, uint64_t address, const struct mapping *mapping,
                    bool has_contents)
{
        struct own *own = saving->own;
        struct run *last = own->run_count > 0 ? &own->runs[own->run_count - 1] : NULL;

        if (last && last->address + last->count * PAGE == address &&
            saving->last_mapping == mapping && (last->source != 0) == has_contents) {
                last->count++;
        } else {
                if (own->run_count == RUNS_MAX)
                        return -E2BIG;
                own->runs[own->run_count++] =
                        (struct run){.address = address, .count = 1, .source = has_contents};
        }
        saving->last_mapping = mapping;
        saving->pages += has_contents;
        return 0;
}

static const struct mapping *mapping_at(struct saving *saving, uint64_t address)
{
        const struct maps *maps = &saving->own->theirs;
        const struct mapping *mapping;

        while (saving->mapping < maps->count && maps->mappings[saving->mapping].end <= address)
                saving->mapping++;
        mapping = &maps->mappings[saving->mapping];
        return saving->mapping < maps->count && mapping->start <= address ? mapping : NULL;
}

/* Pages that the nursery has, and this process has thrown away: up to that address. */
static int add_dropped(struct saving *saving, uint64_t address)
{
        int r = 0;

        for (; saving->cursor < saving->base->page_count && r == 0; saving->cursor++) {
                uint64_t dropped = saving->base->pages[saving->cursor].address;
                const struct mapping *mapping;
                if (dropped >= address)
                        break;
                mapping = mapping_at(saving, dropped);
                if (mapping && mapping->kind != KIND_OURS)
                        r = add_page(saving, dropped, mapping, false);
        }
        return r;
}

static int save_page(void *context, uint64_t address, const struct mapping *mapping)
{
        struct saving *saving = context;
        const struct page *page;
        uint64_t hash;
        int r = add_dropped(saving, address);

        if (r < 0)
                return r;
        page = base_find(saving->base, address, &saving->cursor);
        saving->cursor += page != NULL;
        saving->private_pages++;
        if (mapping->kind == KIND_STACK) {
                if (address < saving->stack_from)
                        return 0;
                r = add_hash(saving->own, 0); /* it changes while it is saved */
                return r < 0 ? r : add_page(saving, address, mapping, true);
        }
        if (mapping->wiped_on_fork)
                return add_page(saving, address, mapping, false);
        if (!(mapping->protection & PROT_READ))
                return -EBUSY;
        hash = page_hash(address);
        if (page && page->hash == hash)
                return 0;
        /* The table is ours, and pages_visit() lends it as constant. */
        saving->own->theirs.mappings[mapping - saving->own->theirs.mappings].filled = true;
        r = add_hash(saving->own, hash);
        return r < 0 ? r : add_page(saving, address, mapping, true);
}

/* ---- the memfd ---- */

static int write_at(const void *data, uint64_t size, uint64_t offset)
{
        while (size > 0) {
                ssize_t written = pwrite(SNAPSHOT_FD, data, size, (off_t)offset);
                if (written <= 0)
                        return written < 0 ? -errno : -EIO;
                data = (const char *)data + written;
                offset += (uint64_t)written;
                size -= (uint64_t)written;
        }
        return 0;
}

static int write_tables(const struct own *own)
{
        const struct maps *maps = &own->theirs;
        uint64_t at = sizeof(own->header), size = maps->count * sizeof(maps->mappings[0]);
        int r = write_at(maps->mappings, size, at);

        at += size;
        if (r == 0)
                r = write_at(maps->paths, maps->path_bytes, at);
        at += maps->path_bytes;
        size = own->run_count * sizeof(own->runs[0]);
        if (r == 0)
                r = write_at(own->runs, size, at);
        at += size;
        return r < 0 ? r : write_at(own->hashes, own->hash_count * sizeof(own->hashes[0]), at);
}

static int write_pages(const struct own *own)
{
        int r = 0;

        for (uint64_t i = 0; i < own->run_count && r == 0; i++) {
                const struct run *run = &own->runs[i];
                if (run->source != 0)
                        r = write_at((const void *)(uintptr_t)run->address, run->count * PAGE,
                                     run->source);
        }
        return r;
}

static void place_pages(struct own *own)
{
        struct header *header = &own->header;
        uint64_t at;

        header->size_of_tables = header->mapping_count * sizeof(struct mapping) +
                                 header->path_bytes + header->run_count * sizeof(struct run) +
                                 header->hash_count * sizeof(uint64_t);
        at = (sizeof(*header) + header->size_of_tables + PAGE - 1) / PAGE * PAGE;
        for (uint64_t i = 0; i < own->run_count; i++) {
                if (own->runs[i].source == 0)
                        continue;
                own->runs[i].source = at;
                at += own->runs[i].count * PAGE;
        }
}

/* `stack_from`: what lies below is nobody's any more. */
static int survey(struct own *own, uint64_t stack_from, uint64_t memory_limit)
{
        const struct base *base = snapshot_places.base;
        struct saving saving = {.own = own, .base = base, .stack_from = stack_from};
        struct header *header = &own->header;
        int r = check_process();

        if (r == 0)
                r = note_signals(header, &own->traits);
        if (r == 0)
                r = maps_read(&own->theirs, true);
        if (r == 0)
                r = check_mappings(&own->theirs, &own->mine);
        own->run_count = own->hash_count = 0;
        if (r == 0)
                r = pages_visit(&own->theirs, save_page, &saving);
        if (r == 0)
                r = add_dropped(&saving, UINT64_MAX);
        if (r < 0)
                return r;
        /* The memfd counts as the function's memory, too. */
        if ((saving.private_pages + saving.pages) * PAGE > memory_limit / 4 * 3)
                return -ENOSPC;
        memcpy(header->nursery, base->nursery, sizeof(header->nursery));
        header->state = 0;
        header->break_address = (uint64_t)(uintptr_t)sbrk(0);
        header->thread = (uint32_t)gettid();
        header->mapping_count = own->theirs.count;
        header->path_bytes = own->theirs.path_bytes;
        header->run_count = own->run_count;
        header->hash_count = own->hash_count;
        place_pages(own);
        return 0;
}

static int write_all(const struct own *own)
{
        const uint64_t complete = WORKER_HEIRLOOM_COMPLETE;
        int r = write_at(&own->header, sizeof(own->header), 0);

        if (r == 0)
                r = write_tables(own);
        if (r == 0)
                r = write_pages(own);
        if (r == 0)
                r = write_at(&complete, sizeof(complete), 0);
        if (r == 0 && fcntl(SNAPSHOT_FD, F_ADD_SEALS, WORKER_HEIRLOOM_SEALS) < 0)
                r = -errno;
        return r;
}

void snapshot_refuse(void)
{
        const uint64_t refused = WORKER_HEIRLOOM_REFUSED;

        (void)ftruncate(SNAPSHOT_FD, 0);
        (void)write_at(&refused, sizeof(refused), 0);
}

static int refuse(int reason)
{
        snapshot_refuse();
        return reason;
}

int snapshot_save(uint64_t memory_limit)
{
        struct own *own = snapshot_places.own;
        uint64_t frame = (uint64_t)(uintptr_t)__builtin_frame_address(0);
        int r = survey(own, (frame - STACK_BELOW) / PAGE * PAGE, memory_limit);

        if (r < 0)
                return refuse(r);
        own->resumed = 0;
        if (getcontext(&own->header.context) < 0)
                return refuse(-errno);
        if (own->resumed) /* another process, in which this is the second return */
                return 1;
        r = write_all(own);
        return r < 0 ? refuse(r) : 0;
}
