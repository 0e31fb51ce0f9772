/* What instance.c and instance_io.c share and nobody else needs. */
#pragma once

#include "gateway/gateway.h"
#include "gateway/instance.h"
#include "gateway/invocation.h"

#include <sys/socket.h>

#define INBOX_COUNT 32

/* Room for what one recvmmsg(2) brings: one a thread. The last place also serves for whatever else
 * is received, since nothing is kept there from one call to the next. */
struct frame_inbox {
        struct mmsghdr headers[INBOX_COUNT];
        struct iovec parts[INBOX_COUNT];
        char bytes[INBOX_COUNT][WORKER_FRAME_MAX];
};

static inline struct gateway_thread *instance_home(struct instance *instance)
{
        return atomic_load_explicit(&instance->thread, memory_order_acquire);
}

/* The running call; NULL where there is none. */
static inline struct invocation *instance_head(const struct instance *instance)
{
        struct list *link = list_peek_front(&instance->pool.assigned);

        if (!link)
                return NULL;
        return CONTAINER_OF(CONTAINER_OF(link, struct pool_call, link), struct invocation, call);
}

/* Takes what has come. Returns the number of frames, 0 when there was none. */
int instance_receive(struct instance *instance);
/* At most `most` reads from its raw output. */
void instance_read_log(struct instance *instance, unsigned most);

void instance_on_socket(struct loop_source *source, uint32_t events);
void instance_on_log(struct loop_source *source, uint32_t events);
void instance_on_log_timer(struct timer *timer);
