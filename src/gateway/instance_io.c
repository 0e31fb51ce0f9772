/* What goes to an instance and what comes from it; see instance.h and wire/worker_protocol.h. */
#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/instance_parts.h"
#include "gateway/invocation.h"
#include "gateway/lane.h"
#include "gateway/ring.h"
#include "gateway/trunk.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAR_ROUNDS 512 /* more than a socket holds: what comes meanwhile is too late */

struct frame_inbox *frame_inbox_new(void)
{
        struct frame_inbox *inbox = calloc(1, sizeof(*inbox));

        for (size_t i = 0; inbox && i < INBOX_COUNT; i++) {
                inbox->parts[i] =
                        (struct iovec){.iov_base = inbox->bytes[i], .iov_len = WORKER_FRAME_MAX};
                inbox->headers[i].msg_hdr =
                        (struct msghdr){.msg_iov = &inbox->parts[i], .msg_iovlen = 1};
        }
        return inbox;
}

void frame_inbox_free(struct frame_inbox *inbox)
{
        free(inbox);
}

/* Sending ------------------------------------------------------------------------------------- */

/* How many were sent; where that is less than `count`, errno is that of the next. */
static int send_frames(int fd, struct mmsghdr *headers, int count)
{
        int sent = 0, r;

        if (count == 1)
                return sendmsg(fd, &headers[0].msg_hdr, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? 0 : 1;
        while (sent < count) {
                r = sendmmsg(fd, headers + sent, (unsigned)(count - sent),
                             MSG_NOSIGNAL | MSG_DONTWAIT);
                if (r <= 0)
                        break;
                sent += r;
        }
        return sent;
}

/* All pending frames of one instance, from `first` on, in one system call. */
static void flush_instance(struct gateway_thread *thread, size_t first)
{
        struct instance *instance = thread->pending[first].instance;
        struct pending_frame *frames[POOL_AHEAD_MAX + 2];
        struct mmsghdr headers[POOL_AHEAD_MAX + 2];
        struct iovec parts[POOL_AHEAD_MAX + 2];
        int count = 0, sent;

        for (size_t i = first; i < thread->pending_count && count < POOL_AHEAD_MAX + 2; i++) {
                struct pending_frame *frame = &thread->pending[i];
                if (frame->instance != instance)
                        continue;
                parts[count] = (struct iovec){.iov_base = thread->arena + frame->offset,
                                              .iov_len = frame->length};
                headers[count] =
                        (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[count], .msg_iovlen = 1}};
                frames[count++] = frame;
        }
        sent = send_frames(instance->fds.socket, headers, count);
        for (int i = 0; i < sent; i++)
                frames[i]->instance = NULL;
        if (sent == count) {
                instance->unsent_id = 0;
                /* Nothing is pending, so that whatever went by the socket is begun before. */
                if (count > 1 && instance->takes_ring && instance->crowds < RING_AFTER &&
                    ++instance->crowds == RING_AFTER)
                        ring_open(instance);
                return;
        }
        if (errno == EAGAIN) {
                instance_miss_room(instance, NULL, 0);
                return;
        }
        frames[sent]->instance = NULL; /* else it would go from one broken worker to the next */
        instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                      "its process does not take requests any more");
}

void gateway_thread_flush(struct loop_task *task)
{
        struct gateway_thread *thread = CONTAINER_OF(task, struct gateway_thread, flush);

        while (thread->flushed < thread->pending_count) {
                size_t i = thread->flushed++;
                struct pending_frame *pending = &thread->pending[i];
                struct lane *lane = pending->lane;
                if (pending->instance)
                        flush_instance(thread, i);
                if (!lane)
                        continue;
                if (trunk_takes(pending))
                        trunk_flush(lane->trunk, i);
                if (!pending->lane)
                        continue;
                pending->lane = NULL;
                lane_flush(lane, slice_make(thread->arena + pending->offset, pending->length));
        }
        thread->flushed = 0;
        thread->pending_count = 0;
        thread->arena_used = 0;
}

size_t slices_to_vector(const struct slice *parts, size_t count, struct iovec *ret_vector)
{
        size_t total = 0;

        for (size_t i = 0; i < count; i++) {
                ret_vector[i] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data,
                                               .iov_len = parts[i].length};
                total += parts[i].length;
        }
        return total;
}

static void gateway_thread_make_room(struct gateway_thread *thread, size_t length)
{
        if (thread->pending_count == PENDING_MAX || thread->arena_used + length > ARENA_SIZE)
                gateway_thread_flush(&thread->flush);
}

struct pending_frame *pending_frame_add(struct gateway_thread *thread, const struct slice *parts,
                                        size_t count, size_t total)
{
        struct pending_frame *pending;
        char *at;

        gateway_thread_make_room(thread, total);
        at = thread->arena + thread->arena_used;
        pending = &thread->pending[thread->pending_count++];
        *pending = (struct pending_frame){.offset = (uint32_t)thread->arena_used,
                                          .length = (uint32_t)total};
        thread->arena_used += total;
        for (size_t i = 0; i < count; i++) {
                memcpy(at, parts[i].data, parts[i].length);
                at += parts[i].length;
        }
        loop_defer(&thread->loop, &thread->flush);
        return pending;
}

static void instance_put(struct instance *instance, const struct slice *parts, size_t count)
{
        const struct worker_frame bell = {.type = WORKER_BELL};
        char header[WORKER_HEADER_SIZE];
        struct slice frame = slice_make(header, sizeof(header));

        if (list_is_empty(&instance->ring_link))
                list_push_back(&instance_home(instance)->rings, &instance->ring_link);
        if (!ring_put(instance->ring, parts, count, instance->last_wire_id))
                return;
        worker_frame_encode_header(&bell, header);
        pending_frame_add(instance_home(instance), &frame, 1, frame.length)->instance = instance;
}

void instance_send(struct instance *instance, const struct slice *parts, size_t count)
{
        struct iovec vector[4];
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
        size_t total;

        assert(count <= 4);
        total = slices_to_vector(parts, count, vector);
        gateway_thread_make_room(instance_home(instance), total); /* it may get a ring by that */
        if (instance->ring && total <= AHEAD_FRAME_MAX) {
                instance_put(instance, parts, count);
                return;
        }
        if (instance->ring) /* the call itself wakes its worker, and what follows it is its own */
                instance_drop_bell(instance);
        if (total <= ARENA_FRAME_MAX) {
                pending_frame_add(instance_home(instance), parts, count, total)->instance =
                        instance;
                if (instance->unsent_id == 0)
                        instance->unsent_id = instance->last_wire_id;
                return;
        }
        if (sendmsg(instance->fds.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                return;
        if (errno == EAGAIN)
                instance_miss_room(instance, parts, count);
        else
                instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                              "its process does not take requests any more");
}

int instance_pass(const struct instance *instance, const struct worker_frame *frame, int fd)
{
        char bytes[WORKER_HEADER_SIZE];
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS}};
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control.room)};

        worker_frame_encode_header(frame, bytes);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        if (sendmsg(instance->fds.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                return -errno;
        return 0;
}

int worker_send_data(int fd, uint32_t wire_id, struct slice bytes, bool end)
{
        struct worker_frame frame = {
                .type = WORKER_DATA, .flags = end ? WORKER_FLAG_END : 0, .id = wire_id};
        char header[WORKER_HEADER_SIZE];
        struct iovec vector[2] = {
                {.iov_base = header, .iov_len = sizeof(header)},
                {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.length}};
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

        worker_frame_encode_header(&frame, header);
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int instance_send_data(struct instance *instance, uint32_t wire_id, struct slice bytes, bool end)
{
        struct gateway_thread *thread = instance_home(instance);

        if (thread->pending_count > 0)
                gateway_thread_flush(&thread->flush); /* the INVOKE frame comes first */
        return worker_send_data(instance->fds.socket, wire_id, bytes, end);
}

/* What its sources should wake us for ----------------------------------------------------------- */

static void instance_watch(struct instance *instance, uint32_t events)
{
        if (instance->attached)
                (void)loop_modify(&instance_home(instance)->loop, &instance->socket_source, events);
}

void instance_watch_room(struct instance *instance, bool wanted)
{
        bool reading = !instance->paused && !instance->loud;

        instance_watch(instance, (reading ? EPOLLIN : 0) | (wanted ? EPOLLOUT : 0));
}

void instance_pause(struct instance *instance, bool paused)
{
        if (instance->paused == paused)
                return;
        instance->paused = paused;
        instance_watch_room(instance, instance->socket_source.events & EPOLLOUT);
}

static int instance_set_frozen(const struct instance *instance, bool frozen)
{
        const struct sandbox_host *host = instance_gateway(instance)->scheduler.host;

        return host->ops->set_frozen(host, instance->fds.group, frozen);
}

void instance_thaw(struct instance *instance)
{
        if (instance_set_frozen(instance, false) < 0)
                instance_fail(instance, OUTCOME_PLATFORM, "it could not be thawed");
}

void instance_freeze(struct instance *instance)
{
        /* Where it fails the sandbox is just gone, and ended() is on its way. */
        (void)instance_set_frozen(instance, true);
}

void instance_close_way_in(struct instance *instance)
{
        (void)shutdown(instance->fds.socket, SHUT_WR);
        (void)instance_set_frozen(instance, false);
}

/* Receiving ------------------------------------------------------------------------------------- */

/* Beside lanes other threads may change its state at any time; and while it rests, when a BELL may come. */
static bool instance_is(struct instance *instance, enum instance_state state)
{
        bool is;

        if (!instance->lanes && !instance->ring)
                return instance->pool.state == state;
        pthread_mutex_lock(&instance->live->lock);
        is = instance->pool.state == state;
        pthread_mutex_unlock(&instance->live->lock);
        return is;
}

/* False for a frame that does not belong here: the instance is to be ended. */
static bool instance_take_frame(struct instance *instance, const struct worker_frame *frame)
{
        struct invocation *head;

        switch (frame->type) {
        case WORKER_LOG:
                return instance_take_log_frame(instance, frame);
        case WORKER_READY:
        case WORKER_REFUSED:
                if (instance->ended && frame->type == WORKER_READY)
                        return true; /* too late; why it has ended is what counts */
                return instance_is(instance, INSTANCE_BOOTING) &&
                       scheduler_boot_answer(instance, frame);
        case WORKER_RESULT:
        case WORKER_ERROR:
        case WORKER_DATA:
                head = instance_head_here(instance);
                if (!head || head->wire_id != frame->id || frame->id == instance->unsent_id)
                        return false;
                if (frame->type == WORKER_DATA && frame->payload.length == 0)
                        instance_count_chatter(instance, WORKER_HEADER_SIZE + frame->meta.length);
                return invocation_take(head, frame);
        case WORKER_BELL:
                if (!instance->takes_ring || frame->meta.length + frame->payload.length > 0)
                        return false;
                if (!instance->ring || !ring_hear_bell(instance->ring))
                        instance_count_chatter(instance, WORKER_HEADER_SIZE);
                return true;
        case WORKER_INVOKE:
        case WORKER_BOOT:
        case WORKER_LANE:
        case WORKER_TRUNK:
        case WORKER_RING:
                return false;
        }
        return false;
}

static void instance_speaks_nonsense(struct instance *instance)
{
        instance->spoke_nonsense = true;
        instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL, "its process sent what no shim sends");
}

#define ALL INT_MAX

/* On `here`: takes answers in its ring, at most `most`. Of those to calls that are sent meanwhile it will be
 * told. Returns their number. */
static int instance_take_ring(struct instance *instance, const struct gateway_thread *here,
                              int most)
{
        char *bytes = here->inbox->from_ring;
        struct worker_frame frame;
        int count = 0;

        if (instance_home(instance) != here || !instance->ring)
                return 0;
        if (most > (int)ring_count(instance->ring))
                most = (int)ring_count(instance->ring);
        /* Each may be the last: then it is another thread's, or its ring is no more. */
        while (count < most && instance_home(instance) == here && instance->ring) {
                struct invocation *head = instance_head_here(instance);
                ssize_t length = head ? ring_take_answer(instance->ring, head->wire_id, bytes) : 0;
                if (length == 0)
                        break;
                if (length < 0 || worker_frame_decode(bytes, (size_t)length, &frame) < 0 ||
                    frame.type != WORKER_RESULT || !(frame.flags & WORKER_FLAG_END) ||
                    !instance_take_frame(instance, &frame)) {
                        instance_speaks_nonsense(instance);
                        break;
                }
                count++;
        }
        return count;
}

/* Where answers lie in its ring as many as may be taken, its BELL, if there is one, stays in the socket. */
int instance_receive(struct instance *instance, unsigned most)
{
        struct gateway_thread *thread = instance_home(instance);
        struct frame_inbox *inbox = thread->inbox;
        bool has_ring = instance->ring != NULL;
        int answers = instance_take_ring(instance, thread, (int)most), count;

        if (answers == (int)most || instance_home(instance) != thread)
                return answers;
        assert(has_ring || most < INBOX_COUNT);
        count = recvmmsg(instance->fds.socket, inbox->headers, has_ring ? 1 : most, MSG_DONTWAIT,
                         NULL);
        for (int i = 0; i < count; i++) {
                struct worker_frame frame;
                size_t length = inbox->headers[i].msg_len;
                /* What lies in the ring came before it. But a BELL is heard by whoever receives it: the
                 * last of these answers may give the instance away. */
                if (length > 0 && inbox->bytes[i][0] != WORKER_BELL)
                        answers += instance_take_ring(instance, thread, ALL);
                if (!instance->ended && instance_is(instance, INSTANCE_ENDING))
                        return 0; /* it was ended while its frames were handled */
                if (length == 0 && instance->ended)
                        return 0;
                if (instance_home(instance) != thread) {
                        instance_take_late_log(instance, inbox->bytes[i], length);
                        continue;
                }
                if (worker_frame_decode(inbox->bytes[i], length, &frame) < 0 ||
                    !instance_take_frame(instance, &frame)) {
                        instance_speaks_nonsense(instance);
                        return 0;
                }
        }
        if (count > 0)
                answers += instance_take_ring(instance, thread, ALL);
        return answers + (count < 0 ? 0 : count);
}

void instance_look(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        const struct live *live = instance->live;
        unsigned most;

        if (!instance->ring || instance->paused || instance->loud)
                return;
        most = tenants_let_answers(thread, live, ring_count(instance->ring));
        tenants_count_answers(thread, live, instance_take_ring(instance, thread, (int)most));
}

/* An answer that lies there when the turn ends need not wait for its BELL's turn. */
void gateway_thread_look(struct loop_task *task)
{
        struct gateway_thread *thread = CONTAINER_OF(task, struct gateway_thread, look);
        struct list due;

        list_move(&due, &thread->rings);
        while (!list_is_empty(&due)) {
                struct instance *instance =
                        CONTAINER_OF(list_pop_front(&due), struct instance, ring_link);
                if (!instance->ring || ring_count(instance->ring) == 0)
                        continue;
                list_push_back(&thread->rings, &instance->ring_link);
                instance_look(instance);
        }
}

/* What its tenant may have in this turn. */
static void instance_receive_share(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        const struct live *live =
                instance->live; /* it may be gone afterwards, its function is not */
        unsigned most = tenants_let_answers(thread, live, instance_receives_at_once(instance));

        if (most > 0)
                tenants_count_answers(thread, live, instance_receive(instance, most));
}

/* A call that has ended has no instance, and its memory is kept for the next: so it can be looked at. */
bool instance_hear_call(const struct invocation *invocation)
{
        struct instance *instance = invocation->instance;
        struct lane *lane = invocation->lane;

        for (unsigned i = 0; i < HEAR_ROUNDS && invocation->instance == instance; i++) {
                if (lane ? lane_hear(lane) == 0
                         : instance->paused || instance_receive(instance, 1) == 0)
                        break;
        }
        return invocation->instance == instance;
}

/* Whoever finds none again asks anew. */
static void instance_use_room(struct instance *instance)
{
        struct invocation *head = instance_head_here(instance);

        instance_watch_room(instance, false);
        if (instance->lanes)
                lanes_use_room(instance);
        /* The last piece is nobody else's to send: its connection waits for the answer. */
        else if (head && head->exchange.connection && head->exchange.ops->room(&head->exchange) > 0)
                connection_resume(head->exchange.connection);
}

void instance_on_socket(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, socket_source);

        if (events & EPOLLOUT)
                instance_use_room(instance);
        /* Last, because it may be another thread's then. A worker that has shut its socket would wake a
         * paused loop for ever. */
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                instance_receive_share(instance);
}
