/* Lanes; see lanes.h. */
#include "init/lanes.h"

#include "init/trunk.h"
#include "init/worker_socket.h"

#include "base/auto.h"
#include "wire/lambda_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* That there is room is an event each time the gateway takes a frame: only who waits is told. */
#define WATCHED (EPOLLIN | EPOLLET)
#define STEPS_MAX 32 /* without looking at the others */

static bool is_main(const struct lane *lane)
{
        return lane == lane->lanes->main;
}

static void lose(struct lane *lane)
{
        lane->lost = true;
        if (is_main(lane))
                loop_stop(lane->lanes->loop);
}

void lane_break(struct lane *lane)
{
        lane->lanes->broken = true;
        lane->lost = true;
        loop_stop(lane->lanes->loop);
}

static void lane_close(struct lane *lane)
{
        struct lanes *lanes = lane->lanes;
        int fd = lane->source.fd;

        trunk_leave(lane);
        loop_remove(lanes->loop, &lane->source);
        fd_close(&fd);
        list_remove(&lane->task.link);
        list_remove(&lane->link);
        lanes->count--;
        lanes->contract->close(lane);
}

static int receive(struct lane *lane, char *bytes, size_t length, int flags, int *ret_passed)
{
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {.iov_base = bytes, .iov_len = length};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen =
                                         is_main(lane) && ret_passed ? sizeof(control) : 0};
        struct cmsghdr *header;
        ssize_t got;

        do {
                got = recvmsg(lane->source.fd, &message,
                              flags | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
        } while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int)) && ret_passed)
                memcpy(ret_passed, CMSG_DATA(header), sizeof(int));
        return (int)got;
}

static void on_event(struct loop_source *source, uint32_t events)
{
        struct lane *lane = CONTAINER_OF(source, struct lane, source);

        if (events & (EPOLLERR | EPOLLHUP))
                lose(lane);
        if (events & EPOLLIN) {
                lane->readable = true;
                lane->looked = false; /* the gateway may have taken that back */
        }
        lane_run(lane);
}

static void run_task(struct loop_task *task)
{
        lane_run(CONTAINER_OF(task, struct lane, task));
}

/* Takes `fd` over. 0 or a negative errno. */
static int add(struct lanes *lanes, uint32_t number, int fd, struct lane **ret_lane)
{
        AUTO(fd_close) int owned = fd;
        struct lane *lane = lanes->count < LANES_MAX ? lanes->contract->open(lanes) : NULL;
        int r;

        if (!lane)
                return -ENOMEM;
        lane->lanes = lanes;
        lane->number = number;
        lane->readable = true;
        loop_source_init(&lane->source, on_event);
        loop_task_init(&lane->task, run_task);
        r = loop_add(lanes->loop, &lane->source, owned, WATCHED);
        if (r < 0) {
                list_init(&lane->link);
                lanes->contract->close(lane);
                return r;
        }
        (void)fd_steal(&owned);
        list_push_back(&lanes->all, &lane->link);
        lanes->count++;
        *ret_lane = lane;
        return 0;
}

int lanes_init(struct lanes *lanes, struct loop *loop, const struct lane_contract *contract)
{
        *lanes = (struct lanes){.loop = loop, .contract = contract};
        list_init(&lanes->all);
        list_init(&lanes->trunks);
        return add(lanes, 0, WORKER_FD, &lanes->main);
}

static bool brings_a_way(uint8_t type)
{
        return type == WORKER_LANE || type == WORKER_TRUNK;
}

/* A LANE or TRUNK frame of the main lane. Where there is no memory for one more lane, its descriptor is
 * closed, which ends the instance; calls come without trunks, too. */
static void take_way(struct lane *lane, const struct worker_frame *frame, int passed)
{
        struct lanes *lanes = lane->lanes;
        struct lane *fresh;

        if (frame->id == 0 || passed < 0 || !is_main(lane)) {
                fd_close(&passed);
                lane_break(lane);
        } else if (frame->type == WORKER_TRUNK) {
                trunk_open(lanes, frame->id, passed);
        } else if (add(lanes, frame->id, passed, &fresh) == 0) {
                trunk_join(fresh, frame->value);
        }
}

/* Nothing can follow before it is answered, and what comes then is an event of its own. Lane 0 may
 * have LANE frames behind it, and further calls. */
static bool is_whole_call(const struct lane *lane, const struct worker_frame *frame)
{
        return !is_main(lane) && frame->type == WORKER_INVOKE && (frame->flags & WORKER_FLAG_END);
}

enum lane_received lane_receive(struct lane *lane, char *bytes, struct worker_frame *ret_frame)
{
        if (lane->handed.length > 0) {
                size_t length = lane->handed.length;
                memcpy(bytes, lane->handed.data, length);
                lane->handed = (struct slice){0};
                if (worker_frame_decode(bytes, length, ret_frame) == 0 &&
                    is_whole_call(lane, ret_frame))
                        return LANE_FRAME;
                lane_break(lane);
                return LANE_NOTHING;
        }
        lane->looked = false;
        while (lane->readable && !lane->lost) {
                int passed = -1, got = receive(lane, bytes, WORKER_FRAME_MAX, 0, &passed);

                if (got == -EAGAIN) {
                        lane->readable = false;
                        return LANE_NOTHING;
                }
                if (got <= 0) {
                        lose(lane);
                        return LANE_NOTHING;
                }
                if (worker_frame_decode(bytes, (size_t)got, ret_frame) < 0) {
                        fd_close(&passed);
                        lane_break(lane);
                        return LANE_NOTHING;
                }
                if (!brings_a_way((uint8_t)ret_frame->type)) {
                        fd_close(&passed);
                        if (is_whole_call(lane, ret_frame))
                                lane->readable = false;
                        return LANE_FRAME;
                }
                take_way(lane, ret_frame, passed);
        }
        return LANE_NOTHING;
}

/* An invocation must not keep lane 0 from bringing new lanes: they are for others that wait. What
 * stands in front of the queue and is no LANE stays there, for the gateway to take back. */
static void look_for_lanes(struct lane *lane)
{
        char header[WORKER_HEADER_SIZE];
        struct worker_frame frame;

        while (!lane->lost && !lane->looked) {
                int passed = -1, got = receive(lane, header, sizeof(header), MSG_PEEK, NULL);
                if (got == -EAGAIN)
                        lane->readable = false;
                lane->looked = got > 0 && !brings_a_way((uint8_t)header[0]);
                if (got < (int)sizeof(header) || !brings_a_way((uint8_t)header[0]))
                        return;
                got = receive(lane, header, sizeof(header), 0, &passed);
                if (got < 0)
                        return;
                if (got != sizeof(header) || !brings_a_way((uint8_t)header[0]) ||
                    worker_frame_decode(header, sizeof(header), &frame) < 0) {
                        fd_close(&passed);
                        lane_break(lane);
                        return;
                }
                take_way(lane, &frame, passed);
        }
}

void lane_run(struct lane *lane)
{
        const struct lane_contract *contract = lane->lanes->contract;
        int steps = 0;

        while (!lane->lost && steps < STEPS_MAX && contract->step(lane))
                steps++;
        if (lane->lost && !is_main(lane)) {
                lane_close(lane);
                return;
        }
        if (steps == STEPS_MAX)
                loop_defer_turn(lane->lanes->loop, &lane->task);
        else if (is_main(lane) && lane->readable && !lane->lost)
                look_for_lanes(lane);
}

void lanes_flush(struct lanes *lanes)
{
        struct trunk *trunk;

        LIST_FOR_EACH (trunk, &lanes->trunks, link)
                trunk_flush(trunk);
}

void lane_run_soon(struct lane *lane)
{
        loop_defer(lane->lanes->loop, &lane->task);
}

bool lane_flush(struct lane *lane)
{
        int r = 0;

        if (!lane->outbox_full)
                return true;
        r = worker_socket_try_send(lane->source.fd, &lane->outbox);
        lane->outbox_full = r == -EAGAIN;
        (void)loop_modify(lane->lanes->loop, &lane->source,
                          lane->outbox_full ? WATCHED | EPOLLOUT : WATCHED);
        if (r < 0 && r != -EAGAIN)
                lose(lane);
        return !lane->outbox_full;
}

void lane_post(struct lane *lane, const struct worker_frame *frame)
{
        lane->outbox = *frame;
        lane->outbox.id = lane->id;
        if (trunk_post(lane, &lane->outbox))
                return;
        lane->outbox_full = true;
        (void)lane_flush(lane);
}

void lane_post_error(struct lane *lane, char *bytes, const char *type, const char *text)
{
        const struct lambda_error error = {
                .type = slice_of(type), .message = slice_of(text), .trace = SLICE("[]")};
        size_t room = WORKER_FRAME_MAX - WORKER_HEADER_SIZE;

        lane_post(lane,
                  &(struct worker_frame){
                          .type = WORKER_ERROR,
                          .payload = slice_make(bytes, lambda_error_write(&error, bytes, room)),
                  });
}
