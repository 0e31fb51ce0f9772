/* The gateway's threads, and how they come to see a new catalog; see gateway.h. */
#include "gateway/gateway.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/auth/token_cache.h"
#include "gateway/accept.h"
#include "gateway/connection.h"
#include "gateway/gateway_run.h"
#include "gateway/instance.h"
#include "gateway/invocation.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define DRAIN_LOOK_MS 5

/* Rounds ---------------------------------------------------------------------------------------- */

static void round_come_home(struct letter *letter)
{
        struct gateway_round *round = CONTAINER_OF(letter, struct gateway_round, home);
        round->done(round);
}

static void round_pass(struct letter *letter)
{
        struct gateway_round *round =
                CONTAINER_OF(letter, struct gateway_round_stop, letter)->round;

        if (atomic_fetch_sub(&round->missing, 1) == 1)
                mailbox_post(&round->gateway->threads[0].mailbox, &round->home);
}

void gateway_round(struct gateway *gateway, struct gateway_round *round,
                   void (*done)(struct gateway_round *round))
{
        unsigned count = gateway->config.thread_count;

        round->gateway = gateway;
        round->done = done;
        round->home.deliver = round_come_home;
        atomic_store(&round->missing, count);
        for (unsigned i = 0; i < count; i++) {
                round->stops[i].round = round;
                round->stops[i].letter.deliver = round_pass;
                mailbox_post(&gateway->threads[i].mailbox, &round->stops[i].letter);
        }
}

/* The catalog -------------------------------------------------------------------------------------- */

struct catalog_retired {
        struct gateway_round round;
        struct catalog *catalog;
        struct letter begin;
};

static void catalog_bury(struct gateway_round *round)
{
        struct catalog_retired *retired = CONTAINER_OF(round, struct catalog_retired, round);

        scheduler_reconcile(&round->gateway->scheduler);
        catalog_free(retired->catalog);
        free(retired);
}

static void catalog_begin_round(struct letter *letter)
{
        struct catalog_retired *retired = CONTAINER_OF(letter, struct catalog_retired, begin);

        gateway_round(retired->round.gateway, &retired->round, catalog_bury);
}

/* On the store's thread. The next request on any thread sees the new catalog; the old one goes when
 * every thread has ended the turn in which it may have looked at it. */
static void gateway_publish(struct catalog_listener *listener, struct catalog *catalog)
{
        struct gateway *gateway = CONTAINER_OF(listener, struct gateway, listener);
        struct catalog *old =
                atomic_exchange_explicit(&gateway->catalog, catalog, memory_order_acq_rel);
        struct catalog_retired *retired;

        if (!old)
                return;
        retired = calloc(1, sizeof(*retired));
        if (!retired) {
                log_error("no memory to let go of an old catalog: it stays");
                return;
        }
        retired->catalog = old;
        retired->round.gateway = gateway;
        retired->begin.deliver = catalog_begin_round;
        mailbox_post(&gateway->threads[0].mailbox, &retired->begin);
}

/* Ids -------------------------------------------------------------------------------------------------- */

/* xorshift128+ (Vigna 2014), seeded by the kernel for each thread. Ids must not collide; they need
 * not be secret. */
static uint64_t thread_chance(struct gateway_thread *thread)
{
        uint64_t a = thread->chance[0], b = thread->chance[1];

        thread->chance[0] = b;
        a ^= a << 23;
        thread->chance[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
        return thread->chance[1] + b;
}

void gateway_make_id(struct gateway_thread *thread, char *ret_id)
{
        uint64_t words[2] = {thread_chance(thread), thread_chance(thread)};
        uint8_t chance[10];

        memcpy(chance, words, sizeof(chance));
        id_make(clock_unix_ms(), chance, ret_id);
}

/* Draining --------------------------------------------------------------------------------------------- */

static void drain_check(struct gateway *gateway);

static void thread_stop_by_letter(struct letter *letter)
{
        loop_stop(&CONTAINER_OF(letter, struct gateway_thread, stop_letter)->loop);
}

static void thread_stop(struct gateway_thread *thread)
{
        thread->stop_letter.deliver = thread_stop_by_letter;
        mailbox_post(&thread->mailbox, &thread->stop_letter);
}

static void thread_drain_by_letter(struct letter *letter)
{
        struct gateway_thread *thread = CONTAINER_OF(letter, struct gateway_thread, drain_letter);
        struct connection *connection, *after;

        accept_end(thread);
        LIST_FOR_EACH_SAFE (connection, after, &thread->idle, link)
                connection_drain(connection);
        LIST_FOR_EACH_SAFE (connection, after, &thread->heads, link)
                connection_drain(connection);
        LIST_FOR_EACH_SAFE (connection, after, &thread->connections, link)
                connection_drain(connection);
}

/* One that is cut may end others, and change the list: each is moved before. How many there were. */
static unsigned thread_cut(struct gateway_thread *thread)
{
        struct list *link, all;
        unsigned count = 0;

        list_init(&all);
        while ((link = list_pop_front(&thread->idle)) || (link = list_pop_front(&thread->heads)) ||
               (link = list_pop_front(&thread->connections)))
                list_push_back(&all, link);
        while ((link = list_pop_front(&all))) {
                list_push_back(&thread->connections, link);
                count += connection_cut(CONTAINER_OF(link, struct connection, link));
        }
        return count;
}

static void thread_on_cut_timer(struct timer *timer)
{
        struct gateway_thread *thread = CONTAINER_OF(timer, struct gateway_thread, cut_timer);

        (void)thread_cut(thread);
        loop_set_timer(&thread->loop, timer, DRAIN_LOOK_MS);
}

static void thread_cut_by_letter(struct letter *letter)
{
        struct gateway_thread *thread = CONTAINER_OF(letter, struct gateway_thread, cut_letter);
        unsigned count = thread_cut(thread);

        if (count > 0)
                log_warn("%u requests took longer than --drain-max, and were ended", count);
        timer_init(&thread->cut_timer, thread_on_cut_timer);
        loop_set_timer(&thread->loop, &thread->cut_timer, DRAIN_LOOK_MS);
}

static void gateway_cut(struct gateway *gateway)
{
        if (gateway->cutting)
                return;
        gateway->cutting = true;
        for (unsigned i = 0; i < gateway->config.thread_count; i++) {
                gateway->threads[i].cut_letter.deliver = thread_cut_by_letter;
                mailbox_post(&gateway->threads[i].mailbox, &gateway->threads[i].cut_letter);
        }
}

static void on_sandboxes_empty(struct scheduler *scheduler)
{
        struct gateway *gateway = scheduler->gateway;

        if (gateway->stopping)
                return;
        gateway->stopping = true;
        for (unsigned i = 0; i < gateway->config.thread_count; i++)
                thread_stop(&gateway->threads[i]);
}

/* Once the clients have their answers, the instances go; once they are gone, the threads. */
static void drain_check(struct gateway *gateway)
{
        uint64_t now_ns = gateway->threads[0].loop.now_ns;
        bool late = now_ns > gateway->drain_deadline_ns;

        if (late)
                gateway_cut(gateway);
        if (gateway->scheduler.on_empty && late &&
            now_ns > gateway->drain_deadline_ns + 2 * NS_PER_S)
                on_sandboxes_empty(&gateway->scheduler); /* the agent kills what is left */
        if (gateway->scheduler.on_empty)
                return;
        if (late || (atomic_load(&gateway->connection_count) == 0 &&
                     atomic_load(&gateway->api.call_count) == 0))
                scheduler_drain(&gateway->scheduler, on_sandboxes_empty);
}

static void drain_on_timer(struct timer *timer)
{
        struct gateway *gateway = CONTAINER_OF(timer, struct gateway, drain_timer);

        drain_check(gateway);
        loop_set_timer(&gateway->threads[0].loop, timer, DRAIN_LOOK_MS);
}

void gateway_drain(struct gateway *gateway)
{
        if (atomic_exchange(&gateway->draining, true))
                return;
        gateway->drain_deadline_ns = clock_now_ns() + gateway->config.drain_max_ms * NS_PER_MS;
        api_drain(gateway);
        for (unsigned i = 0; i < gateway->config.thread_count; i++) {
                gateway->threads[i].drain_letter.deliver = thread_drain_by_letter;
                mailbox_post(&gateway->threads[i].mailbox, &gateway->threads[i].drain_letter);
        }
        timer_init(&gateway->drain_timer, drain_on_timer);
        loop_set_timer(&gateway->threads[0].loop, &gateway->drain_timer, 1);
}

/* Threads ---------------------------------------------------------------------------------------------- */

static void thread_on_lag_timer(struct timer *timer)
{
        struct gateway_thread *thread = CONTAINER_OF(timer, struct gateway_thread, lag_timer);

        atomic_store_explicit(&thread->lag_ns, thread->loop.max_lag_ns, memory_order_relaxed);
        thread->loop.max_lag_ns = 0;
        tenants_expire(&thread->tenants, thread->loop.now_ns);
        loop_set_timer(&thread->loop, timer, 1000);
}

static int thread_init(struct gateway *gateway, struct gateway_thread *thread, unsigned index,
                       int listen_fd)
{
        int r;

        thread->gateway = gateway;
        thread->index = index;
        thread->loop.epoll_fd = -1;
        list_init(&thread->idle);
        list_init(&thread->heads);
        list_init(&thread->connections);
        list_init(&thread->leaving);
        loop_task_init(&thread->let_go, connection_let_go);
        list_init(&thread->spare_invocations);
        tenants_init(&thread->tenants, gateway->config.fairness);
        accept_init(thread, listen_fd);
        timer_init(&thread->lag_timer, thread_on_lag_timer);
        loop_task_init(&thread->flush, gateway_thread_flush);
        loop_task_init(&thread->look, gateway_thread_look);
        list_init(&thread->rings);
        blocks_init(&thread->blocks,
                    gateway->config.buffers_max_bytes / gateway->config.thread_count);
        thread->arena = malloc(ARENA_SIZE);
        thread->scratch = malloc(SCRATCH_SIZE);
        thread->head = malloc(HEAD_SIZE);
        thread->call_head = malloc(HEAD_SIZE);
        thread->inbox = frame_inbox_new();
        thread->tokens = malloc(sizeof(*thread->tokens));
        if (!thread->arena || !thread->scratch || !thread->head || !thread->call_head ||
            !thread->inbox || !thread->tokens)
                return -ENOMEM;
        token_cache_init(thread->tokens);
        if (getrandom(thread->chance, sizeof(thread->chance), 0) != sizeof(thread->chance))
                return -EIO;
        r = loop_init(&thread->loop);
        thread->loop.at_end = &thread->look;
        thread->loop.afterwards = &thread->tenants.yield;
        if (r == 0)
                r = mailbox_init(&thread->mailbox, &thread->loop);
        if (r == 0)
                loop_set_timer(&thread->loop, &thread->lag_timer, 1000);
        return r;
}

static void thread_deinit(struct gateway_thread *thread)
{
        struct list *spare;

        while ((spare = list_pop_front(&thread->spare_invocations)))
                free(CONTAINER_OF(spare, struct invocation, call.link));
        if (thread->loop.epoll_fd >= 0)
                mailbox_deinit(&thread->mailbox);
        loop_deinit(&thread->loop);
        accept_deinit(thread);
        blocks_deinit(&thread->blocks);
        free(thread->arena);
        free(thread->scratch);
        free(thread->head);
        free(thread->call_head);
        frame_inbox_free(thread->inbox);
        free(thread->tokens);
}

int gateway_init(struct gateway *gateway, const struct gateway_config *config,
                 const int *listen_fds)
{
        int r = 0;

        *gateway = (struct gateway){.config = *config,
                                    .listener = {.publish = gateway_publish},
                                    .started_ns = clock_now_ns()};
        pthread_mutex_init(&gateway->lives_lock, NULL);
        pthread_mutex_init(&gateway->pulls_lock, NULL);
        pthread_mutex_init(&gateway->api.uploads_lock, NULL);
        list_init(&gateway->api.uploads);
        list_init(&gateway->pulls);
        list_init(&gateway->lives);
        metrics_init(&gateway->metrics);
        gateway->threads = calloc(config->thread_count, sizeof(gateway->threads[0]));
        if (!gateway->threads)
                return -ENOMEM;
        if (getrandom(&gateway->turns_seed, sizeof(gateway->turns_seed), 0) !=
            sizeof(gateway->turns_seed))
                return -EIO;
        for (unsigned i = 0; i < config->thread_count && r == 0; i++)
                r = thread_init(gateway, &gateway->threads[i], i, listen_fds[i]);
        if (r == 0)
                r = scheduler_init(&gateway->scheduler, gateway);
        return r;
}

static void *thread_main(void *argument)
{
        struct gateway_thread *thread = argument;
        int r = loop_run(&thread->loop);

        if (r < 0) { /* its clients would wait for ever: the supervisor starts the gateway again */
                log_error("gateway thread %u: %s", thread->index, strerror(-r));
                _exit(1);
        }
        return NULL;
}

int gateway_run(struct gateway *gateway)
{
        unsigned started = 1;
        int r = 0;

        gateway->threads[0].thread = pthread_self();
        for (; started < gateway->config.thread_count && r == 0; started += r == 0)
                r = -pthread_create(&gateway->threads[started].thread, NULL, thread_main,
                                    &gateway->threads[started]);
        if (r == 0)
                (void)thread_main(&gateway->threads[0]);
        for (unsigned i = 1; i < started; i++) {
                if (r < 0)
                        thread_stop(&gateway->threads[i]);
                pthread_join(gateway->threads[i].thread, NULL);
        }
        return r;
}

void gateway_deinit(struct gateway *gateway)
{
        struct live *live, *after;

        for (unsigned i = 0; i < gateway->config.thread_count; i++)
                thread_deinit(&gateway->threads[i]);
        scheduler_deinit(&gateway->scheduler);
        LIST_FOR_EACH_SAFE (live, after, &gateway->lives, link)
                live_free(live);
        catalog_free(atomic_load(&gateway->catalog));
        metrics_deinit(&gateway->metrics);
        pthread_mutex_destroy(&gateway->api.uploads_lock);
        pthread_mutex_destroy(&gateway->pulls_lock);
        pthread_mutex_destroy(&gateway->lives_lock);
        free(gateway->threads);
}
