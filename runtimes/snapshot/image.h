/* What the parts of the library share: tables in memory, and the same tables in a memfd. */
#pragma once

#include "wire/worker_protocol.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <ucontext.h>

#define PAGE ((uint64_t)4096) /* checked in snapshot_begin() */
#define MAPPING_MAX 1024
#define PATHS_MAX 65536
#define PAGES_MAX 65536 /* private pages of the nursery, or changed since: 256 MiB */
#define RUNS_MAX 16384
#define MESSAGE_MAX 65536
#define STACK_SIZE 65536
#define SIGNALS 64
#define RESOURCES 16

enum kind { KIND_ANONYMOUS, KIND_FILE, KIND_SHARED, KIND_STACK, KIND_KERNEL, KIND_OURS };

/* One line of /proc/self/maps. */
struct mapping {
        uint64_t start, end, offset, inode;
        uint64_t device;                  /* as maps has it: 12 bits would do for each half */
        uint64_t stat_device, stat_inode; /* of `path`, for a file that the nursery does not have */
        uint32_t path;                    /* into paths; 0: none */
        uint8_t protection, kind;
        bool wiped_on_fork, filled; /* filled: pages of it are in the snapshot */
};

struct maps {
        uint64_t count, path_bytes;
        struct mapping mappings[MAPPING_MAX];
        char paths[PATHS_MAX];
};

struct page {
        uint64_t address, hash;
};

/* Pages in sequence that have the same fate: contents at `source` of the memfd, or none (0): then
 * they are what nobody has ever written to. */
struct run {
        uint64_t address, count, source;
};

/* The state that a process has besides its memory, as far as a snapshot minds it. */
struct traits {
        struct sigaction signals[SIGNALS + 1];
        struct rlimit limits[RESOURCES];
        uint32_t mask; /* umask(2) */
};

/* Made by the nursery, read-only for everybody afterwards: a sealed memfd. The pages' contents
 * follow at `image`, in the order of the table. */
struct base {
        uint8_t nursery[16];
        uint64_t page_count;
        struct page pages[PAGES_MAX];
        _Alignas(4096) unsigned char image[];
};

/* The memfd's first bytes. Tables and pages follow. */
struct header {
        uint64_t state; /* written last */
        uint8_t nursery[16];
        uint64_t size_of_tables; /* behind the header */
        uint64_t break_address;
        uint64_t mapping_count, path_bytes, run_count, hash_count;
        uint32_t thread, signal_count;
        struct sigaction signals[SIGNALS];
        uint8_t signal_numbers[SIGNALS];
        ucontext_t context;
};

/* Each process's own, at one address in all of them; never part of a snapshot. */
struct own {
        volatile uint64_t resumed;
        uint64_t received_ns;
        struct maps mine;
        struct traits traits; /* before it had a function */
        uint64_t changed_count;
        struct page changed[PAGES_MAX]; /* those that differ from the nursery's */
        struct header header;
        struct maps theirs;
        uint64_t run_count, hash_count;
        struct run runs[RUNS_MAX];
        uint64_t hashes[PAGES_MAX];     /* of the pages in the runs that have contents, in order */
        unsigned char scratch[1 << 20]; /* for reading /proc */
        unsigned char message[MESSAGE_MAX];
        _Alignas(16) unsigned char stack[STACK_SIZE];
};

struct places {
        const struct base *base;
        struct own *own;
        const char *end; /* of both, which begin with the base */
};

/* Their addresses; NULL where snapshot_begin() has not run or has failed. */
extern struct places snapshot_places;

/* maps.c. With `flags`, of /proc/self/smaps: what a fork would wipe. 0 or a negative errno; -EBUSY for
 * what cannot be held. */
int maps_read(struct maps *ret_maps, bool flags);
const char *maps_path(const struct maps *maps, const struct mapping *mapping);

/* pages.c: calls back for each private page of these mappings that has contents of its own, by
 * ascending address; ends with what that returns, when it is not 0. */
typedef int page_visitor(void *context, uint64_t address, const struct mapping *mapping);
int pages_visit(const struct maps *maps, page_visitor *visit, void *context);
uint64_t page_hash(uint64_t address);
/* In the nursery's table from *cursor on, for ascending addresses. NULL: it has none there. */
const struct page *base_find(const struct base *base, uint64_t address, uint64_t *cursor);

/* traits.c */
int traits_read(struct traits *ret_traits);

/* load.c. Returns only where nothing has been touched yet: a negative errno. */
int snapshot_load(int fd);
/* pages.c: what this process has changed, into own->changed. */
int changed_find(struct own *own, const struct base *base);
