/* All lanes of an instance: who gets which, and how they end; see lane.h. */
#include "base/auto.h"
#include "gateway/instance_parts.h"
#include "gateway/invocation_parts.h"
#include "gateway/lane_parts.h"
#include "gateway/trunk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct lanes *lanes_new(unsigned thread_count)
{
        struct lanes *lanes = calloc(1, sizeof(*lanes) + thread_count * sizeof(lanes->shares[0]));

        if (!lanes)
                return NULL;
        list_init(&lanes->open);
        for (unsigned i = 0; i < thread_count; i++)
                list_init(&lanes->shares[i].idle);
        return lanes;
}

/* Letting go of the instance ---------------------------------------------------------------------- */

/* With the lock held, after whatever may have been the last that referred to the instance. True: it was,
 * and the caller is to say so to the scheduler. */
static bool lanes_let_go(struct instance *instance)
{
        struct lanes *lanes = instance->lanes;

        if (!lanes->home_has_left || lanes->forgotten || !list_is_empty(&lanes->open) ||
            !list_is_empty(&instance->pool.assigned))
                return false;
        lanes->forgotten = true;
        pool_remove(&instance->live->pool, &instance->pool);
        return true;
}

void lane_withdraw(struct lane *lane)
{
        list_remove(&lane->idle_link);
        lane->instance->lanes->count -= lane->counted;
        lane->counted = false;
}

/* Its call ends without an answer; one that was sent may yet be answered. The lane is to be closed. */
static void lane_give_up(struct lane *lane)
{
        lane->invocation = NULL;
        lane->owes_answer = !lane->unsent;
}

/* Takes the call off the lane, and off its instance, which is ENDING. */
static void lane_fail_call(struct lane *lane)
{
        struct invocation *invocation = lane->invocation;
        struct instance *instance = lane->instance;
        struct lanes *lanes = instance->lanes;
        char detail[sizeof(lanes->detail)];
        enum outcome outcome;

        if (!invocation)
                return;
        pthread_mutex_lock(&instance->live->lock);
        outcome = lanes->outcome;
        memcpy(detail, lanes->detail, sizeof(detail));
        pool_fail(&instance->live->pool, &invocation->call);
        invocation->instance = NULL;
        pthread_mutex_unlock(&instance->live->lock);
        lane_give_up(lane);
        invocation->lane = NULL;
        invocation_fail(invocation, outcome, detail[0] != '\0' ? detail : NULL);
}

void lane_on_letter(struct letter *letter)
{
        struct lane *lane = CONTAINER_OF(letter, struct lane, letter);
        struct instance *instance = lane->instance;
        struct gateway *gateway = lane->thread->gateway;
        struct live *live = instance->live;
        bool is_last;

        lane_receive_rest(lane);
        lane_fail_call(lane);
        lane_close(lane);
        trunk_leave(lane);
        pthread_mutex_lock(&live->lock);
        list_remove(&lane->link);
        is_last = lanes_let_go(instance);
        pthread_mutex_unlock(&live->lock);
        free(lane);
        if (is_last)
                scheduler_forget(&gateway->scheduler, instance);
}

/* With the lock held: the instance ends, for this reason unless there was one before. */
static void lanes_tell(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct lanes *lanes = instance->lanes;
        struct lane *lane;

        pool_end(&instance->live->pool, &instance->pool);
        if (!lanes->failed) {
                lanes->failed = true;
                lanes->outcome = outcome;
                (void)snprintf(lanes->detail, sizeof(lanes->detail), "%s", detail ? detail : "");
        }
        LIST_FOR_EACH (lane, &lanes->open, link) {
                if (lane->told)
                        continue;
                lane->told = true;
                mailbox_post(&lane->thread->mailbox, &lane->letter);
        }
}

void lanes_fail(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;

        pthread_mutex_lock(&instance->live->lock);
        lanes_tell(instance, outcome, detail);
        pthread_mutex_unlock(&instance->live->lock);
        scheduler_kill(scheduler, instance);
}

void lanes_end(struct instance *instance, enum outcome outcome, const char *detail)
{
        struct scheduler *scheduler = &instance_gateway(instance)->scheduler;
        struct live *live = instance->live;
        bool is_last;

        pthread_mutex_lock(&live->lock);
        lanes_tell(instance, outcome, detail);
        instance->lanes->home_has_left = true;
        is_last = lanes_let_go(instance);
        pthread_mutex_unlock(&live->lock);
        if (is_last)
                scheduler_forget(scheduler, instance);
}

void lane_ruin(struct lane *lane, enum outcome outcome, const char *detail)
{
        lanes_fail(lane->instance, outcome, detail);
        lane_fail_call(lane);
        lane_close(lane);
}

/* Choosing and opening ---------------------------------------------------------------------------- */

/* Another thread's oldest idle lane makes room. Its thread sees the end of it and closes it. */
static void lanes_shut_one(struct lanes *lanes, unsigned thread_count)
{
        for (unsigned i = 0; i < thread_count; i++) {
                struct list *link = list_peek_back(&lanes->shares[i].idle);
                struct lane *lane;
                if (!link)
                        continue;
                lane = CONTAINER_OF(link, struct lane, idle_link);
                lane_withdraw(lane);
                lane->shut = true;
                (void)shutdown(lane->fd, SHUT_RDWR);
                return;
        }
}

void lanes_choose(struct invocation *invocation)
{
        struct instance *instance = invocation->instance;
        struct live *live = instance->live;
        struct lanes *lanes = instance->lanes;
        bool is_ending = instance->pool.state == INSTANCE_ENDING; /* lane_prepare() sees it, too */
        struct list *idle = &lanes->shares[invocation->thread->index].idle;
        struct list *link = is_ending ? NULL : list_pop_front(idle);

        if (link) {
                invocation->lane = CONTAINER_OF(link, struct lane, idle_link);
                invocation->lane->invocation = invocation;
                return;
        }
        /* As many places as calls: one that has no lane yet means that another is idle. */
        if (lanes->count >= live->pool.capacity && !is_ending)
                lanes_shut_one(lanes, live->thread_count);
        lanes->count++;
        invocation->opens_lane = true;
}

enum lane_opening { LANE_OPEN, LANE_TOO_LATE, LANE_DEAF, LANE_UNAVAILABLE };

static int lane_pass(const struct lane *lane, int fd)
{
        const struct worker_frame frame = {
                .type = WORKER_LANE, .id = lane->number, .value = lane->value};

        return instance_pass(lane->instance, &frame, fd);
}

static void lanes_want_room_by_letter(struct letter *letter)
{
        instance_watch_room(CONTAINER_OF(letter, struct instance, move_letter), true);
}

static void lane_wait_for_room(struct lane *lane, int *fd)
{
        struct instance *instance = lane->instance;
        struct lanes *lanes = instance->lanes;

        pthread_mutex_lock(&instance->live->lock);
        lane->worker_fd = fd_steal(fd);
        if (!lanes->wants_room) {
                instance->move_letter.deliver = lanes_want_room_by_letter;
                mailbox_post(&instance_home(instance)->mailbox, &instance->move_letter);
        }
        lanes->wants_room = true;
        pthread_mutex_unlock(&instance->live->lock);
}

void lanes_use_room(struct instance *instance)
{
        struct lane *lane;
        int r = 0;

        pthread_mutex_lock(&instance->live->lock);
        LIST_FOR_EACH (lane, &instance->lanes->open, link) {
                if (lane->worker_fd < 0)
                        continue;
                r = lane_pass(lane, lane->worker_fd);
                if (r < 0)
                        break;
                fd_close(&lane->worker_fd);
        }
        instance->lanes->wants_room = r == -EAGAIN;
        pthread_mutex_unlock(&instance->live->lock);
        if (r == -EAGAIN)
                instance_watch_room(instance, true);
        else if (r == -EPIPE || r == -ECONNRESET)
                lanes_fail(instance, OUTCOME_FUNCTION_PROTOCOL,
                           "its process does not take requests any more");
        else if (r < 0)
                lanes_fail(instance, OUTCOME_OVERLOADED, "No memory or descriptors for a lane.");
}

/* The worker's end goes to the worker. */
static enum lane_opening lane_announce(struct lane *lane, int *fd)
{
        int r;

        trunk_join(lane, &lane->value);
        r = lane_pass(lane, *fd);
        if (r == -EAGAIN)
                lane_wait_for_room(lane, fd);
        if (r == 0 || r == -EAGAIN)
                return LANE_OPEN;
        return r == -EPIPE || r == -ECONNRESET ? LANE_DEAF : LANE_UNAVAILABLE;
}

/* With the lock held: it is the instance's from now on, and hears of its end. False where that has come. */
static bool lanes_add(struct lane *lane, struct invocation *invocation)
{
        struct instance *instance = lane->instance;
        struct lanes *lanes = instance->lanes;

        if (instance->pool.state == INSTANCE_ENDING)
                return false;
        list_push_back(&lanes->open, &lane->link);
        lane->counted = true;
        lane->invocation = invocation;
        invocation->opens_lane = false;
        invocation->lane = lane;
        if (++lanes->last_number == 0)
                lanes->last_number = 1;
        lane->number = lanes->last_number;
        return true;
}

/* NULL without memory or descriptors. `ret_fd` is the worker's end. */
static struct lane *lane_new(struct instance *instance, struct gateway_thread *thread, int *ret_fd)
{
        struct lane *lane = calloc(1, sizeof(*lane));
        int pair[2];

        if (!lane)
                return NULL;
        list_init(&lane->link);
        list_init(&lane->idle_link);
        lane->instance = instance;
        lane->thread = thread;
        lane->worker_fd = -1;
        loop_source_init(&lane->source, lane_on_socket);
        lane->source.is_urgent = true; /* as an instance's */
        timer_init(&lane->timer, lane_on_timer);
        lane->letter.deliver = lane_on_letter;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                free(lane);
                return NULL;
        }
        lane->fd = pair[0]; /* never waited on: each of our calls says MSG_DONTWAIT */
        if (loop_add(&thread->loop, &lane->source, lane->fd, EPOLLIN) < 0) {
                (void)close(pair[0]);
                (void)close(pair[1]);
                free(lane);
                return NULL;
        }
        *ret_fd = pair[1];
        return lane;
}

static enum lane_opening lane_open(struct invocation *invocation)
{
        struct instance *instance = invocation->instance;
        AUTO(fd_close) int fd = -1;
        struct lane *lane = lane_new(instance, invocation->thread, &fd);
        bool is_added;

        if (!lane)
                return LANE_UNAVAILABLE;
        pthread_mutex_lock(&instance->live->lock);
        is_added = lanes_add(lane, invocation);
        pthread_mutex_unlock(&instance->live->lock);
        if (!is_added) {
                loop_remove(&lane->thread->loop, &lane->source);
                fd_close(&lane->fd);
                free(lane);
                return LANE_TOO_LATE;
        }
        return lane_announce(lane, &fd);
}

bool lane_prepare(struct invocation *invocation, const struct slice *parts, size_t count)
{
        if (invocation->lane)
                return true;
        switch (lane_open(invocation)) {
        case LANE_OPEN:
                return true;
        case LANE_TOO_LATE:
                lanes_return(invocation, parts, count);
                return false;
        case LANE_DEAF:
                lane_ruin(invocation->lane, OUTCOME_FUNCTION_PROTOCOL,
                          "its process does not take requests any more");
                return false;
        case LANE_UNAVAILABLE:
                lane_drop(invocation, OUTCOME_OVERLOADED,
                          "The server has no descriptors for one more call at once.");
                return false;
        }
        return false;
}

/* From one call to the next ----------------------------------------------------------------------- */

static void lanes_arrive_by_letter(struct letter *letter)
{
        struct invocation *invocation = CONTAINER_OF(letter, struct invocation, letter);
        struct instance *instance = invocation->instance;

        pthread_mutex_lock(&instance->live->lock);
        lanes_choose(invocation);
        pthread_mutex_unlock(&instance->live->lock);
        invocation_send(invocation, instance);
}

void lanes_give(struct invocation *invocation, struct gateway_thread *here)
{
        if (invocation->thread == here) {
                invocation_send(invocation, invocation->instance);
                return;
        }
        invocation->letter.deliver = lanes_arrive_by_letter;
        mailbox_post(&invocation->thread->mailbox, &invocation->letter);
}

static struct block *frame_copy(struct blocks *blocks, const struct slice *parts, size_t count)
{
        struct block *frame;
        size_t total = 0;

        for (size_t i = 0; i < count; i++)
                total += parts[i].length;
        frame = block_take_anyway(blocks, total);
        if (!frame)
                return NULL;
        frame->end = 0;
        for (size_t i = 0; i < count; i++) {
                memcpy(frame->data + frame->end, parts[i].data, parts[i].length);
                frame->end += (uint32_t)parts[i].length;
        }
        return frame;
}

/* With the lock held: the call has no lane, and no right to open one. */
static void lanes_forgo(struct invocation *invocation)
{
        invocation->instance->lanes->count -= invocation->opens_lane;
        invocation->opens_lane = false;
}

void lanes_return(struct invocation *invocation, const struct slice *parts, size_t count)
{
        struct gateway_thread *thread = invocation->thread;
        struct instance *instance = invocation->instance;
        struct live *live = instance->live;
        struct block *frame = frame_copy(&thread->blocks, parts, count);
        bool is_last;

        invocation->frame = frame;
        invocation->running_ns = 0;
        invocation->wire_id = 0;
        loop_set_timer(&thread->loop, &invocation->timer, thread->gateway->config.wait_max_ms);
        pthread_mutex_lock(&live->lock);
        lanes_forgo(invocation);
        if (frame)
                pool_take_back(&live->pool, &invocation->call);
        else
                pool_fail(&live->pool, &invocation->call);
        invocation->instance = NULL;
        is_last = lanes_let_go(instance);
        pthread_mutex_unlock(&live->lock);
        if (is_last)
                scheduler_forget(&thread->gateway->scheduler, instance);
        if (!frame)
                invocation_fail(invocation, OUTCOME_OVERLOADED, NULL);
        live_rematch(thread, live);
}

/* The call and its lane part. With the lock held; what follows is in `turnover`. */
static void lane_part(struct invocation *invocation, struct turnover *turnover, bool is_answered,
                      bool is_overdue)
{
        struct instance *instance = invocation->instance;
        struct gateway_thread *thread = invocation->thread;
        struct pool *pool = &instance->live->pool;

        turnover->result = RELEASE_BUSY;
        if (instance->pool.state == INSTANCE_ENDING)
                pool_fail(pool, &invocation->call);
        else if (is_answered)
                turnover->result =
                        pool_release(pool, &invocation->call, thread->loop.now_ns, &turnover->next);
        else
                turnover->result = pool_drop(pool, &invocation->call, is_overdue,
                                             thread->loop.now_ns, &turnover->next);
        turnover_fill(turnover, instance, thread);
        invocation->instance = NULL;
        invocation->lane = NULL;
}

void lane_finish(struct invocation *invocation, enum outcome outcome)
{
        struct gateway_thread *thread = invocation->thread;
        struct instance *instance = invocation->instance;
        struct lane *lane = invocation->lane;
        struct live *live = invocation->live;
        struct turnover turnover = {0};
        bool is_spent = invocation->streaming && !invocation->body_sent; /* half a body is in it */

        live_count(live, thread->index, invocation->call.start, outcome,
                   thread->loop.now_ns - invocation->arrived_ns);
        lane->invocation = NULL;
        lane->known = true;
        lane_pause(lane, false);
        pthread_mutex_lock(&live->lock);
        if (is_spent)
                lane_withdraw(lane);
        else if (lane->counted) /* else the worker has hung up */
                list_push_front(&instance->lanes->shares[thread->index].idle, &lane->idle_link);
        lane_part(invocation, &turnover, true, false);
        pthread_mutex_unlock(&live->lock);
        invocation_free(invocation);
        if (is_spent)
                lane_close(lane);
        turnover_carry_out(&turnover, instance, thread);
}

void lane_drop(struct invocation *invocation, enum outcome outcome, const char *detail)
{
        struct gateway_thread *thread = invocation->thread;
        struct instance *instance = invocation->instance;
        struct lane *lane = invocation->lane;
        struct live *live = invocation->live;
        struct turnover turnover = {0};
        /* One whose answer is under way does not hang, however long it goes on. */
        bool is_overdue = outcome == OUTCOME_FUNCTION_TIMEOUT && !invocation->answering;
        bool is_last;

        pthread_mutex_lock(&live->lock);
        if (lane)
                lane_withdraw(lane);
        else
                lanes_forgo(invocation);
        lane_part(invocation, &turnover, false, is_overdue);
        is_last = !lane && lanes_let_go(instance); /* else the lane's letter is to come */
        pthread_mutex_unlock(&live->lock);
        if (is_last)
                scheduler_forget(&thread->gateway->scheduler, instance);
        if (lane) {
                lane_give_up(lane);
                lane_close(lane);
        }
        invocation_fail(invocation, outcome, detail);
        turnover_carry_out(&turnover, instance, thread);
}
