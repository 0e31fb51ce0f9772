/* Keeping heirlooms; see heirlooms.h. */
#include "agent/heirlooms.h"

#include "agent/file.h"
#include "base/auto.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_MAX 64
#define BYTES_MAX (512ull << 20)
/* Somewhat more than the shim writes at most (compile_cache.js): whatever is larger is not its work,
 * and would be copied while everybody waits. */
#define CACHE_BYTES_MAX (33ull << 20)
#define UNUSED_NS (3600 * 1000000000ull)
/* Whoever has not written it by then never will. */
#define FILLING_NS (60 * 1000000000ull)
#define SHORT_OF_MEMORY 10 /* per cent that are available */

enum heirloom_state { BEING_FILLED, USABLE, IMPOSSIBLE };

struct heirloom {
        struct list link;
        enum heirloom_state state;
        enum agent_runtime runtime;
        uint64_t number, used_ns, bytes;
        int fd; /* Python: a memfd; Node: a file in one of the template's folders of caches */
        size_t key_length;
        char key[]; /* function, digest, handler, layers, environment, each with its NUL */
};

static void heirloom_close(struct heirlooms *heirlooms, struct heirloom *heirloom)
{
        enum template_cache kind = heirloom->state == USABLE ? CACHE_KEPT : CACHE_TO_FILL;

        heirlooms->bytes -= heirloom->bytes;
        heirloom->bytes = 0;
        if (heirloom->fd >= 0 && heirloom->runtime == AGENT_RUNTIME_NODE)
                template_remove_cache(heirlooms->template, kind, heirloom->number);
        fd_close(&heirloom->fd);
}

static void heirloom_free(struct heirlooms *heirlooms, struct heirloom *heirloom)
{
        heirloom_close(heirlooms, heirloom);
        list_remove(&heirloom->link);
        heirlooms->count--;
        free(heirloom);
}

/* What is kept is that there is none: its function starts the plain way. */
static void forbid(struct heirlooms *heirlooms, struct heirloom *heirloom)
{
        heirloom_close(heirlooms, heirloom);
        heirloom->state = IMPOSSIBLE;
}

void heirlooms_lost_nursery(struct heirlooms *heirlooms)
{
        struct heirloom *heirloom, *after;

        LIST_FOR_EACH_SAFE (heirloom, after, &heirlooms->all, link)
                if (heirloom->runtime == AGENT_RUNTIME_PYTHON3)
                        heirloom_free(heirlooms, heirloom);
}

/* ---- whose it is ---- */

static size_t key_length(const struct agent_spawn *request)
{
        size_t length = strlen(request->function) + strlen(request->digest) +
                        strlen(request->handler) + strlen(request->layers) + 4;

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

static struct heirloom *heirloom_new(const struct agent_spawn *request, uint64_t number)
{
        size_t length = key_length(request);
        struct heirloom *heirloom = calloc(1, sizeof(*heirloom) + length);
        char *at;

        if (!heirloom)
                return NULL;
        list_init(&heirloom->link);
        heirloom->runtime = request->runtime;
        heirloom->number = number;
        heirloom->fd = -1;
        heirloom->key_length = length;
        at = put(put(heirloom->key, request->function), request->digest);
        at = put(put(at, request->handler), request->layers);
        for (size_t i = 0; i < request->env_count; i++)
                at = put(at, request->env[i]);
        return heirloom;
}

static bool is_next(const char **at, const char *text)
{
        bool is = strcmp(*at, text) == 0;

        *at += strlen(*at) + 1;
        return is;
}

static bool is_of(const struct heirloom *heirloom, const struct agent_spawn *request)
{
        const char *at = heirloom->key;

        if (heirloom->runtime != request->runtime || heirloom->key_length != key_length(request) ||
            !is_next(&at, request->function) || !is_next(&at, request->digest) ||
            !is_next(&at, request->handler) || !is_next(&at, request->layers))
                return false;
        for (size_t i = 0; i < request->env_count; i++)
                if (!is_next(&at, request->env[i]))
                        return false;
        return true;
}

static struct heirloom *find(struct heirlooms *heirlooms, const struct agent_spawn *request)
{
        struct heirloom *heirloom;

        LIST_FOR_EACH (heirloom, &heirlooms->all, link)
                if (is_of(heirloom, request))
                        return heirloom;
        return NULL;
}

/* ---- what becomes of it ---- */

/* Who walks the list, or has found one in it, is done with it before: only the first one stays for sure,
 * as none is larger than what all may have. */
static void bound(struct heirlooms *heirlooms)
{
        while (heirlooms->count > COUNT_MAX || heirlooms->bytes > BYTES_MAX)
                heirloom_free(heirlooms,
                              CONTAINER_OF(heirlooms->all.previous, struct heirloom, link));
}

/* Whoever has written it may have kept a descriptor, which is worth nothing after the seals. He sets them
 * himself: the kernel waits there while anybody uses a page, which a pipe may do for ever. */
static bool is_sealed(const struct heirloom *heirloom)
{
        int seals = fcntl(heirloom->fd, F_GET_SEALS);

        return seals >= 0 && (seals & WORKER_HEIRLOOM_SEALS) == WORKER_HEIRLOOM_SEALS;
}

/* A file cannot be sealed, but copied. */
static int copy(struct heirlooms *heirlooms, struct heirloom *heirloom, uint64_t size)
{
        uint64_t number = ++heirlooms->last_number;
        AUTO(fd_close) int fd = template_make_cache(heirlooms->template, CACHE_KEPT, number);
        off_t offset = 0;
        int r;

        if (fd < 0)
                return fd;
        r = fchmod(fd, 0444) < 0 ? -errno : 0;
        while (r == 0 && (uint64_t)offset < size)
                if (sendfile(fd, heirloom->fd, &offset, size - (uint64_t)offset) <= 0)
                        r = -EIO;
        if (r < 0) {
                template_remove_cache(heirlooms->template, CACHE_KEPT, number);
                return r;
        }
        heirloom_close(heirlooms, heirloom);
        heirloom->number = number;
        heirloom->fd = fd_steal(&fd);
        return 0;
}

/* What it takes. A memfd's pages are counted, not its size: there may be some behind its end. And no
 * shim leaves holes: they cost the function nothing, and can be filled in later, sealed or not. */
static int measure(const struct heirloom *heirloom, uint64_t *ret_bytes)
{
        bool is_copied = heirloom->runtime == AGENT_RUNTIME_NODE;
        struct stat status;
        uint64_t size, bytes;

        if (fstat(heirloom->fd, &status) < 0)
                return -errno;
        size = (uint64_t)status.st_size;
        bytes = is_copied ? size : (uint64_t)status.st_blocks * 512;
        if (bytes < size || bytes > (is_copied ? CACHE_BYTES_MAX : BYTES_MAX))
                return -EFBIG;
        *ret_bytes = bytes;
        return 0;
}

static void finish(struct heirlooms *heirlooms, struct heirloom *heirloom)
{
        bool is_copied = heirloom->runtime == AGENT_RUNTIME_NODE;
        uint64_t bytes = 0;
        int r = measure(heirloom, &bytes);

        if (r == 0 && is_copied)
                r = copy(heirlooms, heirloom, bytes);
        if (r < 0) {
                forbid(heirlooms, heirloom);
                return;
        }
        heirloom->state = USABLE;
        heirloom->bytes = bytes;
        heirlooms->bytes += bytes;
}

static void look(struct heirlooms *heirlooms, struct heirloom *heirloom)
{
        bool is_final = heirloom->runtime == AGENT_RUNTIME_NODE || is_sealed(heirloom);
        uint64_t word = 0;

        if (pread(heirloom->fd, &word, sizeof(word), 0) != sizeof(word))
                return;
        if (word == WORKER_HEIRLOOM_COMPLETE && is_final)
                finish(heirlooms, heirloom);
        else if (word == WORKER_HEIRLOOM_REFUSED)
                forbid(heirlooms, heirloom);
}

/* At once, so that no caller's request finds a file that the instance can still change: its shim waits
 * until its own has gone (compile_cache.js). */
static void on_written(struct loop_source *source, uint32_t events)
{
        struct heirlooms *heirlooms = CONTAINER_OF(source, struct heirlooms, written);
        struct heirloom *heirloom;
        char notices[4096];

        (void)events;
        /* Once an event: who opens and closes files without end shall not keep us here. */
        if (read(heirlooms->watch_fd, notices, sizeof(notices)) <= 0)
                return;
        LIST_FOR_EACH (heirloom, &heirlooms->all, link)
                if (heirloom->state == BEING_FILLED && heirloom->runtime == AGENT_RUNTIME_NODE)
                        look(heirlooms, heirloom);
        bound(heirlooms);
}

int heirlooms_init(struct heirlooms *heirlooms, struct loop *loop, const struct template *template,
                   int proc_fd)
{
        *heirlooms = (struct heirlooms){.loop = loop, .template = template, .proc_fd = proc_fd};
        list_init(&heirlooms->all);
        loop_source_init(&heirlooms->written, on_written);
        heirlooms->watch_fd = template_watch_caches();
        if (heirlooms->watch_fd < 0)
                return heirlooms->watch_fd;
        return loop_add(loop, &heirlooms->written, heirlooms->watch_fd, EPOLLIN);
}

void heirlooms_close(struct heirlooms *heirlooms)
{
        struct heirloom *heirloom, *after;

        LIST_FOR_EACH_SAFE (heirloom, after, &heirlooms->all, link)
                heirloom_free(heirlooms, heirloom);
        loop_remove(heirlooms->loop, &heirlooms->written);
        fd_close(&heirlooms->watch_fd);
}

static struct heirloom_lent begin(struct heirlooms *heirlooms, const struct agent_spawn *request,
                                  uint64_t now_ns)
{
        struct heirloom *heirloom = heirloom_new(request, ++heirlooms->last_number);

        if (!heirloom)
                return (struct heirloom_lent){.fd = -1};
        heirloom->used_ns = now_ns;
        heirloom->fd =
                request->runtime == AGENT_RUNTIME_NODE
                        ? template_make_cache(heirlooms->template, CACHE_TO_FILL, heirloom->number)
                        : memfd_create("magpie-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        heirloom->state = heirloom->fd < 0 ? IMPOSSIBLE : BEING_FILLED;
        list_push_front(&heirlooms->all, &heirloom->link);
        heirlooms->count++;
        bound(heirlooms);
        return (struct heirloom_lent){.use = heirloom->fd < 0 ? HEIRLOOM_NONE : HEIRLOOM_TO_FILL,
                                      .number = heirloom->number,
                                      .fd = heirloom->fd};
}

struct heirloom_lent heirlooms_lend(struct heirlooms *heirlooms, const struct agent_spawn *request,
                                    uint64_t now_ns)
{
        struct heirloom *heirloom = find(heirlooms, request);

        if (heirloom && heirloom->state == BEING_FILLED)
                look(heirlooms, heirloom);
        if (heirloom && heirloom->state == BEING_FILLED &&
            now_ns - heirloom->used_ns > FILLING_NS) {
                heirloom_free(heirlooms, heirloom);
                heirloom = NULL;
        }
        if (!heirloom)
                return begin(heirlooms, request, now_ns);
        if (heirloom->state == BEING_FILLED)
                return (struct heirloom_lent){.fd = -1};
        heirloom->used_ns = now_ns;
        list_remove(&heirloom->link);
        list_push_front(&heirlooms->all, &heirloom->link);
        bound(heirlooms);
        return (struct heirloom_lent){.use = heirloom->state == USABLE ? HEIRLOOM_TO_TAKE
                                                                       : HEIRLOOM_NONE,
                                      .number = heirloom->number,
                                      .fd = heirloom->fd};
}

static struct heirloom *find_number(struct heirlooms *heirlooms, uint64_t number)
{
        struct heirloom *heirloom;

        LIST_FOR_EACH (heirloom, &heirlooms->all, link)
                if (heirloom->number == number)
                        return heirloom;
        return NULL;
}

void heirlooms_left(struct heirlooms *heirlooms, uint64_t number, bool by_itself)
{
        struct heirloom *heirloom = find_number(heirlooms, number);

        if (!heirloom || heirloom->state != BEING_FILLED)
                return;
        look(heirlooms, heirloom);
        if (heirloom->state == BEING_FILLED && by_itself)
                forbid(heirlooms, heirloom);
        else if (heirloom->state == BEING_FILLED)
                heirloom_free(heirlooms, heirloom);
        bound(heirlooms);
}

void heirlooms_condemn(struct heirlooms *heirlooms, uint64_t number)
{
        struct heirloom *heirloom = find_number(heirlooms, number);

        if (heirloom)
                forbid(heirlooms, heirloom);
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

void heirlooms_review(struct heirlooms *heirlooms, uint64_t now_ns)
{
        bool is_short = heirlooms->count > 0 && is_short_of_memory(heirlooms->proc_fd);
        struct heirloom *heirloom, *after;

        LIST_FOR_EACH_SAFE (heirloom, after, &heirlooms->all, link)
                if (is_short || now_ns - heirloom->used_ns >
                                        (heirloom->state == BEING_FILLED ? FILLING_NS : UNUSED_NS))
                        heirloom_free(heirlooms, heirloom);
}
