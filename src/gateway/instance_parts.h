/* What instance.c and instance_io.c share and nobody else needs. */
#pragma once

#include "gateway/function_log.h"
#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/invocation.h"

#include <sys/socket.h>

#define INBOX_COUNT 32
#define ARENA_FRAME_MAX WORKER_TRUNK_MAX /* larger ones are sent at once, uncopied */
#define LOG_READ_MAX 65536
#define LOG_PAUSE_MS 20 /* so one instance logs 3 MiB/s at most, then its write(2) waits */
#define CHATTER_MIN 64  /* bytes that a frame of log counts for at least: an empty one costs, too */

/* Room for what one recvmmsg(2) brings: one a thread. The last place also serves for whatever else
 * is received, since nothing is kept there from one call to the next. */
struct frame_inbox {
        struct mmsghdr headers[INBOX_COUNT];
        struct iovec parts[INBOX_COUNT];
        char bytes[INBOX_COUNT][WORKER_FRAME_MAX];
        char from_ring[AHEAD_FRAME_MAX]; /* while what is in the others is still to be handled */
};

static inline struct gateway_thread *instance_home(struct instance *instance)
{
        return atomic_load_explicit(&instance->thread, memory_order_acquire);
}

/* The call that runs on its own socket; NULL where there is none, as there never is beside lanes. */
static inline struct invocation *instance_head(const struct instance *instance)
{
        struct list *link = instance->lanes ? NULL : list_peek_front(&instance->pool.assigned);

        if (!link)
                return NULL;
        return CONTAINER_OF(CONTAINER_OF(link, struct pool_call, link), struct invocation, call);
}

/* The same, where its thread is the instance's: a call of another thread's is promised the instance, and has
 * not been sent. An instance that rests may be given to one at any time: then look only with the lock held. */
static inline struct invocation *instance_head_here(struct instance *instance)
{
        struct invocation *head = instance_head(instance);

        return head && head->thread == instance_home(instance) ? head : NULL;
}

/* A copy of a frame that leaves at the end of the turn. The caller says whither. */
struct pending_frame *pending_frame_add(struct gateway_thread *thread, const struct slice *parts,
                                        size_t count, size_t total);
/* The sum of their lengths. */
size_t slices_to_vector(const struct slice *parts, size_t count, struct iovec *ret_vector);
/* A DATA frame, at once. 0 or a negative errno. */
int worker_send_data(int fd, uint32_t wire_id, struct slice bytes, bool end);
/* Its socket took no more: what is pending for it waits again, and so does the running call where `parts`
 * (a `count` above 0) are its frame, which was not sent. It goes on with what it has; without any call it
 * ends. */
void instance_miss_room(struct instance *instance, const struct slice *parts, size_t count);
/* `invocation`: whose output it is; NULL where nobody knows. */
void instance_log(struct instance *instance, struct invocation *invocation, enum log_stream stream,
                  struct slice text);

/* A stream is taken frame by frame, so that it stops where its client does; and where one call runs there
 * is one answer: to look for a second is half of what it costs to receive the first. */
static inline unsigned instance_receives_at_once(const struct instance *instance)
{
        if (instance->ring)
                return POOL_AHEAD_MAX +
                       2; /* more than there are, so that a BELL is received, too */
        return !instance->lanes && instance->pool.assigned_count > 1 ? INBOX_COUNT - 1 : 1;
}

/* Takes what has come, of at most `most` frames; those that a BELL tells of all at once. Returns their
 * number, 0 when there was none. */
int instance_receive(struct instance *instance, unsigned most);
/* Takes the answers in its ring that nobody has told of. It may be another thread's afterwards. */
void instance_look(struct instance *instance);
/* Where its worker was awake all the same, a BELL may still be pending when all calls have been answered. */
void instance_drop_bell(struct instance *instance);
/* A frame came that brings no answer further, of so many bytes. */
void instance_count_chatter(struct instance *instance, size_t length);
/* False: it does not belong here. */
bool instance_take_log_frame(struct instance *instance, const struct worker_frame *frame);
void instance_take_late_log(struct instance *instance, const char *bytes, size_t length);
/* At most `most` reads from its raw output. */
void instance_read_log(struct instance *instance, unsigned most);

void instance_on_socket(struct loop_source *source, uint32_t events);
void instance_on_log(struct loop_source *source, uint32_t events);
void instance_on_log_timer(struct timer *timer);
