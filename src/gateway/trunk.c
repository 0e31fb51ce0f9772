/* Trunks; see trunk.h. */
#include "gateway/trunk.h"

#include "base/auto.h"
#include "gateway/instance_parts.h"
#include "gateway/lane_parts.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#define BATCH 64

_Static_assert(TRUNK_FRAMES < INBOX_COUNT, "the last place serves for other things");

/* Joining and leaving ----------------------------------------------------------------------------- */

static uint32_t trunk_number(const struct gateway_thread *thread)
{
        return thread->index + 1;
}

static void trunk_free(struct trunk *trunk)
{
        trunk->instance->lanes->shares[trunk->thread->index].trunk = NULL;
        loop_remove(&trunk->thread->loop, &trunk->source);
        fd_close(&trunk->fd);
        free(trunk);
}

static void trunk_on_socket(struct loop_source *source, uint32_t events)
{
        struct trunk *trunk = CONTAINER_OF(source, struct trunk, source);
        const struct live *live = trunk->instance->live;
        unsigned most = tenants_let_answers(trunk->thread, live, TRUNK_FRAMES);

        (void)events;
        if (most > 0)
                tenants_count_answers(trunk->thread, live, trunk_receive(trunk, most));
}

/* NULL where it cannot be had: lanes do without. */
static struct trunk *trunk_open(struct instance *instance, struct gateway_thread *thread)
{
        /* Lanes that are being closed keep theirs for a moment. */
        unsigned place_count = 2 * instance->live->pool.capacity;
        struct worker_frame frame = {.type = WORKER_TRUNK, .id = trunk_number(thread)};
        struct trunk *trunk = calloc(1, sizeof(*trunk) + place_count * sizeof(struct lane *));
        AUTO(fd_close) int theirs = -1;
        int pair[2];

        if (!trunk)
                return NULL;
        trunk->instance = instance;
        trunk->thread = thread;
        trunk->place_count = place_count;
        trunk->fd = -1;
        loop_source_init(&trunk->source, trunk_on_socket);
        trunk->source.is_urgent = true; /* as a lane's */
        instance->lanes->shares[thread->index].trunk = trunk;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
                trunk->fd = pair[0];
                theirs = pair[1];
        }
        if (trunk->fd < 0 || loop_add(&thread->loop, &trunk->source, trunk->fd, EPOLLIN) < 0 ||
            instance_pass(instance, &frame, theirs) < 0) {
                trunk_free(trunk);
                return NULL;
        }
        return trunk;
}

void trunk_join(struct lane *lane, uint64_t *ret_value)
{
        struct lanes *lanes = lane->instance->lanes;
        struct trunk *trunk = lanes->shares[lane->thread->index].trunk;

        if (!trunk && lanes->takes_trunks)
                trunk = trunk_open(lane->instance, lane->thread);
        for (uint32_t i = 0; trunk && i < trunk->place_count; i++) {
                if (trunk->places[i])
                        continue;
                trunk->places[i] = lane;
                trunk->lane_count++;
                lane->trunk = trunk;
                lane->place = i;
                *ret_value = (uint64_t)trunk_number(lane->thread) << 32 | i;
                return;
        }
}

void trunk_leave(struct lane *lane)
{
        struct trunk *trunk = lane->trunk;

        if (!trunk)
                return;
        lane->trunk = NULL;
        trunk->places[lane->place] = NULL;
        trunk->left_count += lane->owes_answer;
        if (--trunk->lane_count == 0)
                trunk_free(trunk);
}

/* Sending ----------------------------------------------------------------------------------------- */

bool trunk_takes(const struct pending_frame *frame)
{
        const struct lane *lane = frame->lane;

        return !frame->by_lane && lane->trunk && lane->known && !lane->hung_up &&
               !lane->invocation->streaming;
}

void trunk_flush(struct trunk *trunk, size_t first)
{
        struct gateway_thread *thread = trunk->thread;
        struct mmsghdr headers[BATCH] = {0};
        struct pending_frame *frames[BATCH] = {0};
        struct iovec parts[BATCH][2];
        uint32_t places[BATCH];
        int count = 0, sent;

        for (size_t i = first; i < thread->pending_count && count < BATCH; i++) {
                struct pending_frame *frame = &thread->pending[i];
                if (!frame->lane || frame->lane->trunk != trunk || !trunk_takes(frame))
                        continue;
                places[count] = htole32(frame->lane->place);
                parts[count][0] =
                        (struct iovec){.iov_base = &places[count], .iov_len = WORKER_PLACE_SIZE};
                parts[count][1] = (struct iovec){.iov_base = thread->arena + frame->offset,
                                                 .iov_len = frame->length};
                headers[count].msg_hdr = (struct msghdr){.msg_iov = parts[count], .msg_iovlen = 2};
                frames[count++] = frame;
        }
        sent = sendmmsg(trunk->fd, headers, (unsigned)count, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (int i = 0; i < count; i++) {
                if (i >= sent) {
                        frames[i]->by_lane = true;
                        continue;
                }
                frames[i]->lane->unsent = false;
                frames[i]->lane = NULL;
        }
}

/* Receiving --------------------------------------------------------------------------------------- */

/* False for what does not belong here. An answer to a call that has been given up is no breach; there can
 * be one for each lane that has left. */
static bool trunk_take(struct trunk *trunk, const char *bytes, size_t length)
{
        struct worker_frame frame;
        struct lane *lane = NULL;
        uint32_t place;

        if (length < WORKER_PLACE_SIZE)
                return false;
        memcpy(&place, bytes, sizeof(place));
        place = le32toh(place);
        if (place >= trunk->place_count ||
            worker_frame_decode(bytes + WORKER_PLACE_SIZE, length - WORKER_PLACE_SIZE, &frame) <
                    0 ||
            frame.type != WORKER_RESULT || !(frame.flags & WORKER_FLAG_END))
                return false;
        lane = trunk->places[place];
        if (lane && lane->invocation && lane->invocation->wire_id == frame.id)
                return lane_take_frame(lane, &frame);
        if (lane && lane->owes_answer) {
                lane->owes_answer = false;
                return true;
        }
        if (trunk->left_count == 0)
                return false;
        trunk->left_count--;
        return true;
}

int trunk_receive(struct trunk *trunk, unsigned most)
{
        struct frame_inbox *inbox = trunk->thread->inbox;
        int count = recvmmsg(trunk->fd, inbox->headers, most, MSG_DONTWAIT, NULL);

        if (count < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        for (int i = 0; i < count; i++) {
                size_t length = inbox->headers[i].msg_len;
                if (length > 0 && trunk_take(trunk, inbox->bytes[i], length))
                        continue;
                if (length > 0)
                        lanes_fail(trunk->instance, OUTCOME_FUNCTION_PROTOCOL,
                                   "its process sent what no shim sends");
                count = -1;
                break;
        }
        /* The worker's end is closed, or there is no use in it. Its lanes hear of the rest. */
        if (count < 0)
                loop_remove(&trunk->thread->loop, &trunk->source);
        return count < 0 ? 0 : count;
}
