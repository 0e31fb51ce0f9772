/* What goes over one lane and what comes; see lane.h. */
#include "base/auto.h"
#include "base/clock.h"
#include "gateway/instance_parts.h"
#include "gateway/lane_parts.h"
#include "gateway/trunk.h"

#include <errno.h>
#include <sys/uio.h>

#define LANE_PATIENCE_MS 2000 /* from a hang-up until the agent must have said why */
#define LANE_REST_ROUNDS 256  /* more than a socket holds: what comes meanwhile is not waited for */
#define LANE_FRAMES 2 /* a stream is taken frame by frame, so that it stops where its client does */

/* Opening its eyes and closing them ------------------------------------------------------------- */

static void lane_watch(struct lane *lane, uint32_t events)
{
        if (lane->source.fd >= 0)
                (void)loop_modify(&lane->thread->loop, &lane->source, events);
}

void lane_watch_room(struct lane *lane, bool wanted)
{
        bool reading = !lane->paused && !lane->loud;

        lane_watch(lane, (reading ? EPOLLIN : 0) | (wanted ? EPOLLOUT : 0));
}

void lane_pause(struct lane *lane, bool paused)
{
        if (lane->paused == paused)
                return;
        lane->paused = paused;
        lane_watch_room(lane, lane->source.events & EPOLLOUT);
}

void lane_close(struct lane *lane)
{
        struct gateway_thread *thread = lane->thread;
        struct live *live = lane->instance->live;
        bool is_told;

        if (lane->fd < 0)
                return;
        for (size_t i = 0; i < thread->pending_count; i++)
                if (thread->pending[i].lane == lane)
                        thread->pending[i].lane = NULL;
        loop_remove(&thread->loop, &lane->source);
        loop_remove_timer(&thread->loop, &lane->timer);
        pthread_mutex_lock(&live->lock);
        lane_withdraw(lane);
        is_told = lane->told;
        lane->told = true;
        fd_close(&lane->worker_fd);
        pthread_mutex_unlock(&live->lock);
        fd_close(&lane->fd); /* not before: who shuts an idle lane does it under the lock */
        if (lane->hung_up)
                scheduler_kill(&thread->gateway->scheduler, lane->instance);
        if (!is_told)
                mailbox_post(&thread->mailbox, &lane->letter);
}

void lane_hang_up(struct lane *lane)
{
        struct live *live = lane->instance->live;
        bool was_shut;

        loop_remove(&lane->thread->loop, &lane->source);
        pthread_mutex_lock(&live->lock);
        lane_withdraw(lane);
        was_shut = lane->shut;
        if (!was_shut)
                pool_end(&live->pool, &lane->instance->pool);
        pthread_mutex_unlock(&live->lock);
        if (was_shut) {
                lane_close(lane);
                return;
        }
        lane->hung_up = true;
        loop_set_timer(&lane->thread->loop, &lane->timer, LANE_PATIENCE_MS);
}

void lane_on_timer(struct timer *timer)
{
        struct lane *lane = CONTAINER_OF(timer, struct lane, timer);

        if (lane->hung_up) {
                lane_ruin(lane, OUTCOME_FUNCTION_PROTOCOL,
                          "its process closed a connection to the platform");
                return;
        }
        lane->loud = false;
        lane_watch_room(lane, lane->source.events & EPOLLOUT);
}

/* Sending ------------------------------------------------------------------------------------------ */

/* Nobody can have received the frame. A body that streams cannot be sent again: such a call fails with
 * its instance. */
static void lane_miss(struct lane *lane, const struct slice *parts, size_t count)
{
        struct invocation *invocation = lane->invocation;

        lane_hang_up(lane);
        if (invocation->streaming)
                return;
        lane->invocation = NULL;
        invocation->lane = NULL;
        lanes_return(invocation, parts, count);
}

void lane_send(struct lane *lane, const struct slice *parts, size_t count)
{
        struct iovec vector[4];
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
        size_t total = slices_to_vector(parts, count, vector);

        lane->unsent = total <= ARENA_FRAME_MAX;
        if (lane->unsent)
                pending_frame_add(lane->thread, parts, count, total)->lane = lane;
        else if (sendmsg(lane->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                lane_miss(lane, parts, count);
}

void lane_flush(struct lane *lane, struct slice frame)
{
        lane->unsent = false;
        if (send(lane->fd, frame.data, frame.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                lane_miss(lane, &frame, 1);
}

int lane_send_data(struct lane *lane, uint32_t wire_id, struct slice bytes, bool end)
{
        int r;

        if (lane->thread->pending_count > 0)
                gateway_thread_flush(&lane->thread->flush); /* the INVOKE frame comes first */
        if (lane->hung_up)
                return -EAGAIN;
        r = worker_send_data(lane->fd, wire_id, bytes, end);
        if (r < 0 && r != -EAGAIN) {
                lane_hang_up(lane); /* what is left is not wanted any more; the end tells why */
                r = -EAGAIN;
        }
        return r;
}

/* Receiving ---------------------------------------------------------------------------------------- */

/* As for instances: all lanes of one together may bring so much that leads nowhere. */
static void lane_count_chatter(struct lane *lane, size_t length)
{
        struct lanes *lanes = lane->instance->lanes;
        struct loop *loop = &lane->thread->loop;
        struct live *live = lane->instance->live;
        size_t bytes;

        pthread_mutex_lock(&live->lock);
        if (pool_elapsed(lanes->log_since_ns, loop->now_ns) >= LOG_PAUSE_MS * NS_PER_MS) {
                lanes->log_since_ns = loop->now_ns;
                lanes->log_bytes = 0;
        }
        lanes->log_bytes += length > CHATTER_MIN ? length : CHATTER_MIN;
        bytes = lanes->log_bytes;
        pthread_mutex_unlock(&live->lock);
        if (bytes < LOG_READ_MAX || lane->hung_up)
                return;
        lane->loud = true;
        lane_watch_room(lane, lane->source.events & EPOLLOUT);
        loop_set_timer(loop, &lane->timer, LOG_PAUSE_MS * bytes / LOG_READ_MAX);
}

bool lane_take_frame(struct lane *lane, const struct worker_frame *frame)
{
        struct invocation *invocation = lane->invocation;

        if (!invocation || lane->unsent || invocation->wire_id != frame->id)
                return false;
        switch (frame->type) {
        case WORKER_LOG:
                lane_count_chatter(lane,
                                   WORKER_HEADER_SIZE + frame->meta.length + frame->payload.length);
                if (frame->value != 1 && frame->value != 2)
                        return false;
                instance_log(lane->instance, invocation,
                             frame->value == 1 ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR,
                             frame->payload);
                return true;
        case WORKER_DATA:
                if (frame->payload.length == 0)
                        lane_count_chatter(lane, WORKER_HEADER_SIZE + frame->meta.length);
                return invocation_take(invocation, frame);
        case WORKER_RESULT:
        case WORKER_ERROR:
                return invocation_take(invocation, frame);
        case WORKER_READY:
        case WORKER_REFUSED:
        case WORKER_INVOKE:
        case WORKER_BOOT:
        case WORKER_LANE:
        case WORKER_TRUNK:
        case WORKER_RING:
        case WORKER_BELL:
                return false;
        }
        return false;
}

/* Takes what has come. Returns the number of frames, 0 when there was none. */
static int lane_receive(struct lane *lane)
{
        struct frame_inbox *inbox = lane->thread->inbox;
        int count = recvmmsg(lane->fd, inbox->headers, LANE_FRAMES, MSG_DONTWAIT, NULL);

        if (count < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        lane_hang_up(lane);
                return 0;
        }
        for (int i = 0; i < count; i++) {
                struct worker_frame frame;
                size_t length = inbox->headers[i].msg_len;
                if (length == 0) {
                        lane_hang_up(lane);
                        return 0;
                }
                if (worker_frame_decode(inbox->bytes[i], length, &frame) < 0 ||
                    !lane_take_frame(lane, &frame)) {
                        lane_ruin(lane, OUTCOME_FUNCTION_PROTOCOL,
                                  "its process sent what no shim sends");
                        return 0;
                }
                if (lane->fd < 0)
                        return 0; /* it was closed while its frames were handled */
        }
        return count;
}

int lane_hear(struct lane *lane)
{
        return lane->fd < 0 || lane->hung_up || lane->paused ? 0 : lane_receive(lane);
}

void lane_receive_rest(struct lane *lane)
{
        unsigned left = LANE_REST_ROUNDS;

        while (left-- > 0 && lane->fd >= 0 && lane->trunk &&
               trunk_receive(lane->trunk, TRUNK_FRAMES) > 0)
                ;
        left = LANE_REST_ROUNDS;
        while (left-- > 0 && lane->fd >= 0 && !lane->hung_up && lane->invocation &&
               lane_receive(lane) > 0)
                ;
}

/* What its tenant may have in this turn. */
static void lane_receive_share(struct lane *lane)
{
        const struct live *live = lane->instance->live;

        if (tenants_let_answers(lane->thread, live, 1) > 0)
                tenants_count_answers(lane->thread, live, lane_receive(lane));
}

/* Whoever finds none again asks anew. */
static void lane_use_room(struct lane *lane)
{
        struct invocation *invocation = lane->invocation;

        lane_watch_room(lane, false);
        /* The last piece is nobody else's to send: its connection waits for the answer. */
        if (invocation && invocation->exchange.connection &&
            invocation->exchange.ops->room(&invocation->exchange) > 0)
                connection_resume(invocation->exchange.connection);
}

void lane_on_socket(struct loop_source *source, uint32_t events)
{
        struct lane *lane = CONTAINER_OF(source, struct lane, source);

        if (events & EPOLLOUT)
                lane_use_room(lane);
        /* A worker that has shut its socket would wake a paused loop for ever. */
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && lane->fd >= 0 && !lane->hung_up)
                lane_receive_share(lane);
}
