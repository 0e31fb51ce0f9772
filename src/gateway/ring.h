/* The gateway's end of a ring: memory in which one instance's small calls and their answers lie; see
 * wire/worker_ring.h. An instance gets one when several calls at once have been sent to it several times.
 *
 * All of it is its home's. The worker may write there whatever it likes, whenever it likes: an answer is
 * copied before it is looked at, and what is taken back is our own copy of what was sent.
 */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RING_AFTER 8   /* sendings of several calls at once */
#define RING_LOOK_MS 1 /* a worker that is busy does not tell of each answer */

struct instance;
struct ring;

/* From the next frame on calls go by it. Where it cannot be had they go on as they did. */
void ring_open(struct instance *instance);
void ring_free(struct ring *ring);

/* The calls that are there. */
unsigned ring_count(const struct ring *ring);
/* One frame of at most WORKER_RING_FRAME_MAX bytes. True: the worker is to be sent a BELL. */
bool ring_put(struct ring *ring, const struct slice *parts, size_t count, uint32_t id);
/* The answer to this call, if it is the oldest here and is answered: its length, and it is copied to `bytes`,
 * which have room for WORKER_RING_FRAME_MAX. The call is the ring's no more. 0: not yet. -EPROTO: that is
 * none. */
ssize_t ring_take_answer(struct ring *ring, uint32_t id, char *bytes);
/* The call was answered over the socket, if it is the oldest here. */
void ring_pass_over(struct ring *ring, uint32_t id);
/* The newest call, if the worker has not begun it: it never will. Its frame stays until the next call. */
bool ring_take_back(struct ring *ring, struct slice *ret_frame);
/* Nobody waits for the calls that are left. */
void ring_forget(struct ring *ring);

/* A BELL that was sent does not arrive. */
void ring_miss_bell(struct ring *ring);
/* The worker will not hear that it has a ring: calls are taken back from it, and then it is freed. */
void ring_miss_offer(struct ring *ring);
bool ring_is_missed(const struct ring *ring);

/* A BELL came; look. False where no answer was taken since the one before. */
bool ring_hear_bell(struct ring *ring);
