/* One instance; see instance.h. */
#include "gateway/instance.h"

#include "base/auto.h"
#include "base/clock.h"
#include "gateway/function_log.h"
#include "gateway/gateway.h"
#include "gateway/invocation.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define INBOX_COUNT 32
#define ARENA_FRAME_MAX 8192 /* larger ones are sent at once, uncopied */
#define LOG_READ_MAX 65536
#define LOG_PAUSE_MS 20 /* so one instance logs 3 MiB/s at most, then its write(2) waits */
#define LOG_INVOCATION_MAX (1u << 20)

struct frame_inbox {
        struct mmsghdr headers[INBOX_COUNT];
        struct iovec parts[INBOX_COUNT];
        char bytes[INBOX_COUNT][WORKER_FRAME_MAX];
};

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

static struct gateway_thread *instance_home(struct instance *instance)
{
        return atomic_load_explicit(&instance->thread, memory_order_acquire);
}

static struct invocation *instance_head(const struct instance *instance)
{
        struct list *link = list_peek_front(&instance->pool.assigned);

        if (!link)
                return NULL;
        return CONTAINER_OF(CONTAINER_OF(link, struct pool_call, link), struct invocation, call);
}

/* Sending ------------------------------------------------------------------------------------- */

/* All pending frames of one instance, from `first` on, in one system call. */
static void flush_instance(struct gateway_thread *thread, size_t first)
{
        struct instance *instance = thread->pending[first].instance;
        struct mmsghdr headers[POOL_AHEAD_MAX + 2];
        struct iovec parts[POOL_AHEAD_MAX + 2];
        unsigned count = 0;
        int sent;

        for (size_t i = first; i < thread->pending_count && count < POOL_AHEAD_MAX + 2; i++) {
                struct pending_frame *frame = &thread->pending[i];
                if (frame->instance != instance)
                        continue;
                parts[count] = (struct iovec){.iov_base = thread->arena + frame->offset,
                                              .iov_len = frame->length};
                headers[count] =
                        (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[count], .msg_iovlen = 1}};
                count++;
                frame->instance = NULL;
        }
        if (count == 1)
                sent = sendmsg(instance->fds.socket, &headers[0].msg_hdr,
                               MSG_NOSIGNAL | MSG_DONTWAIT) < 0
                               ? -1
                               : 1;
        else
                sent = sendmmsg(instance->fds.socket, headers, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        /* What may be ahead fits the socket's buffer by far: a full one is a broken worker. */
        if (sent < (int)count)
                instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                              "its process does not take requests any more");
}

void gateway_thread_flush(struct loop_task *task)
{
        struct gateway_thread *thread = CONTAINER_OF(task, struct gateway_thread, flush);

        for (size_t i = 0; i < thread->pending_count; i++)
                if (thread->pending[i].instance)
                        flush_instance(thread, i);
        thread->pending_count = 0;
        thread->arena_used = 0;
}

void instance_send(struct instance *instance, const struct slice *parts, size_t count)
{
        struct gateway_thread *thread = instance_home(instance);
        struct iovec vector[4];
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
        size_t total = 0;
        char *at;

        assert(count <= 4);
        for (size_t i = 0; i < count; i++) {
                vector[i] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data,
                                           .iov_len = parts[i].length};
                total += parts[i].length;
        }
        if (total > ARENA_FRAME_MAX) {
                if (sendmsg(instance->fds.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                        instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                                      "its process does not take requests any more");
                return;
        }
        if (thread->pending_count == PENDING_MAX || thread->arena_used + total > ARENA_SIZE)
                gateway_thread_flush(&thread->flush);
        at = thread->arena + thread->arena_used;
        thread->pending[thread->pending_count++] =
                (struct pending_frame){.instance = instance,
                                       .offset = (uint32_t)thread->arena_used,
                                       .length = (uint32_t)total};
        thread->arena_used += total;
        for (size_t i = 0; i < count; i++) {
                memcpy(at, parts[i].data, parts[i].length);
                at += parts[i].length;
        }
        loop_defer(&thread->loop, &thread->flush);
}

int instance_send_data(struct instance *instance, uint32_t wire_id, struct slice bytes, bool end)
{
        struct gateway_thread *thread = instance_home(instance);
        struct worker_frame frame = {
                .type = WORKER_DATA, .flags = end ? WORKER_FLAG_END : 0, .id = wire_id};
        char header[WORKER_HEADER_SIZE];
        struct iovec vector[2] = {
                {.iov_base = header, .iov_len = sizeof(header)},
                {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.length}};
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

        if (thread->pending_count > 0)
                gateway_thread_flush(&thread->flush); /* the INVOKE frame comes first */
        worker_frame_encode_header(&frame, header);
        if (sendmsg(instance->fds.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                return -errno;
        return 0;
}

/* What its sources should wake us for ----------------------------------------------------------- */

static void instance_watch(struct instance *instance, uint32_t events)
{
        if (instance->attached)
                (void)loop_modify(&instance_home(instance)->loop, &instance->socket_source, events);
}

void instance_watch_room(struct instance *instance, bool wanted)
{
        instance_watch(instance, (instance->paused ? 0 : EPOLLIN) | (wanted ? EPOLLOUT : 0));
}

void instance_pause(struct instance *instance, bool paused)
{
        if (instance->paused == paused)
                return;
        instance->paused = paused;
        instance_watch(instance, paused ? 0 : EPOLLIN);
}

void instance_thaw(struct instance *instance)
{
        if (pwrite(instance->fds.freeze, "0", 1, 0) < 0)
                instance_fail(instance, OUTCOME_PLATFORM, "it could not be thawed");
}

void instance_freeze(struct instance *instance)
{
        /* Where it fails the sandbox is just gone, and ended() is on its way. */
        if (pwrite(instance->fds.freeze, "1", 1, 0) < 0)
                return;
}

/* Receiving ------------------------------------------------------------------------------------- */

static void instance_log(struct instance *instance, struct invocation *invocation,
                         enum log_stream stream, struct slice text)
{
        if (invocation) {
                uint64_t before = invocation->log_bytes;
                invocation->log_bytes += text.length;
                if (before >= LOG_INVOCATION_MAX)
                        return;
                if (invocation->log_bytes >= LOG_INVOCATION_MAX)
                        text = SLICE("(more than 1 MiB of output: the rest is dropped)\n");
        }
        if (instance->trial) {
                trial_append(instance->trial, text);
                return;
        }
        if (!instance->live->log)
                return; /* a trial that is over */
        function_log_append(instance->live->log, invocation ? invocation->id : "", stream, text,
                            clock_unix_ms());
}

static bool instance_take_log_frame(struct instance *instance, const struct worker_frame *frame)
{
        struct invocation *head = instance_head(instance);

        if (frame->value != 1 && frame->value != 2)
                return false;
        if (frame->id == 0)
                head = NULL;
        else if (!head || head->wire_id != frame->id)
                return false;
        instance_log(instance, head, frame->value == 1 ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR,
                     frame->payload);
        return true;
}

/* False for a frame that does not belong here: the instance is to be ended. */
static bool instance_take_frame(struct instance *instance, const struct worker_frame *frame)
{
        struct invocation *head = instance_head(instance);

        switch (frame->type) {
        case WORKER_LOG:
                return instance_take_log_frame(instance, frame);
        case WORKER_READY:
        case WORKER_REFUSED:
                return instance->pool.state == INSTANCE_BOOTING && !instance->ended &&
                       scheduler_boot_answer(instance, frame);
        case WORKER_RESULT:
        case WORKER_ERROR:
        case WORKER_DATA:
                if (!head || head->wire_id != frame->id)
                        return false;
                if (frame->type == WORKER_RESULT && !head->answering)
                        invocation_result(head, frame);
                else if (frame->type == WORKER_DATA && head->answering)
                        invocation_data(head, frame);
                else if (frame->type == WORKER_ERROR)
                        invocation_error(head, frame);
                else
                        return false;
                return true;
        case WORKER_INVOKE:
                return false;
        }
        return false;
}

/* Takes what has come. Returns the number of frames, 0 when there was none. */
static int instance_receive(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        struct frame_inbox *inbox = thread->inbox;
        /* A stream is taken frame by frame, so that it stops where its client does. */
        unsigned most = instance->pool.assigned_count > 1 ? INBOX_COUNT : 2;
        int count = recvmmsg(instance->fds.socket, inbox->headers, most, MSG_DONTWAIT, NULL);

        for (int i = 0; i < count; i++) {
                struct worker_frame frame;
                size_t length = inbox->headers[i].msg_len;
                if (instance->pool.state == INSTANCE_ENDING && !instance->ended)
                        return 0; /* it was ended while its frames were handled */
                if (length == 0 && instance->ended)
                        return 0;
                if (worker_frame_decode(inbox->bytes[i], length, &frame) < 0 ||
                    !instance_take_frame(instance, &frame)) {
                        instance->spoke_nonsense = true;
                        instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                                      "its process sent what no shim sends");
                        return 0;
                }
        }
        return count < 0 ? 0 : count;
}

static void instance_on_socket(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, socket_source);
        struct invocation *head = instance_head(instance);

        if (events & EPOLLIN)
                (void)instance_receive(instance);
        if ((events & EPOLLOUT) && instance->attached && head && head == instance_head(instance) &&
            head->exchange.connection) {
                instance_watch_room(instance, false);
                connection_resume(head->exchange.connection);
        }
}

static void instance_read_log(struct instance *instance, unsigned most)
{
        struct gateway_thread *thread = instance_home(instance);
        char *bytes = thread->inbox->bytes[INBOX_COUNT - 1];

        while (most-- > 0) {
                ssize_t length = read(instance->fds.log, bytes, LOG_READ_MAX);
                if (length < 0)
                        return; /* EAGAIN */
                if (length == 0) {
                        loop_remove(&thread->loop, &instance->log_source);
                        return;
                }
                /* Raw output tells its invocation only while there is one at a time. */
                live_tell_apart(instance->live);
                instance_log(instance, instance_head(instance), LOG_STREAM_STDOUT,
                             slice_make(bytes, (size_t)length));
                if (length == LOG_READ_MAX && !instance->ended) {
                        (void)loop_modify(&thread->loop, &instance->log_source, 0);
                        loop_set_timer(&thread->loop, &instance->log_timer, LOG_PAUSE_MS);
                        return;
                }
        }
}

static void instance_on_log(struct loop_source *source, uint32_t events)
{
        struct instance *instance = CONTAINER_OF(source, struct instance, log_source);

        if (source->events == 0 && (events & EPOLLHUP)) { /* paused, but HUP is always told */
                loop_remove(&instance_home(instance)->loop, source);
                return;
        }
        instance_read_log(instance, 1);
}

static void instance_on_log_timer(struct timer *timer)
{
        struct instance *instance = CONTAINER_OF(timer, struct instance, log_timer);

        if (instance->attached && instance->log_source.fd >= 0)
                (void)loop_modify(&instance_home(instance)->loop, &instance->log_source, EPOLLIN);
}

/* Before a call's end is told: what it wrote to its raw stdout belongs to it. */
void instance_drain_log(struct instance *instance)
{
        if (atomic_load_explicit(&instance->live->has_raw_output, memory_order_relaxed) &&
            instance->attached && instance->log_source.fd >= 0)
                instance_read_log(instance, 1);
}

/* Taking back, ending --------------------------------------------------------------------------- */

static struct invocation *instance_find_call(struct instance *instance, uint32_t wire_id)
{
        struct pool_call *call;

        LIST_FOR_EACH (call, &instance->pool.assigned, link) {
                struct invocation *invocation = CONTAINER_OF(call, struct invocation, call);
                if (invocation->wire_id == wire_id)
                        return invocation;
        }
        return NULL;
}

/* Keeps a frame that came back, so that the invocation can be sent again. */
static bool instance_restore(struct invocation *invocation, const char *bytes, size_t length)
{
        if (!invocation->frame)
                invocation->frame = block_take_anyway(&invocation->thread->blocks, length);
        if (!invocation->frame)
                return false;
        memcpy(invocation->frame->data, bytes, length);
        invocation->frame->end = (uint32_t)length;
        return true;
}

/* The worker will not see this frame: its call waits again. With the pool's lock held. */
static void instance_take_back_frame(struct instance *instance, const char *bytes, size_t length)
{
        struct pool *pool = &instance->live->pool;
        struct invocation *invocation;
        struct worker_frame frame;

        /* The rest of a body that nobody will read has no call to wait for. */
        if (worker_frame_decode(bytes, length, &frame) < 0 || frame.type != WORKER_INVOKE)
                return;
        invocation = instance_find_call(instance, frame.id);
        if (!invocation || invocation->streaming)
                return;
        pool_take_back(pool, &invocation->call);
        invocation->instance = NULL;
        if (!instance_restore(invocation, bytes, length)) {
                (void)pool_cancel(pool, &invocation->call);
                invocation_fail(invocation, OUTCOME_OVERLOADED, NULL);
        }
}

/* Receives back what the worker has not begun. With the pool's lock held. */
static void instance_take_back(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        char *bytes = thread->inbox->bytes[INBOX_COUNT - 1];
        ssize_t length;

        while ((length = recv(instance->fds.worker, bytes, WORKER_FRAME_MAX, MSG_DONTWAIT)) > 0)
                instance_take_back_frame(instance, bytes, (size_t)length);
        /* What has not even been sent yet. */
        for (size_t i = 0; i < thread->pending_count; i++) {
                struct pending_frame *pending = &thread->pending[i];
                if (pending->instance != instance)
                        continue;
                pending->instance = NULL;
                instance_take_back_frame(instance, thread->arena + pending->offset,
                                         pending->length);
        }
}

void instance_bind(struct pool_call *call)
{
        struct invocation *invocation;

        if (!call)
                return;
        invocation = CONTAINER_OF(call, struct invocation, call);
        invocation->instance = CONTAINER_OF(call->instance, struct instance, pool);
        if (instance_home(invocation->instance) != invocation->thread) {
                invocation->instance->moving_to = invocation;
                invocation->instance->pool.exclusive = true; /* nothing ahead until it is there */
        }
}

/* Calls that came back in line run on stock that is there, or are demand. */
static void live_rematch(struct gateway_thread *thread, struct live *live)
{
        for (;;) {
                struct pool_call *call;
                bool waiting;
                pthread_mutex_lock(&live->lock);
                call = pool_match(&live->pool, thread->loop.now_ns);
                instance_bind(call);
                waiting = live->pool.waiting_count > 0;
                pthread_mutex_unlock(&live->lock);
                if (!call) {
                        if (waiting)
                                scheduler_wake(&thread->gateway->scheduler, live);
                        return;
                }
                instance_give(CONTAINER_OF(call->instance, struct instance, pool),
                              CONTAINER_OF(call, struct invocation, call), thread);
        }
}

static void instance_on_timer(struct timer *timer)
{
        struct instance *instance = CONTAINER_OF(timer, struct instance, timer);
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        uint64_t now_ns = thread->loop.now_ns;

        if (instance->pool.state == INSTANCE_BOOTING) {
                scheduler_boot_late(instance);
                return;
        }
        instance->timed_watch = false;
        if (instance->pool.state != INSTANCE_BUSY || instance->pool.assigned_count < 2)
                return;
        if (!pool_head_is_slow(&instance->pool, now_ns)) {
                instance_watch_head(instance);
                return;
        }
        pthread_mutex_lock(&live->lock);
        instance_take_back(instance);
        pthread_mutex_unlock(&live->lock);
        live_rematch(thread, live);
}

void instance_watch_head(struct instance *instance)
{
        if (instance->timed_watch)
                return;
        instance->timed_watch = true;
        loop_set_timer(&instance_home(instance)->loop, &instance->timer,
                       POOL_HEAD_PATIENCE_NS / NS_PER_MS + 1);
}

void instance_fail(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        struct invocation *failed[POOL_AHEAD_MAX + 2];
        size_t count = 0;

        if (instance->pool.state == INSTANCE_BOOTING) {
                scheduler_boot_failed(instance, outcome, detail);
                return;
        }
        pthread_mutex_lock(&live->lock);
        pool_end(&live->pool, &instance->pool);
        instance_take_back(instance);
        /* A call that it is promised to and has not seen does not fail: instance_miss(). */
        while (!instance->moving_to && !list_is_empty(&instance->pool.assigned)) {
                failed[count] = instance_head(instance);
                pool_fail(&live->pool, &failed[count]->call);
                failed[count++]->instance = NULL;
        }
        pthread_mutex_unlock(&live->lock);

        if (!instance->ended)
                scheduler_kill(&thread->gateway->scheduler, instance);
        for (size_t i = 0; i < count; i++)
                invocation_fail(failed[i], outcome, detail);
        live_rematch(thread, live);
}

/* From one thread to another ------------------------------------------------------------------- */

int instance_attach(struct instance *instance, struct gateway_thread *thread)
{
        int r = loop_add(&thread->loop, &instance->socket_source, instance->fds.socket, EPOLLIN);

        if (r == 0 && instance->fds.log >= 0)
                r = loop_add(&thread->loop, &instance->log_source, instance->fds.log, EPOLLIN);
        if (r < 0)
                loop_remove(&thread->loop, &instance->socket_source);
        instance->attached = r == 0;
        return r;
}

void instance_detach(struct instance *instance)
{
        struct loop *loop = &instance_home(instance)->loop;

        if (!instance->attached)
                return;
        loop_remove(loop, &instance->socket_source);
        loop_remove(loop, &instance->log_source);
        loop_remove_timer(loop, &instance->timer);
        loop_remove_timer(loop, &instance->log_timer);
        instance->timed_watch = false;
        instance->attached = false;
}

static void instance_finish_end(struct instance *instance);

/* It died while it was promised to a call that it has not seen: the call waits again. */
static void instance_miss(struct instance *instance, struct invocation *invocation,
                          struct gateway_thread *thread)
{
        struct live *live = instance->live;

        pthread_mutex_lock(&live->lock);
        instance->moving_to = NULL;
        pool_take_back(&live->pool, &invocation->call);
        pool_end(&live->pool, &instance->pool);
        invocation->instance = NULL;
        pthread_mutex_unlock(&live->lock);
        if (instance->ended)
                instance_finish_end(instance);
        else
                scheduler_kill(&thread->gateway->scheduler, instance);
        live_rematch(thread, live);
}

/* On the invocation's thread: the instance that was promised is here. */
static void instance_arrive(struct instance *instance, struct invocation *invocation)
{
        struct gateway_thread *thread = invocation->thread;

        if (instance->ended || instance_attach(instance, thread) < 0) {
                instance_miss(instance, invocation, thread);
                return;
        }
        pthread_mutex_lock(&instance->live->lock);
        instance->moving_to = NULL;
        instance->pool.exclusive = invocation->call.alone;
        pthread_mutex_unlock(&instance->live->lock);
        invocation_send(invocation, instance);
}

static void instance_arrive_by_letter(struct letter *letter)
{
        struct invocation *invocation = CONTAINER_OF(letter, struct invocation, letter);

        instance_arrive(invocation->instance, invocation);
}

/* On the old home. */
static void instance_leave(struct instance *instance, struct invocation *invocation)
{
        instance_detach(instance);
        atomic_store_explicit(&instance->thread, invocation->thread, memory_order_release);
        invocation->letter.deliver = instance_arrive_by_letter;
        mailbox_post(&invocation->thread->mailbox, &invocation->letter);
}

static void instance_leave_by_letter(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, move_letter);
        struct live *live = instance->live;
        bool ending;

        pthread_mutex_lock(&live->lock);
        ending = instance->pool.state == INSTANCE_ENDING;
        pthread_mutex_unlock(&live->lock);
        if (ending || instance->ended)
                instance_miss(instance, instance->moving_to, instance_home(instance));
        else
                instance_leave(instance, instance->moving_to);
}

void instance_give(struct instance *instance, struct invocation *invocation,
                   struct gateway_thread *here)
{
        struct gateway_thread *home = instance_home(instance);

        if (home == invocation->thread && home == here) {
                invocation_send(invocation, instance);
        } else if (home == here) {
                instance_leave(instance, invocation);
        } else {
                instance->move_letter.deliver = instance_leave_by_letter;
                mailbox_post(&home->mailbox, &instance->move_letter);
        }
}

/* The end ---------------------------------------------------------------------------------------- */

static enum outcome instance_end_outcome(const struct instance *instance, char *ret_detail,
                                         size_t capacity)
{
        switch (instance->end) {
        case SANDBOX_EXITED:
                (void)snprintf(ret_detail, capacity,
                               "The function's process exited with status %d before it answered.",
                               instance->end_code);
                return OUTCOME_FUNCTION_EXITED;
        case SANDBOX_SIGNALLED:
                (void)snprintf(ret_detail, capacity,
                               "The function's process was ended by signal %d (%s).",
                               instance->end_code, strsignal(instance->end_code));
                return OUTCOME_FUNCTION_EXITED;
        case SANDBOX_OUT_OF_MEMORY:
                (void)snprintf(ret_detail, capacity,
                               "The function needed more than its %llu MiB of memory.",
                               (unsigned long long)instance->live->function->memory_bytes >> 20);
                return OUTCOME_FUNCTION_OUT_OF_MEMORY;
        case SANDBOX_KILLED:
        case SANDBOX_LOST:
                (void)snprintf(ret_detail, capacity,
                               "The sandbox was lost while the function ran; try again.");
                return OUTCOME_PLATFORM;
        }
        __builtin_unreachable();
}

static void instance_finish_end(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        char detail[160];
        enum outcome outcome;

        /* What it said before it died still counts. */
        if (instance->attached) {
                while (instance_receive(instance) > 0)
                        ;
                instance_read_log(instance, 64);
        }
        outcome = instance_end_outcome(instance, detail, sizeof(detail));
        if (instance->pool.state == INSTANCE_BOOTING)
                scheduler_boot_failed(instance, outcome, detail);
        else
                instance_fail(instance, outcome, detail);
        instance_detach(instance);
        pthread_mutex_lock(&live->lock);
        pool_remove(&live->pool, &instance->pool);
        pthread_mutex_unlock(&live->lock);
        scheduler_forget(&thread->gateway->scheduler, instance);
}

/* On the home as it was when the letter was sent. */
static void instance_on_end(struct letter *letter)
{
        struct instance *instance = CONTAINER_OF(letter, struct instance, end_letter);
        struct gateway_thread *home = instance_home(instance);
        bool moving;

        if (!pthread_equal(home->thread, pthread_self())) {
                mailbox_post(&home->mailbox, letter);
                return;
        }
        instance->ended = true;
        pthread_mutex_lock(&instance->live->lock);
        moving = instance->moving_to != NULL;
        pthread_mutex_unlock(&instance->live->lock);
        if (!moving) /* else instance_arrive() sees that it has ended */
                instance_finish_end(instance);
}

void instance_post_end(struct instance *instance)
{
        instance->end_letter.deliver = instance_on_end;
        mailbox_post(&instance_home(instance)->mailbox, &instance->end_letter);
}

struct instance *instance_new(struct live *live, uint64_t id, struct gateway_thread *thread)
{
        struct instance *instance = calloc(1, sizeof(*instance));

        if (!instance)
                return NULL;
        pool_instance_init(&instance->pool);
        instance->live = live;
        instance->id = id;
        instance->fds = (struct sandbox_descriptors){-1, -1, -1, -1};
        atomic_init(&instance->thread, thread);
        loop_source_init(&instance->socket_source, instance_on_socket);
        loop_source_init(&instance->log_source, instance_on_log);
        /* An instance that comes free serves those who ask in the same turn. */
        instance->socket_source.is_urgent = true;
        timer_init(&instance->timer, instance_on_timer);
        timer_init(&instance->log_timer, instance_on_log_timer);
        return instance;
}

struct gateway *instance_gateway(const struct instance *instance)
{
        return atomic_load_explicit(&instance->thread, memory_order_acquire)->gateway;
}

void instance_free(struct instance *instance)
{
        instance_close(instance);
        free(instance);
}

void instance_close(struct instance *instance)
{
        fd_close(&instance->fds.socket);
        fd_close(&instance->fds.worker);
        fd_close(&instance->fds.freeze);
        fd_close(&instance->fds.log);
}
