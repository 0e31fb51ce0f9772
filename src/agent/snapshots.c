/* Keeping snapshots; see snapshots.h. */
#include "agent/snapshots.h"

#include "agent/file.h"
#include "base/auto.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_MAX 64
#define BYTES_MAX (512ull << 20)
#define UNUSED_NS (3600 * 1000000000ull)
/* Whoever has not written it by then never will. */
#define WRITING_NS (60 * 1000000000ull)
#define SHORT_OF_MEMORY 10 /* per cent that are available */

enum snapshot_state { SNAPSHOT_WRITING, SNAPSHOT_USABLE, SNAPSHOT_NONE };

struct snapshot {
        struct list link;
        enum snapshot_state state;
        uint64_t number, used_ns, bytes;
        int fd;
        size_t key_length;
        char key[]; /* digest, handler, environment, each with its NUL */
};

void snapshots_init(struct snapshots *snapshots, int proc_fd)
{
        *snapshots = (struct snapshots){.proc_fd = proc_fd};
        list_init(&snapshots->all);
}

static void snapshot_close(struct snapshots *snapshots, struct snapshot *snapshot)
{
        snapshots->bytes -= snapshot->bytes;
        snapshot->bytes = 0;
        fd_close(&snapshot->fd);
}

static void snapshot_free(struct snapshots *snapshots, struct snapshot *snapshot)
{
        snapshot_close(snapshots, snapshot);
        list_remove(&snapshot->link);
        snapshots->count--;
        free(snapshot);
}

void snapshots_clear(struct snapshots *snapshots)
{
        struct snapshot *snapshot, *after;

        LIST_FOR_EACH_SAFE (snapshot, after, &snapshots->all, link)
                snapshot_free(snapshots, snapshot);
}

/* ---- whose it is ---- */

static size_t key_length(const struct agent_spawn *request)
{
        size_t length = strlen(request->digest) + strlen(request->handler) + 2;

        for (size_t i = 0; i < request->env_count; i++)
                length += strlen(request->env[i]) + 1;
        return length;
}

static char *put(char *at, const char *text)
{
        size_t size = strlen(text) + 1;

        memcpy(at, text, size);
        return at + size;
}

static struct snapshot *snapshot_new(const struct agent_spawn *request, uint64_t number)
{
        size_t length = key_length(request);
        struct snapshot *snapshot = calloc(1, sizeof(*snapshot) + length);
        char *at;

        if (!snapshot)
                return NULL;
        list_init(&snapshot->link);
        snapshot->number = number;
        snapshot->fd = -1;
        snapshot->key_length = length;
        at = put(put(snapshot->key, request->digest), request->handler);
        for (size_t i = 0; i < request->env_count; i++)
                at = put(at, request->env[i]);
        return snapshot;
}

static bool is_next(const char **at, const char *text)
{
        bool is = strcmp(*at, text) == 0;

        *at += strlen(*at) + 1;
        return is;
}

static bool is_of(const struct snapshot *snapshot, const struct agent_spawn *request)
{
        const char *at = snapshot->key;

        if (snapshot->key_length != key_length(request) || !is_next(&at, request->digest) ||
            !is_next(&at, request->handler))
                return false;
        for (size_t i = 0; i < request->env_count; i++)
                if (!is_next(&at, request->env[i]))
                        return false;
        return true;
}

static struct snapshot *find(struct snapshots *snapshots, const struct agent_spawn *request)
{
        struct snapshot *snapshot;

        LIST_FOR_EACH (snapshot, &snapshots->all, link)
                if (is_of(snapshot, request))
                        return snapshot;
        return NULL;
}

/* ---- what becomes of it ---- */

static void bound(struct snapshots *snapshots, const struct snapshot *kept)
{
        struct snapshot *last;

        while (snapshots->count > COUNT_MAX || snapshots->bytes > BYTES_MAX) {
                last = CONTAINER_OF(snapshots->all.previous, struct snapshot, link);
                if (last == kept)
                        return;
                snapshot_free(snapshots, last);
        }
}

/* Whoever has written it may have kept a descriptor: after the seal that is worth nothing. */
static void finish(struct snapshots *snapshots, struct snapshot *snapshot)
{
        const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
        struct stat status;

        if (fcntl(snapshot->fd, F_ADD_SEALS, seals) < 0 || fstat(snapshot->fd, &status) < 0 ||
            (uint64_t)status.st_size > BYTES_MAX) {
                snapshot_close(snapshots, snapshot);
                snapshot->state = SNAPSHOT_NONE;
                return;
        }
        snapshot->state = SNAPSHOT_USABLE;
        snapshot->bytes = (uint64_t)status.st_size;
        snapshots->bytes += snapshot->bytes;
        bound(snapshots, snapshot);
}

static void look(struct snapshots *snapshots, struct snapshot *snapshot)
{
        uint64_t word = 0;

        if (pread(snapshot->fd, &word, sizeof(word), 0) != sizeof(word))
                return;
        if (word == WORKER_SNAPSHOT_COMPLETE) {
                finish(snapshots, snapshot);
        } else if (word == WORKER_SNAPSHOT_REFUSED) {
                snapshot_close(snapshots, snapshot);
                snapshot->state = SNAPSHOT_NONE;
        }
}

/* The descriptor of an empty one, or -1. */
static int begin(struct snapshots *snapshots, const struct agent_spawn *request, uint64_t now_ns)
{
        struct snapshot *snapshot = snapshot_new(request, ++snapshots->last_number);

        if (!snapshot)
                return -1;
        snapshot->used_ns = now_ns;
        snapshot->fd = memfd_create("magpie-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        list_push_front(&snapshots->all, &snapshot->link);
        snapshots->count++;
        bound(snapshots, snapshot);
        return snapshot->fd;
}

int snapshots_lend(struct snapshots *snapshots, const struct agent_spawn *request, uint64_t now_ns,
                   uint64_t *ret_loaded)
{
        struct snapshot *snapshot = find(snapshots, request);

        if (!snapshot)
                return begin(snapshots, request, now_ns);
        if (snapshot->state == SNAPSHOT_WRITING) {
                look(snapshots, snapshot);
                if (snapshot->state == SNAPSHOT_WRITING &&
                    now_ns - snapshot->used_ns > WRITING_NS) {
                        snapshot_free(snapshots, snapshot);
                        return begin(snapshots, request, now_ns);
                }
        }
        if (snapshot->state == SNAPSHOT_WRITING)
                return -1;
        snapshot->used_ns = now_ns;
        list_remove(&snapshot->link);
        list_push_front(&snapshots->all, &snapshot->link);
        if (snapshot->state == SNAPSHOT_USABLE)
                *ret_loaded = snapshot->number;
        return snapshot->fd;
}

void snapshots_condemn(struct snapshots *snapshots, uint64_t loaded)
{
        struct snapshot *snapshot;

        LIST_FOR_EACH (snapshot, &snapshots->all, link)
                if (snapshot->number == loaded) {
                        snapshot_close(snapshots, snapshot);
                        snapshot->state = SNAPSHOT_NONE;
                        return;
                }
}

/* ---- how long ---- */

static bool is_short_of_memory(int proc_fd)
{
        unsigned long long total, free_kib, available;
        char text[256];

        if (file_read_at(proc_fd, "meminfo", text, sizeof(text)) < 0 ||
            sscanf(text, "MemTotal: %llu kB MemFree: %llu kB MemAvailable: %llu kB", &total,
                   &free_kib, &available) != 3)
                return false;
        return available < total / 100 * SHORT_OF_MEMORY;
}

void snapshots_review(struct snapshots *snapshots, uint64_t now_ns)
{
        bool is_short = snapshots->bytes > 0 && is_short_of_memory(snapshots->proc_fd);
        struct snapshot *snapshot, *after;

        LIST_FOR_EACH_SAFE (snapshot, after, &snapshots->all, link)
                if (is_short || now_ns - snapshot->used_ns > UNUSED_NS)
                        snapshot_free(snapshots, snapshot);
}
