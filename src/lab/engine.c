/* The loop of one load thread; see engine.h. */
#include "lab/engine_parts.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#define BATCH_MAX 64 /* few: a socket that the kernel has just looked at is still in the caches */
#define STARTS_A_TURN 64 /* so that a crowd that comes at once does not keep answers waiting */
#define LEVEL_CHECK_NS NS_PER_MS
#define SPARE_REPORTS 4
#define WAITING_FIRST 1024

static uint64_t engine_at(const struct engine *engine, uint64_t now_ns)
{
        return now_ns > engine->start_ns ? now_ns - engine->start_ns : 0;
}

/* This thread's share of so many clients: every thread_count-th, beginning with its own index. */
static size_t engine_share(const struct engine *engine, double clients)
{
        size_t all = (size_t)(clients + 0.5), count = engine->load->thread_count, share;

        share = all > engine->index ? (all - engine->index + count - 1) / count : 0;
        return share < engine->client_count ? share : engine->client_count;
}

/* --- reports --------------------------------------------------------------------------------- */

static struct engine_report *report_new(void)
{
        struct engine_report *report = malloc(sizeof(*report));

        if (!report)
                return NULL;
        list_init(&report->link);
        tally_init(&report->tally);
        return report;
}

/* Time that this thread could have run and did not: the second number, in nanoseconds. */
static uint64_t engine_read_waiting(const struct engine *engine)
{
        unsigned long long ran, waited;
        char text[96];
        ssize_t length = pread(engine->schedule_fd, text, sizeof(text) - 1, 0);

        if (length <= 0)
                return 0;
        text[length] = '\0';
        return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

static void engine_note_load(struct engine *engine)
{
        struct lab_load *lab = &engine_tally(engine)->lab;
        uint64_t begun_ns = engine->start_ns + engine->report->moment.start_ns;
        uint64_t waiting_ns = engine_read_waiting(engine), cpu_ns;
        struct timespec cpu = {0};

        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
        cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
        lab->span_ns = engine->now_ns > begun_ns ? engine->now_ns - begun_ns : 1;
        lab->cpu_ns = cpu_ns - engine->cpu_ns;
        lab->waiting_ns = waiting_ns - engine->waiting_ns;
        engine->cpu_ns = cpu_ns;
        engine->waiting_ns = waiting_ns;
}

/* Is a stage over with this moment, one that had all of its time and requests? */
static bool engine_ends_stage(const struct engine *engine, bool is_last)
{
        const struct plan *plan = engine->load->plan;
        uint64_t at_ns = engine_at(engine, engine->now_ns);

        if (engine->requests_left == 0)
                return false;
        return is_last ? at_ns >= plan_duration_ns(plan)
                       : plan_stage_at(plan, at_ns) != engine->report->moment.stage;
}

/* Who was there and got nothing? Whom the lab had no time to begin is no fault of the server's. */
static void engine_note_starved(struct engine *engine)
{
        const struct plan *plan = engine->load->plan;
        const struct plan_stage *stage = &plan->stages[engine->report->moment.stage];
        size_t present = engine_share(engine, stage->to);
        struct tally *tally = engine_tally(engine);

        tally->unanswered = engine->busy_count + engine->waiting_count;
        for (size_t i = 0; i < engine->client_count && plan->kind == PLAN_CLIENTS; i++) {
                struct client *client = &engine->clients[i];
                bool thinks = client->state == CLIENT_THINKING && engine->load->think_ns > 0;

                tally->starved += i < present && client->begun_ns > 0 && !client->is_served;
                client->is_served = client->is_served && thinks;
        }
}

/* Hands the moment's figures over and begins the next. Without memory it goes on counting in the
 * old one. */
static void engine_hand_over(struct engine *engine, bool is_last)
{
        struct engine_report *next = NULL, *full = engine->report;
        struct list *spare;

        pthread_mutex_lock(&engine->lock);
        spare = list_pop_front(&engine->empty);
        pthread_mutex_unlock(&engine->lock);
        if (spare)
                next = CONTAINER_OF(spare, struct engine_report, link);
        else if (!is_last)
                next = report_new();
        if (!next && !is_last)
                return;

        engine_note_load(engine);
        if (engine_ends_stage(engine, is_last))
                engine_note_starved(engine);
        full->is_last = is_last;
        full->until_ns = engine_at(engine, engine->now_ns);
        engine->report = next;
        if (next) {
                next->moment =
                        plan_moment_at(engine->load->plan, engine_at(engine, engine->now_ns));
                next->tally.connections_max = engine->open_count;
        }
        pthread_mutex_lock(&engine->lock);
        list_push_back(&engine->full, &full->link);
        pthread_mutex_unlock(&engine->lock);
}

struct engine_report *engine_take(struct engine *engine)
{
        struct list *link;

        pthread_mutex_lock(&engine->lock);
        link = list_pop_front(&engine->full);
        pthread_mutex_unlock(&engine->lock);
        return link ? CONTAINER_OF(link, struct engine_report, link) : NULL;
}

void engine_give(struct engine *engine, struct engine_report *report)
{
        tally_clear(&report->tally);
        pthread_mutex_lock(&engine->lock);
        list_push_back(&engine->empty, &report->link);
        pthread_mutex_unlock(&engine->lock);
}

/* --- closed loop ----------------------------------------------------------------------------- */

/* Tells clients to come or to go, as the plan has it now. */
static void engine_follow_level(struct engine *engine, uint64_t at_ns)
{
        if (engine->now_ns >= engine->level_check_ns) {
                engine->level_check_ns = engine->now_ns + LEVEL_CHECK_NS;
                engine->level = engine_share(engine, plan_level(engine->load->plan, at_ns));
        }
        while (engine->begun > engine->level)
                client_leave(&engine->clients[--engine->begun]);
        for (int i = 0; i < STARTS_A_TURN && engine->begun < engine->level; i++)
                client_join(&engine->clients[engine->begun++]);
        engine->starts_are_left = engine->begun < engine->level;
}

/* --- open loop ------------------------------------------------------------------------------- */

/* False without memory: the request is lost, which counts as one that nobody could send. */
static bool engine_let_wait(struct engine *engine, uint64_t intended_ns)
{
        size_t capacity = engine->waiting_capacity;

        if (engine->waiting_count == capacity) {
                size_t larger = capacity > 0 ? 2 * capacity : WAITING_FIRST;
                uint64_t *waiting = calloc(larger, sizeof(*waiting));
                if (!waiting)
                        return false;
                for (size_t i = 0; i < engine->waiting_count; i++)
                        waiting[i] = engine->waiting[(engine->waiting_first + i) % capacity];
                free(engine->waiting);
                engine->waiting = waiting;
                engine->waiting_capacity = larger;
                engine->waiting_first = 0;
        }
        engine->waiting[(engine->waiting_first + engine->waiting_count++) %
                        engine->waiting_capacity] = intended_ns;
        return true;
}

static bool is_too_late(const struct engine *engine, uint64_t intended_ns)
{
        uint64_t total_ns = engine->load->total_timeout_ns;

        return total_ns > 0 && engine->now_ns > intended_ns + total_ns;
}

/* Those that have waited for a client come first. */
static void engine_serve_waiting(struct engine *engine)
{
        while (engine->waiting_count > 0) {
                uint64_t intended_ns = engine->waiting[engine->waiting_first];
                bool is_late = is_too_late(engine, intended_ns);

                if (!is_late && engine->free_count == 0)
                        return;
                engine->waiting_first = (engine->waiting_first + 1) % engine->waiting_capacity;
                engine->waiting_count--;
                if (is_late)
                        engine_count_late(engine);
                else
                        client_begin(engine->free_clients[--engine->free_count], intended_ns);
        }
}

/* The request that is due now begins, or waits for a client. */
static void engine_start_one(struct engine *engine, uint64_t intended_ns)
{
        if (engine->free_count > 0 && engine->waiting_count == 0) {
                histogram_record(&engine_tally(engine)->lab.starts, engine->now_ns - intended_ns,
                                 1);
                client_begin(engine->free_clients[--engine->free_count], intended_ns);
        } else if (!engine_let_wait(engine, intended_ns)) {
                engine_count_late(engine);
        }
}

/* When the next request is due. UINT64_MAX where none is to come. */
static uint64_t engine_next_due(const struct engine *engine)
{
        uint64_t next_ns = engine->arrivals.next_ns;

        return next_ns == UINT64_MAX ? UINT64_MAX : engine->start_ns + next_ns;
}

/* No more requests are to begin. The last one may begin long before the plan's end. */
static bool engine_has_begun_all(const struct engine *engine)
{
        if (engine->requests_left <= engine->waiting_count)
                return true;
        return engine->arrivals.next_ns == UINT64_MAX &&
               engine_at(engine, engine->now_ns) >= plan_duration_ns(engine->load->plan);
}

static void engine_follow_arrivals(struct engine *engine)
{
        uint64_t due_ns = engine_next_due(engine);

        engine_serve_waiting(engine);
        for (int i = 0; i < STARTS_A_TURN && !engine->is_ending && due_ns <= engine->now_ns; i++) {
                arrivals_pop(&engine->arrivals);
                engine_start_one(engine, due_ns);
                engine->is_ending = engine_has_begun_all(engine);
                engine->now_ns = clock_now_ns();
                due_ns = engine_next_due(engine);
        }
        engine->is_ending = engine->is_ending || engine_has_begun_all(engine);
        engine->starts_are_left = !engine->is_ending && due_ns <= engine->now_ns;
}

/* --- the loop -------------------------------------------------------------------------------- */

/* How long nothing is to be done unless an answer comes. */
static struct timespec engine_sleep(const struct engine *engine)
{
        uint64_t now_ns = engine->now_ns;
        uint64_t until_ns = engine->start_ns + engine->report->moment.end_ns, sleep_ns;
        uint64_t timer_ms;

        if (engine->starts_are_left)
                return (struct timespec){0};
        timer_ms = engine->wheel.now_ms + wheel_sleep_ms(&engine->wheel, 1000);
        if (timer_ms * NS_PER_MS < until_ns)
                until_ns = timer_ms * NS_PER_MS;
        if (engine->load->plan->kind == PLAN_RATE && !engine->is_ending &&
            engine_next_due(engine) < until_ns)
                until_ns = engine_next_due(engine);
        /* A ramp brings clients between moments, too. */
        if (engine->load->plan->kind == PLAN_CLIENTS && !engine->is_ending &&
            engine->now_ns + 5 * LEVEL_CHECK_NS < until_ns)
                until_ns = engine->now_ns + 5 * LEVEL_CHECK_NS;
        sleep_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        return (struct timespec){.tv_sec = (time_t)(sleep_ns / NS_PER_S),
                                 .tv_nsec = (long)(sleep_ns % NS_PER_S)};
}

static void engine_deliver(struct engine *engine, const struct epoll_event *events, int count)
{
        for (int i = 0; i < count; i++) {
                struct link *link = &engine->links[(uint32_t)events[i].data.u64];
                if (link->generation == (uint32_t)(events[i].data.u64 >> 32))
                        link_on_event(link, events[i].events);
        }
}

static bool engine_is_done(const struct engine *engine)
{
        if (atomic_load_explicit(&engine->is_stopped, memory_order_relaxed))
                return true;
        return engine->is_ending && engine->busy_count == 0 && engine->waiting_count == 0;
}

static void engine_turn(struct engine *engine)
{
        struct epoll_event events[BATCH_MAX];
        struct timespec sleep = engine_sleep(engine);
        int count = epoll_pwait2(engine->epoll_fd, events, BATCH_MAX, &sleep, NULL);
        uint64_t woken_ns = clock_now_ns(), at_ns;

        engine->now_ns = woken_ns;
        at_ns = engine_at(engine, woken_ns);
        if (at_ns >= engine->report->moment.end_ns)
                engine_hand_over(engine, false);
        if (count > 0)
                engine_deliver(engine, events, count);
        wheel_advance(&engine->wheel, engine->now_ns / NS_PER_MS);
        if (engine->load->plan->kind == PLAN_RATE) {
                /* What was due before the plan's end is begun, however late that is. */
                engine_follow_arrivals(engine);
        } else if (!engine->is_ending) {
                engine->is_ending = at_ns >= plan_duration_ns(engine->load->plan);
                engine_follow_level(engine, at_ns);
        }
        engine->now_ns = clock_now_ns();
        if (count > 0)
                histogram_record(&engine_tally(engine)->lab.turns, engine->now_ns - woken_ns,
                                 (uint64_t)count);
}

static void *engine_main(void *argument)
{
        struct engine *engine = argument;
        AUTO(fd_close)
        int schedule_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        struct timespec start = {.tv_sec = (time_t)(engine->start_ns / NS_PER_S),
                                 .tv_nsec = (long)(engine->start_ns % NS_PER_S)};

        /* The kernel may wake a thread 50 us late, to wake several at once: not this one. */
        (void)prctl(PR_SET_TIMERSLACK, 1);
        engine->schedule_fd = schedule_fd;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL);
        engine->waiting_ns = engine_read_waiting(engine);
        engine->now_ns = clock_now_ns();
        do
                engine_turn(engine);
        while (!engine_is_done(engine));
        engine_hand_over(engine, true);
        return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static size_t engine_clients_wanted(const struct load *load, unsigned index)
{
        size_t all = load->plan->kind == PLAN_RATE ? load->clients_max
                                                   : (size_t)(plan_level_max(load->plan) + 0.5);

        return all > index ? (all - index + load->thread_count - 1) / load->thread_count : 0;
}

static int engine_make_clients(struct engine *engine)
{
        const struct load *load = engine->load;
        size_t count = engine_clients_wanted(load, engine->index);

        engine->clients = calloc(count + 1, sizeof(*engine->clients));
        engine->links = calloc(count * load->origin_count + 1, sizeof(*engine->links));
        engine->free_clients = calloc(count + 1, sizeof(struct client *));
        if (!engine->clients || !engine->links || !engine->free_clients)
                return -ENOMEM;
        engine->client_count = engine->free_count = count;
        for (size_t i = 0; i < count; i++) {
                struct client *client = &engine->clients[i];
                client_init(client, engine);
                engine->free_clients[count - 1 - i] = client;
                for (size_t j = 0; j < load->origin_count; j++)
                        link_init(client_links(client) + j, client, &load->origins[j]);
        }
        return 0;
}

static int engine_make_reports(struct engine *engine)
{
        for (int i = 0; i < SPARE_REPORTS; i++) {
                struct engine_report *report = report_new();
                if (!report)
                        return -ENOMEM;
                list_push_back(&engine->empty, &report->link);
        }
        engine->report = CONTAINER_OF(list_pop_front(&engine->empty), struct engine_report, link);
        engine->report->moment = plan_moment_at(engine->load->plan, 0);
        return 0;
}

static int engine_init(struct engine *engine, const struct load *load, unsigned index,
                       uint64_t start_ns)
{
        int r;

        *engine = (struct engine){.load = load, .index = index, .epoll_fd = -1, .schedule_fd = -1};
        pthread_mutex_init(&engine->lock, NULL);
        list_init(&engine->full);
        list_init(&engine->empty);
        engine->start_ns = engine->now_ns = start_ns;
        wheel_init(&engine->wheel, start_ns / NS_PER_MS);
        random_init(&engine->random, ~load->seed + index);
        engine->requests_left = UINT64_MAX;
        if (load->requests_max > 0)
                engine->requests_left = load->requests_max / load->thread_count +
                                        (index < load->requests_max % load->thread_count);
        if (load->plan->kind == PLAN_RATE)
                arrivals_init(&engine->arrivals, load->plan, load->arrivals, load->seed, index,
                              load->thread_count);
        r = engine_make_clients(engine);
        if (r == 0)
                r = engine_make_reports(engine);
        engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        return r == 0 && engine->epoll_fd < 0 ? -errno : r;
}

static void reports_free(struct list *reports)
{
        struct list *link;

        while ((link = list_pop_front(reports)))
                free(CONTAINER_OF(link, struct engine_report, link));
}

static void engine_deinit(struct engine *engine)
{
        for (size_t i = 0; i < engine->client_count * engine->load->origin_count; i++)
                link_close(&engine->links[i]);
        spill_pool_deinit(&engine->spills);
        fd_close(&engine->epoll_fd);
        reports_free(&engine->full);
        reports_free(&engine->empty);
        free(engine->report);
        free(engine->waiting);
        free(engine->free_clients);
        free(engine->links);
        free(engine->clients);
        pthread_mutex_destroy(&engine->lock);
        free(engine);
}

int engine_start(const struct load *load, unsigned index, uint64_t start_ns,
                 struct engine **ret_engine)
{
        struct engine *engine = malloc(sizeof(*engine));
        sigset_t all, before;
        int r;

        if (!engine)
                return -ENOMEM;
        r = engine_init(engine, load, index, start_ns);
        if (r == 0) {
                /* Signals are the main thread's; SIGPIPE, which TLS would raise, nobody's. */
                sigfillset(&all);
                pthread_sigmask(SIG_SETMASK, &all, &before);
                r = -pthread_create(&engine->thread, NULL, engine_main, engine);
                pthread_sigmask(SIG_SETMASK, &before, NULL);
        }
        if (r < 0) {
                engine_deinit(engine);
                return r;
        }
        *ret_engine = engine;
        return 0;
}

void engine_stop(struct engine *engine)
{
        atomic_store_explicit(&engine->is_stopped, true, memory_order_relaxed);
}

void engine_free(struct engine *engine)
{
        if (!engine)
                return;
        (void)pthread_join(engine->thread, NULL);
        engine_deinit(engine);
}
