/* The event loop; see loop.h. */
#include "base/loop.h"

#include "base/auto.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LOOP_SLEEP_MAX_MS 60000

int loop_init(struct loop *loop)
{
        int fd = epoll_create1(EPOLL_CLOEXEC);
        if (fd < 0)
                return -errno;

        memset(loop, 0, sizeof(*loop));
        loop->epoll_fd = fd;
        loop->first_fd = -1;
        loop->now_ns = clock_now_ns();
        wheel_init(&loop->wheel, loop->now_ns / NS_PER_MS);
        list_init(&loop->tasks);
        list_init(&loop->turn_tasks);
        return 0;
}

void loop_deinit(struct loop *loop)
{
        fd_close(&loop->first_fd);
        fd_close(&loop->epoll_fd);
}

void loop_source_init(struct loop_source *source,
                      void (*on_event)(struct loop_source *source, uint32_t events))
{
        *source = (struct loop_source){.fd = -1, .on_event = on_event};
}

/* What was fetched may have been removed since, or ask for less. */
static void loop_deliver(struct epoll_event *batch, int count, bool urgent)
{
        for (int i = 0; i < count; i++) {
                struct loop_source *source = batch[i].data.ptr;
                uint32_t events;

                if (!source || source->is_urgent != urgent)
                        continue;
                batch[i].data.ptr = NULL;
                events = batch[i].events & (source->events | EPOLLERR | EPOLLHUP);
                if (events)
                        source->on_event(source, events);
        }
}

static void loop_take_first(struct loop *loop)
{
        int count = epoll_wait(loop->first_fd, loop->first_batch, LOOP_FIRST_BATCH, 0);

        loop->first_count = count < 0 ? 0 : count;
        loop_deliver(loop->first_batch, loop->first_count, true);
        loop_deliver(loop->first_batch, loop->first_count, false);
        loop->first_count = 0;
}

static void loop_on_first(struct loop_source *source, uint32_t events)
{
        (void)events;
        loop_take_first(CONTAINER_OF(source, struct loop, first));
}

/* Descriptors and memory are only for loops that have somebody who comes first. */
static int loop_make_first(struct loop *loop)
{
        int r;

        loop->first_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->first_fd < 0)
                return -errno;
        loop_source_init(&loop->first, loop_on_first);
        loop->first.is_urgent = true;
        r = loop_add(loop, &loop->first, loop->first_fd, EPOLLIN);
        if (r < 0)
                fd_close(&loop->first_fd);
        return r;
}

static int loop_set_of(const struct loop *loop, const struct loop_source *source)
{
        return source->comes_first ? loop->first_fd : loop->epoll_fd;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = source};
        int r = source->comes_first && loop->first_fd < 0 ? loop_make_first(loop) : 0;

        assert(source->fd < 0 && fd >= 0);
        if (r < 0)
                return r;
        if (epoll_ctl(loop_set_of(loop, source), EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        source->fd = fd;
        source->events = events;
        return 0;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.ptr = source};

        if (source->events == events)
                return 0;
        if (epoll_ctl(loop_set_of(loop, source), EPOLL_CTL_MOD, source->fd, &event) < 0)
                return -errno;
        source->events = events;
        return 0;
}

static void loop_forget(struct epoll_event *batch, int count, const struct loop_source *source)
{
        for (int i = 0; i < count; i++)
                if (batch[i].data.ptr == source)
                        batch[i].data.ptr = NULL;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
        if (source->fd < 0)
                return;
        (void)epoll_ctl(loop_set_of(loop, source), EPOLL_CTL_DEL, source->fd, NULL);
        source->fd = -1;
        source->events = 0;
        /* What this turn has fetched for it and not yet delivered must not reach it any more. */
        loop_forget(loop->batch, loop->batch_count, source);
        loop_forget(loop->first_batch, loop->first_count, source);
}

int loop_put_first(struct loop *loop, struct loop_source *source, bool comes_first)
{
        struct epoll_event event = {.events = source->events, .data.ptr = source};
        int from_fd = loop_set_of(loop, source), r = 0;

        if (source->comes_first == comes_first)
                return 0;
        if (source->fd >= 0 && comes_first && loop->first_fd < 0)
                r = loop_make_first(loop);
        if (r < 0)
                return r;
        source->comes_first = comes_first;
        if (source->fd < 0)
                return 0;
        if (epoll_ctl(loop_set_of(loop, source), EPOLL_CTL_ADD, source->fd, &event) < 0) {
                source->comes_first = !comes_first;
                return -errno;
        }
        (void)epoll_ctl(from_fd, EPOLL_CTL_DEL, source->fd, NULL);
        return 0;
}

void loop_set_timer(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
        wheel_set(&loop->wheel, timer, loop->now_ns / NS_PER_MS + delay_ms);
}

void loop_remove_timer(struct loop *loop, struct timer *timer)
{
        wheel_remove(&loop->wheel, timer);
}

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
        list_init(&task->link);
        task->run = run;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
        if (list_is_empty(&task->link))
                list_push_back(&loop->tasks, &task->link);
}

void loop_defer_turn(struct loop *loop, struct loop_task *task)
{
        if (list_is_empty(&task->link))
                list_push_back(&loop->turn_tasks, &task->link);
}

static void loop_run_tasks(struct loop *loop)
{
        while (!list_is_empty(&loop->tasks)) {
                struct loop_task *task =
                        CONTAINER_OF(list_pop_front(&loop->tasks), struct loop_task, link);
                task->run(task);
        }
}

/* Each once: what they ask for meanwhile is the next turn's. */
static void loop_run_turn_tasks(struct loop *loop)
{
        struct list due;

        if (list_is_empty(&loop->turn_tasks))
                return;
        list_move(&due, &loop->turn_tasks);
        while (!list_is_empty(&due)) {
                struct loop_task *task = CONTAINER_OF(list_pop_front(&due), struct loop_task, link);
                task->run(task);
        }
        loop_run_tasks(loop);
}

/* Until the wheel's next timer. The wheel counts from the time it was told last, the beginning of
 * the turn before this one; what that turn took is already spent. */
static int loop_sleep_ms(const struct loop *loop, int most_ms)
{
        uint64_t spent_ms, sleep_ms;

        if (!list_is_empty(&loop->turn_tasks))
                return 0;
        spent_ms = clock_now_ns() / NS_PER_MS - loop->wheel.now_ms;
        sleep_ms = wheel_sleep_ms(&loop->wheel, spent_ms + (uint64_t)most_ms);

        return sleep_ms > spent_ms ? (int)(sleep_ms - spent_ms) : 0;
}

int loop_turn(struct loop *loop, int most_ms)
{
        uint64_t started_ns, lag_ns;
        bool takes_first;
        int count;

        loop_run_tasks(loop);
        count = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, loop_sleep_ms(loop, most_ms));
        if (count < 0 && errno != EINTR)
                return -errno;

        loop->now_ns = started_ns = clock_now_ns();
        loop->batch_count = count < 0 ? 0 : count;
        takes_first = loop->first_fd >= 0 && loop->batch_count == LOOP_BATCH;
        if (takes_first) /* else they are told twice where the batch brings them, too */
                loop_forget(loop->batch, loop->batch_count, &loop->first);
        loop_deliver(loop->batch, loop->batch_count, true);
        if (takes_first)
                loop_take_first(loop);
        loop_deliver(loop->batch, loop->batch_count, false);
        loop->batch_count = 0;
        wheel_advance(&loop->wheel, loop->now_ns / NS_PER_MS);
        loop_run_tasks(loop);
        loop_run_turn_tasks(loop);
        if (loop->at_end)
                loop->at_end->run(loop->at_end);

        lag_ns = clock_now_ns() - started_ns;
        if (lag_ns > loop->max_lag_ns)
                loop->max_lag_ns = lag_ns;
        if (loop->afterwards)
                loop->afterwards->run(loop->afterwards);
        return 0;
}

int loop_run(struct loop *loop)
{
        while (!loop->stopping) {
                int r = loop_turn(loop, LOOP_SLEEP_MAX_MS);
                if (r < 0)
                        return r;
        }
        return 0;
}

void loop_stop(struct loop *loop)
{
        loop->stopping = true;
}
