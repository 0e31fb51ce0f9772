/* Trunks; see trunk.h. */
#include "init/trunk.h"

#include "base/auto.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Opening and closing ----------------------------------------------------------------------------- */

static void trunk_close(struct trunk *trunk)
{
        int fd = trunk->source.fd;

        trunk_flush(trunk);
        for (size_t i = 0; i < LANES_MAX; i++)
                if (trunk->places[i])
                        trunk->places[i]->trunk = NULL;
        loop_remove(trunk->lanes->loop, &trunk->source);
        fd_close(&fd);
        list_remove(&trunk->task.link);
        list_remove(&trunk->link);
        free(trunk);
}

/* The latest of that number: one that has ended may not be known as such. NULL: none. */
static struct trunk *find(const struct lanes *lanes, uint32_t number)
{
        struct trunk *trunk;

        LIST_FOR_EACH (trunk, &lanes->trunks, link)
                if (trunk->number == number)
                        return trunk;
        return NULL;
}

void trunk_join(struct lane *lane, uint64_t value)
{
        uint32_t number = (uint32_t)(value >> 32), place = (uint32_t)value;
        struct trunk *trunk = number != 0 ? find(lane->lanes, number) : NULL;

        if (!trunk || place >= LANES_MAX)
                return;
        if (trunk->places[place])
                trunk_leave(trunk->places[place]); /* it is closed, and will hear of it */
        trunk->places[place] = lane;
        lane->trunk = trunk;
        lane->place = place;
}

void trunk_leave(struct lane *lane)
{
        struct trunk *trunk = lane->trunk;

        if (!trunk)
                return;
        trunk_flush(trunk);
        trunk->places[lane->place] = NULL;
        lane->trunk = NULL;
}

/* Receiving --------------------------------------------------------------------------------------- */

/* False where it is not for a lane that waits for a call. */
static bool deliver(struct trunk *trunk, const char *bytes, size_t length)
{
        struct lane *lane;
        uint32_t place;

        if (length <= WORKER_PLACE_SIZE || length > sizeof(trunk->inbox[0]))
                return false;
        memcpy(&place, bytes, sizeof(place));
        place = le32toh(place);
        lane = place < LANES_MAX ? trunk->places[place] : NULL;
        if (!lane)
                return true; /* it was closed meanwhile */
        lane->handed = slice_make(bytes + WORKER_PLACE_SIZE, length - WORKER_PLACE_SIZE);
        lane_run(lane);
        return trunk->places[place] != lane || lane->handed.length == 0;
}

static void on_event(struct loop_source *source, uint32_t events)
{
        struct trunk *trunk = CONTAINER_OF(source, struct trunk, source);
        struct mmsghdr headers[TRUNK_BATCH] = {0};
        struct iovec parts[TRUNK_BATCH];
        int count;

        (void)events;
        for (size_t i = 0; i < TRUNK_BATCH; i++) {
                parts[i] = (struct iovec){.iov_base = trunk->inbox[i],
                                          .iov_len = sizeof(trunk->inbox[i])};
                headers[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        }
        count = recvmmsg(source->fd, headers, TRUNK_BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        for (int i = 0; i < count; i++) {
                size_t length = headers[i].msg_len;
                if (length > 0 && deliver(trunk, trunk->inbox[i], length))
                        continue;
                if (length > 0)
                        lane_break(trunk->lanes->main);
                count = -1;
        }
        if (count < 0)
                trunk_close(trunk);
}

/* Sending ----------------------------------------------------------------------------------------- */

bool trunk_post(const struct lane *lane, const struct worker_frame *frame)
{
        size_t length =
                WORKER_PLACE_SIZE + WORKER_HEADER_SIZE + frame->meta.length + frame->payload.length;
        struct trunk *trunk = lane->trunk;
        uint32_t place = htole32(lane->place);
        char *at;

        if (!trunk || frame->type != WORKER_RESULT || !(frame->flags & WORKER_FLAG_END) ||
            length > WORKER_PLACE_SIZE + WORKER_TRUNK_MAX)
                return false;
        if (trunk->posted_count == TRUNK_BATCH ||
            trunk->posted_length + length > sizeof(trunk->outbox))
                trunk_flush(trunk);
        at = trunk->outbox + trunk->posted_length;
        trunk->posted[trunk->posted_count++] = slice_make(at, length);
        trunk->posted_length += length;
        memcpy(at, &place, sizeof(place));
        worker_frame_encode_header(frame, at + WORKER_PLACE_SIZE);
        at += WORKER_PLACE_SIZE + WORKER_HEADER_SIZE;
        memcpy(at, frame->meta.data, frame->meta.length);
        memcpy(at + frame->meta.length, frame->payload.data, frame->payload.length);
        loop_defer(trunk->lanes->loop, &trunk->task);
        return true;
}

/* By the lane's own socket, which is empty where an answer is one frame. */
static void send_apart(struct trunk *trunk, struct slice posted)
{
        struct slice frame = slice_skip(posted, WORKER_PLACE_SIZE);
        const struct lane *lane;
        uint32_t place;

        memcpy(&place, posted.data, sizeof(place));
        lane = trunk->places[le32toh(place)];
        if (lane &&
            send(lane->source.fd, frame.data, frame.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno != EPIPE && errno != ECONNRESET)
                lane_break(trunk->lanes->main);
}

void trunk_flush(struct trunk *trunk)
{
        struct mmsghdr headers[TRUNK_BATCH] = {0};
        struct iovec parts[TRUNK_BATCH];
        size_t count = trunk->posted_count;
        int sent;

        if (count == 0)
                return;
        for (size_t i = 0; i < count; i++) {
                parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)trunk->posted[i].data,
                                          .iov_len = trunk->posted[i].length};
                headers[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        }
        sent = sendmmsg(trunk->source.fd, headers, (unsigned)count, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (size_t i = sent < 0 ? 0 : (size_t)sent; i < count; i++)
                send_apart(trunk, trunk->posted[i]);
        trunk->posted_count = trunk->posted_length = 0;
}

static void run_task(struct loop_task *task)
{
        trunk_flush(CONTAINER_OF(task, struct trunk, task));
}

void trunk_open(struct lanes *lanes, uint32_t number, int fd)
{
        AUTO(fd_close) int owned = fd;
        struct trunk *trunk = calloc(1, sizeof(*trunk));

        if (!trunk)
                return;
        trunk->lanes = lanes;
        trunk->number = number;
        loop_source_init(&trunk->source, on_event);
        loop_task_init(&trunk->task, run_task);
        if (loop_add(lanes->loop, &trunk->source, owned, EPOLLIN) < 0) {
                free(trunk);
                return;
        }
        (void)fd_steal(&owned);
        list_push_front(&lanes->trunks, &trunk->link);
}
