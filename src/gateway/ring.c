/* Rings; see ring.h. */
#include "gateway/ring.h"

#include "base/auto.h"
#include "gateway/instance.h"
#include "wire/worker_ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(WORKER_RING_PLACES > POOL_AHEAD_MAX + 1, "a place for each call of an instance");
_Static_assert(WORKER_RING_FRAME_MAX == AHEAD_FRAME_MAX, "what may be ahead fits");

/* Our own copy of a call. */
struct copy {
        uint32_t length;
        char frame[WORKER_RING_FRAME_MAX];
};

#define COPIES_SIZE (WORKER_RING_PLACES * sizeof(struct copy))

struct ring {
        struct worker_ring *memory; /* the worker's, too */
        unsigned first, count;      /* the places with calls */
        bool is_missed;
        bool has_answered; /* since the last BELL */
        uint32_t ids[WORKER_RING_PLACES];
        struct copy *copies; /* one a place */
};

static unsigned ring_at(const struct ring *ring, unsigned number)
{
        return (ring->first + number) % WORKER_RING_PLACES;
}

/* All of it is there, and sealed, so that nobody can make it smaller and an access fail. A descriptor, or
 * -1. */
static int ring_memory(void)
{
        AUTO(fd_close) int fd = memfd_create("magpie-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, sizeof(struct worker_ring)) < 0 ||
            fallocate(fd, 0, 0, sizeof(struct worker_ring)) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -1;
        return fd_steal(&fd);
}

/* NULL without memory. */
static void *ring_map(size_t size, int flags, int fd)
{
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

        return memory == MAP_FAILED ? NULL : memory;
}

/* NULL without memory. `fd` is the worker's. */
static struct ring *ring_new(int fd)
{
        struct ring *ring = calloc(1, sizeof(*ring));

        if (!ring)
                return NULL;
        ring->memory = ring_map(sizeof(*ring->memory), MAP_SHARED, fd);
        ring->copies = ring_map(COPIES_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (!ring->memory || !ring->copies) {
                ring_free(ring);
                return NULL;
        }
        return ring;
}

void ring_open(struct instance *instance)
{
        const struct worker_frame frame = {.type = WORKER_RING,
                                           .value = (uint64_t)sizeof(struct worker_place) << 32 |
                                                    WORKER_RING_PLACES};
        AUTO(fd_close) int fd = ring_memory();
        struct ring *ring = fd < 0 ? NULL : ring_new(fd);

        if (ring && instance_pass(instance, &frame, fd) == 0)
                instance->ring = ring;
        else
                ring_free(ring);
}

void ring_free(struct ring *ring)
{
        if (!ring)
                return;
        if (ring->memory)
                (void)munmap(ring->memory, sizeof(*ring->memory));
        if (ring->copies)
                (void)munmap(ring->copies, COPIES_SIZE);
        free(ring);
}

bool ring_put(struct ring *ring, const struct slice *parts, size_t count, uint32_t id)
{
        unsigned at = ring_at(ring, ring->count++);
        struct worker_place *place = &ring->memory->places[at];
        struct copy *copy = &ring->copies[at];

        assert(ring->count <= WORKER_RING_PLACES);
        ring->ids[at] = id;
        copy->length = 0;
        for (size_t i = 0; i < count; i++) {
                memcpy(copy->frame + copy->length, parts[i].data, parts[i].length);
                copy->length += (uint32_t)parts[i].length;
        }
        memcpy(place->frame, copy->frame, copy->length);
        atomic_store_explicit(&place->length, copy->length, memory_order_relaxed);
        atomic_store(&place->state, WORKER_PLACE_SENT);
        return atomic_load(&ring->memory->worker_awake) == 0 &&
               atomic_exchange(&ring->memory->worker_awake, 1) == 0;
}

static void ring_free_first(struct ring *ring)
{
        atomic_store_explicit(&ring->memory->places[ring->first].state, WORKER_PLACE_FREE,
                              memory_order_relaxed);
        ring->first = ring_at(ring, 1);
        ring->count--;
}

static bool ring_begins_with(const struct ring *ring, uint32_t id)
{
        return ring->count > 0 && ring->ids[ring->first] == id;
}

ssize_t ring_take_answer(struct ring *ring, uint32_t id, char *bytes)
{
        struct worker_place *place = &ring->memory->places[ring->first];
        uint32_t length;

        if (!ring_begins_with(ring, id) ||
            atomic_load_explicit(&place->state, memory_order_acquire) != WORKER_PLACE_ANSWERED)
                return 0;
        length = atomic_load_explicit(&place->length, memory_order_relaxed);
        if (length == 0 || length > WORKER_RING_FRAME_MAX)
                return -EPROTO;
        memcpy(bytes, place->frame, length);
        ring_free_first(ring);
        ring->has_answered = true;
        return (ssize_t)length;
}

void ring_pass_over(struct ring *ring, uint32_t id)
{
        if (ring_begins_with(ring, id))
                ring_free_first(ring);
}

bool ring_take_back(struct ring *ring, struct slice *ret_frame)
{
        uint32_t state = WORKER_PLACE_SENT;
        unsigned at;

        if (ring->count == 0)
                return false;
        at = ring_at(ring, ring->count - 1);
        if (!atomic_compare_exchange_strong(&ring->memory->places[at].state, &state,
                                            WORKER_PLACE_FREE))
                return false;
        ring->count--;
        *ret_frame = slice_make(ring->copies[at].frame, ring->copies[at].length);
        return true;
}

void ring_forget(struct ring *ring)
{
        ring->count = 0;
}

void ring_miss_bell(struct ring *ring)
{
        atomic_store(&ring->memory->worker_awake, 0);
}

void ring_miss_offer(struct ring *ring)
{
        ring->is_missed = true;
}

bool ring_is_missed(const struct ring *ring)
{
        return ring->is_missed;
}

unsigned ring_count(const struct ring *ring)
{
        return ring->count;
}

bool ring_hear_bell(struct ring *ring)
{
        bool has_answered = ring->has_answered;

        ring->has_answered = false;
        /* By the same kind of step as the worker's: whatever it did not ring for is seen now. */
        (void)atomic_exchange(&ring->memory->gateway_told, 0);
        return has_answered;
}
