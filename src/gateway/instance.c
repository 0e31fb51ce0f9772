/* One instance: where it is, what it holds, and how it ends; see instance.h. */
#include "base/auto.h"
#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/instance_parts.h"
#include "gateway/invocation.h"
#include "gateway/lane.h"
#include "gateway/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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

        if (worker_frame_decode(bytes, length, &frame) < 0)
                return;
        if (instance->ring && frame.type == WORKER_BELL)
                ring_miss_bell(instance->ring);
        if (instance->ring && frame.type == WORKER_RING)
                ring_miss_offer(instance->ring);
        /* The rest of a body that nobody will read has no call to wait for. */
        if (frame.type != WORKER_INVOKE)
                return;
        invocation = instance_find_call(instance, frame.id);
        if (!invocation || invocation->streaming)
                return;
        pool_take_back(pool, &invocation->call);
        invocation->instance = NULL;
        invocation->running_ns = 0;
        invocation->wire_id = 0; /* no frame of any instance is meant for it now */
        loop_set_timer(&invocation->thread->loop, &invocation->timer,
                       invocation->thread->gateway->config.wait_max_ms);
        if (!instance_restore(invocation, bytes, length)) {
                (void)pool_cancel(pool, &invocation->call);
                invocation_fail(invocation, OUTCOME_OVERLOADED, NULL);
        }
}

/* What has not even been sent yet. With the pool's lock held. */
static void instance_take_back_unsent(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);

        instance->unsent_id = 0;
        for (size_t i = 0; i < thread->pending_count; i++) {
                struct pending_frame *pending = &thread->pending[i];
                if (pending->instance != instance)
                        continue;
                pending->instance = NULL;
                instance_take_back_frame(instance, thread->arena + pending->offset,
                                         pending->length);
        }
}

/* With the pool's lock held. */
static void instance_take_back_ring(struct instance *instance)
{
        struct slice frame;

        if (!instance->ring)
                return;
        while (ring_take_back(instance->ring, &frame))
                instance_take_back_frame(instance, frame.data, frame.length);
        if (!ring_is_missed(instance->ring))
                return;
        ring_free(instance->ring);
        instance->ring = NULL;
        instance->crowds = 0;
}

void instance_drop_bell(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);

        if (!instance->ring)
                return;
        for (size_t i = 0; i < thread->pending_count; i++) {
                if (thread->pending[i].instance != instance)
                        continue;
                thread->pending[i].instance = NULL;
                ring_miss_bell(instance->ring);
        }
}

/* Receives back what the worker has not begun. With the pool's lock held. */
static void instance_take_back(struct instance *instance)
{
        char *bytes = instance_home(instance)->inbox->bytes[INBOX_COUNT - 1];
        ssize_t length;

        while ((length = recv(instance->fds.worker, bytes, WORKER_FRAME_MAX, MSG_DONTWAIT)) > 0)
                instance_take_back_frame(instance, bytes, (size_t)length);
        instance_take_back_unsent(instance);
        instance_take_back_ring(instance);
}

/* A frame of the running call's that lies elsewhere, and has not been sent. With the pool's lock held. */
static void instance_take_back_head(struct instance *instance, const struct slice *parts,
                                    size_t count)
{
        struct invocation *head = instance_head(instance);
        char *bytes = instance_home(instance)->inbox->bytes[INBOX_COUNT - 1];
        size_t length = 0;

        for (size_t i = 0; i < count; i++) {
                memcpy(bytes + length, parts[i].data, parts[i].length);
                length += parts[i].length;
        }
        head->collecting = head->streaming; /* as before it was sent */
        head->streaming = false;
        instance_take_back_frame(instance, bytes, length);
}

void instance_bind(struct pool_call *call, const struct gateway_thread *here)
{
        struct invocation *invocation;

        if (!call)
                return;
        invocation = CONTAINER_OF(call, struct invocation, call);
        invocation->instance = CONTAINER_OF(call->instance, struct instance, pool);
        scheduler_teach(invocation->instance);
        if (invocation->instance->lanes) {
                if (invocation->thread == here)
                        lanes_choose(invocation);
                return;
        }
        /* A third thread must leave it to its home, which meanwhile may see it die. */
        if (instance_home(invocation->instance) != invocation->thread ||
            invocation->thread != here) {
                invocation->instance->moving_to = invocation;
                invocation->instance->pool.exclusive = true; /* nothing ahead until it is there */
        }
}

void live_rematch(struct gateway_thread *thread, struct live *live)
{
        for (;;) {
                struct pool_call *call;
                bool waiting;
                pthread_mutex_lock(&live->lock);
                call = pool_match(&live->pool, thread->loop.now_ns);
                instance_bind(call, thread);
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

/* Takes back what lies behind a slow call. The call that the worker runs then, where that is another
 * than was known to: the head itself came back, and it received the next one just then. */
static struct invocation *instance_relieve(struct instance *instance)
{
        struct invocation *head = instance_head(instance);

        instance_take_back(instance);
        if (instance->pool.state != INSTANCE_BUSY || instance_head(instance) == head)
                return NULL;
        return instance_head(instance);
}

/* Under the lock, because another thread may take it while it is idle. */
static void instance_on_timer(struct timer *timer)
{
        struct instance *instance = CONTAINER_OF(timer, struct instance, timer);
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        struct invocation *runs = NULL;
        bool is_booting, is_behind, is_slow = false;

        instance_look(instance);
        if (instance_home(instance) != thread)
                return;
        pthread_mutex_lock(&live->lock);
        is_booting = instance->pool.state == INSTANCE_BOOTING;
        is_behind = instance->pool.state == INSTANCE_BUSY && instance->pool.assigned_count >= 2;
        if (is_behind)
                is_slow = pool_head_is_slow(&instance->pool, thread->loop.now_ns);
        if (is_slow)
                runs = instance_relieve(instance);
        /* Of two that are left its worker may have answered the first just now, and not tell. */
        is_behind = instance->pool.state == INSTANCE_BUSY && instance->pool.assigned_count >= 2;
        pthread_mutex_unlock(&live->lock);
        if (is_booting) {
                scheduler_boot_late(instance);
                return;
        }
        instance->timed_watch = false;
        if (runs)
                invocation_runs(runs);
        if (is_behind)
                instance_watch_head(instance);
        if (is_slow)
                live_rematch(thread, live);
}

void instance_watch_head(struct instance *instance)
{
        if (instance->timed_watch)
                return;
        instance->timed_watch = true;
        loop_set_timer(&instance_home(instance)->loop, &instance->timer,
                       instance->ring ? RING_LOOK_MS : POOL_HEAD_PATIENCE_NS / NS_PER_MS + 1);
}

void instance_fail(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        struct invocation *failed[POOL_AHEAD_MAX + 2];
        size_t count = 0;

        pthread_mutex_lock(&live->lock);
        if (instance->pool.state == INSTANCE_BOOTING) {
                pthread_mutex_unlock(&live->lock);
                scheduler_boot_failed(instance, outcome, detail);
                return;
        }
        if (instance->lanes) {
                pthread_mutex_unlock(&live->lock);
                lanes_fail(instance, outcome, detail);
                return;
        }
        pool_end(&live->pool, &instance->pool);
        instance_take_back(instance);
        /* A call that it is promised to and has not seen does not fail: instance_miss(). */
        while (!instance->moving_to && !list_is_empty(&instance->pool.assigned)) {
                failed[count] = instance_head(instance);
                pool_fail(&live->pool, &failed[count]->call);
                failed[count++]->instance = NULL;
        }
        if (instance->ring)
                ring_forget(instance->ring);
        pthread_mutex_unlock(&live->lock);

        if (!instance->ended)
                scheduler_kill(&thread->gateway->scheduler, instance);
        for (size_t i = 0; i < count; i++)
                invocation_fail(failed[i], outcome, detail);
        live_rematch(thread, live);
}

void instance_miss_room(struct instance *instance, const struct slice *parts, size_t count)
{
        struct live *live = instance->live;
        struct invocation *ran, *runs;

        pthread_mutex_lock(&live->lock);
        ran = instance_head(instance);
        if (count > 0)
                instance_take_back_head(instance, parts, count);
        instance_take_back_unsent(instance);
        runs = instance_head(instance);
        pthread_mutex_unlock(&live->lock);
        if (!runs) { /* it has not read the body of the call before: another is quicker */
                instance_fail(instance, OUTCOME_FUNCTION_PROTOCOL, NULL);
                return;
        }
        if (runs != ran)
                invocation_runs(runs);
        live_rematch(instance_home(instance), live);
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
        list_remove(&instance->ring_link);
        loop_remove(loop, &instance->socket_source);
        loop_remove(loop, &instance->log_source);
        loop_remove_timer(loop, &instance->timer);
        loop_remove_timer(loop, &instance->log_timer);
        instance->timed_watch = false;
        instance->loud = false; /* its next home begins to count anew */
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
        instance_drop_bell(instance);
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

        if (instance->lanes) {
                lanes_give(invocation, here);
        } else if (home == invocation->thread && home == here) {
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

/* What it said before it died still counts. */
static void instance_hear_out(struct instance *instance)
{
        if (!instance->attached)
                return;
        while (instance_receive(instance, instance_receives_at_once(instance)) > 0)
                ;
        instance_read_log(instance, 64);
}

/* Its calls learn of it on their threads. */
static void instance_end_lanes(struct instance *instance)
{
        char detail[160];
        enum outcome outcome = instance_end_outcome(instance, detail, sizeof(detail));

        instance_hear_out(instance);
        instance_detach(instance);
        lanes_end(instance, outcome, detail);
}

static void instance_finish_end(struct instance *instance)
{
        struct gateway_thread *thread = instance_home(instance);
        struct live *live = instance->live;
        char detail[160];
        enum outcome outcome;

        instance_hear_out(instance);
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
        bool moving, has_served;

        if (!pthread_equal(home->thread, pthread_self())) {
                mailbox_post(&home->mailbox, letter);
                return;
        }
        instance->ended = true;
        pthread_mutex_lock(&instance->live->lock);
        moving = instance->moving_to != NULL;
        has_served = instance->pool.state != INSTANCE_BOOTING;
        /* From here on no other thread may take it. A boot's end is scheduler_boot_failed()'s. */
        if (!moving && has_served)
                pool_end(&instance->live->pool, &instance->pool);
        pthread_mutex_unlock(&instance->live->lock);
        if (instance->lanes && has_served)
                instance_end_lanes(instance);
        else if (!moving) /* else instance_arrive() sees that it has ended */
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
        if (live->pool.capacity > 1) {
                instance->lanes = lanes_new(live->thread_count);
                if (!instance->lanes) {
                        free(instance);
                        return NULL;
                }
        }
        pool_instance_init(&instance->pool);
        list_init(&instance->ring_link);
        instance->live = live;
        instance->id = id;
        instance->fds = (struct sandbox_descriptors){.socket = -1, .worker = -1, .log = -1};
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
        ring_free(instance->ring);
        free(instance->lanes);
        free(instance);
}

void instance_close(struct instance *instance)
{
        fd_close(&instance->fds.socket);
        fd_close(&instance->fds.worker);
        fd_close(&instance->fds.log);
}
