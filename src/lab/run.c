/* Engines, their reports, and the clock; see run.h. */
#include "lab/run.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 64
#define TICK_NS (100 * NS_PER_MS)
#define START_IN_NS (5 * NS_PER_MS)

/* A moment that not all engines have reported yet. */
struct pending {
        struct list link;
        struct plan_moment moment;
        uint64_t until_ns;
        struct tally tally;
};

/* What a thread of the lab took in a stage. */
struct thread_use {
        uint64_t cpu_ns, span_ns;
};

struct conductor {
        const struct load *load;
        const struct run_observer *observer;
        struct watch *watch;
        struct run_result *result;
        uint64_t start_ns;
        unsigned engine_count, ended_count;
        struct engine *engines[THREADS_MAX];
        uint64_t reported_ns[THREADS_MAX]; /* up to when */
        bool has_reported[THREADS_MAX], has_ended[THREADS_MAX];
        struct thread_use *uses;    /* thread_count for each stage */
        struct list pending, spare; /* pending: by time */
        size_t stages_told;
        size_t stages_wanted; /* what comes of later ones does not count */
        bool has_failed;      /* no memory */
};

void run_result_deinit(struct run_result *result)
{
        free(result->stages);
        free(result->moments);
        free(result->samples);
        *result = (struct run_result){0};
}

/* One more item of an array that doubles. NULL without memory. */
static void *grow(void **items, size_t *count, size_t size)
{
        size_t number = *count;

        if ((number & (number - 1)) == 0) {
                void *larger = reallocarray(*items, number > 0 ? 2 * number : 1, size);
                if (!larger)
                        return NULL;
                *items = larger;
        }
        *count = number + 1;
        return (char *)*items + number * size;
}

/* --- moments --------------------------------------------------------------------------------- */

static double percentile_ms(const struct tally *tally, double share)
{
        if (tally->latency.count == 0)
                return NAN;
        return (double)histogram_percentile(&tally->latency, share) / 1e6;
}

static void note_moment(struct conductor *conductor, const struct pending *pending)
{
        struct run_result *result = conductor->result;
        const struct plan_moment *moment = &pending->moment;
        const struct tally *tally = &pending->tally;
        struct run_moment *noted =
                grow((void **)&result->moments, &result->moment_count, sizeof(*noted));
        uint64_t span_ns =
                pending->until_ns > moment->start_ns ? pending->until_ns - moment->start_ns : 1;

        if (!noted) {
                conductor->has_failed = true;
                return;
        }
        *noted = (struct run_moment){
                .at_s = (double)(moment->start_ns + span_ns) / 1e9,
                .seconds = (double)span_ns / 1e9,
                .level = plan_level(&result->plan, moment->end_ns - 1),
                .stage = moment->stage,
                .answers = tally_answers(tally),
                .good = tally->good,
                .failed = tally_failed(tally),
                .connections = tally->connections_max,
                .p50_ms = percentile_ms(tally, 0.5),
                .p95_ms = percentile_ms(tally, 0.95),
                .p99_ms = percentile_ms(tally, 0.99),
                .max_ms = percentile_ms(tally, 1),
        };
}

static void stop_all(struct conductor *conductor)
{
        for (unsigned i = 0; i < conductor->engine_count; i++)
                engine_stop(conductor->engines[i]);
}

static void tell_stages(struct conductor *conductor, size_t up_to)
{
        struct run_result *result = conductor->result;

        for (; conductor->stages_told < up_to; conductor->stages_told++) {
                const struct run_observer *observer = conductor->observer;
                if (observer->on_stage &&
                    !observer->on_stage(observer->context,
                                        &result->stages[conductor->stages_told])) {
                        conductor->stages_wanted = ++conductor->stages_told;
                        stop_all(conductor);
                        return;
                }
        }
}

/* A moment is complete: it goes into its stage and into the whole. */
static void finish_moment(struct conductor *conductor, struct pending *pending)
{
        struct run_result *result = conductor->result;
        struct run_stage *stage = &result->stages[pending->moment.stage];
        struct tally *tally = &pending->tally;
        double end_s = (double)pending->until_ns / 1e9;

        list_push_front(&conductor->spare, &pending->link);
        if (!result->was_stopped && pending->moment.stage <= conductor->stages_wanted)
                tell_stages(conductor, pending->moment.stage);
        if (pending->moment.stage >= conductor->stages_wanted) {
                tally_clear(tally);
                return;
        }
        if (pending->moment.is_after_end) {
                tally->after_end = tally_answers(tally);
                tally->good_after_end = tally->good;
                /* Nobody asks any more: waiting for the last answers is no rest from work. */
                tally->lab.span_ns = tally->lab.cpu_ns = tally->lab.waiting_ns = 0;
        }
        note_moment(conductor, pending);
        tally_merge(&stage->tally, tally, false);
        tally_merge(&result->total, tally, false);
        if (!pending->moment.is_after_end) {
                double start_s = (double)stage->plan.start_ns / 1e9;
                double most_s = (double)stage->plan.duration_ns / 1e9;
                stage->seconds = fmin(end_s - start_s, most_s);
                result->seconds = start_s + stage->seconds;
        }
        if (result->stage_count < pending->moment.stage + 1)
                result->stage_count = pending->moment.stage + 1;
        tally_clear(tally);
}

/* The pending moment that begins then, made where it is missing. */
static struct pending *pending_of(struct conductor *conductor, const struct plan_moment *moment)
{
        struct pending *at, *made;
        struct list *before = &conductor->pending, *spare;

        LIST_FOR_EACH (at, &conductor->pending, link) {
                if (at->moment.start_ns == moment->start_ns)
                        return at;
                if (at->moment.start_ns > moment->start_ns)
                        break;
                before = &at->link;
        }
        spare = list_pop_front(&conductor->spare);
        made = spare ? CONTAINER_OF(spare, struct pending, link) : malloc(sizeof(*made));
        if (!made)
                return NULL;
        if (!spare)
                tally_init(&made->tally);
        made->moment = *moment;
        made->until_ns = 0;
        list_push_front(before, &made->link);
        return made;
}

static void note_use(struct conductor *conductor, unsigned index,
                     const struct engine_report *report)
{
        struct thread_use *use =
                &conductor->uses[report->moment.stage * conductor->load->thread_count + index];

        if (report->moment.is_after_end)
                return;
        use->cpu_ns += report->tally.lab.cpu_ns;
        use->span_ns += report->tally.lab.span_ns;
}

static void take_report(struct conductor *conductor, unsigned index,
                        const struct engine_report *report)
{
        struct pending *pending = pending_of(conductor, &report->moment);

        conductor->has_reported[index] = true;
        conductor->reported_ns[index] = report->moment.start_ns;
        if (report->is_last) {
                conductor->has_ended[index] = true;
                conductor->ended_count++;
        }
        if (!pending) {
                conductor->has_failed = true;
                return;
        }
        note_use(conductor, index, report);
        tally_merge(&pending->tally, &report->tally, true);
        if (report->until_ns > pending->until_ns)
                pending->until_ns = report->until_ns;
}

static bool is_complete(const struct conductor *conductor, const struct pending *pending)
{
        for (unsigned i = 0; i < conductor->engine_count; i++)
                if (!conductor->has_ended[i] &&
                    (!conductor->has_reported[i] ||
                     conductor->reported_ns[i] < pending->moment.start_ns))
                        return false;
        return true;
}

/* Everything that the engines have to tell, in the order of time. */
static void take_reports(struct conductor *conductor)
{
        struct list *first;

        for (unsigned i = 0; i < conductor->engine_count; i++) {
                struct engine_report *report;
                while ((report = engine_take(conductor->engines[i]))) {
                        take_report(conductor, i, report);
                        engine_give(conductor->engines[i], report);
                }
        }
        while ((first = list_peek_front(&conductor->pending))) {
                struct pending *pending = CONTAINER_OF(first, struct pending, link);
                if (!is_complete(conductor, pending))
                        break;
                list_remove(first);
                finish_moment(conductor, pending);
        }
}

/* Of each stage that thread which had most to do in it. */
static void find_busiest(struct conductor *conductor)
{
        struct run_result *result = conductor->result;
        unsigned thread_count = conductor->load->thread_count;

        for (size_t i = 0; i < result->stage_count * thread_count; i++) {
                const struct thread_use *use = &conductor->uses[i];
                double *busiest = &result->stages[i / thread_count].tally.lab.busiest;
                if (use->span_ns > 0)
                        *busiest = fmax(*busiest, (double)use->cpu_ns / (double)use->span_ns);
                result->total.lab.busiest = fmax(result->total.lab.busiest, *busiest);
        }
}

/* --- the run --------------------------------------------------------------------------------- */

static void take_sample(struct conductor *conductor, uint64_t at_ns)
{
        struct run_result *result = conductor->result;
        struct sample *sample;

        if (!conductor->watch)
                return;
        sample = grow((void **)&result->samples, &result->sample_count, sizeof(*sample));
        if (!sample) {
                conductor->has_failed = true;
                return;
        }
        sample->at_s = (double)at_ns / 1e9;
        sample->level = plan_level(&result->plan, at_ns);
        watch_take(conductor->watch, sample);
}

static void conduct(struct conductor *conductor, const atomic_bool *stop)
{
        struct run_result *result = conductor->result;
        const struct run_observer *observer = conductor->observer;
        uint64_t tick_ns = conductor->start_ns;

        while (conductor->ended_count < conductor->engine_count) {
                struct timespec until;
                uint64_t now_ns, at_ns;

                tick_ns += TICK_NS;
                until = (struct timespec){.tv_sec = (time_t)(tick_ns / NS_PER_S),
                                          .tv_nsec = (long)(tick_ns % NS_PER_S)};
                (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
                now_ns = clock_now_ns();
                /* After a late tick the next one is not due at once. */
                if (now_ns > tick_ns + TICK_NS)
                        tick_ns = now_ns;
                at_ns = now_ns > conductor->start_ns ? now_ns - conductor->start_ns : 0;
                take_sample(conductor, at_ns);
                take_reports(conductor);
                if ((atomic_load(stop) || conductor->has_failed) && !result->was_stopped) {
                        result->was_stopped = true;
                        stop_all(conductor);
                }
                if (observer->on_tick)
                        observer->on_tick(observer->context, result, (double)at_ns / 1e9,
                                          result->moment_count > 0
                                                  ? &result->moments[result->moment_count - 1]
                                                  : NULL);
        }
}

static int start_engines(struct conductor *conductor, struct err *err)
{
        const struct load *load = conductor->load;

        for (unsigned i = 0; i < load->thread_count; i++) {
                int r = engine_start(load, i, conductor->start_ns, &conductor->engines[i]);
                if (r < 0)
                        return err_errno(err, r, "starting thread %u of the lab", i + 1);
                conductor->engine_count++;
        }
        return 0;
}

static void conductor_deinit(struct conductor *conductor)
{
        struct list *lists[] = {&conductor->pending, &conductor->spare}, *link;

        for (unsigned i = 0; i < conductor->engine_count; i++) {
                engine_stop(conductor->engines[i]);
                engine_free(conductor->engines[i]);
        }
        for (size_t i = 0; i < 2; i++)
                while ((link = list_pop_front(lists[i])))
                        free(CONTAINER_OF(link, struct pending, link));
        free(conductor->uses);
}

static int make_stages(struct run_result *result, const struct load *load, struct err *err)
{
        *result = (struct run_result){.plan = *load->plan};
        tally_init(&result->total);
        result->stages = calloc(load->plan->count, sizeof(*result->stages));
        if (!result->stages)
                return err_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < load->plan->count; i++) {
                result->stages[i].plan = load->plan->stages[i];
                tally_init(&result->stages[i].tally);
        }
        return 0;
}

int run(const struct load *load, struct watch *watch, const struct run_observer *observer,
        const atomic_bool *stop, struct run_result *ret_result, struct err *err)
{
        struct conductor conductor = {.load = load,
                                      .observer = observer,
                                      .watch = watch,
                                      .result = ret_result,
                                      .stages_wanted = SIZE_MAX};
        int r = make_stages(ret_result, load, err);

        if (r < 0)
                return r;
        list_init(&conductor.pending);
        list_init(&conductor.spare);
        conductor.uses = calloc(load->plan->count * load->thread_count, sizeof(*conductor.uses));
        if (!conductor.uses)
                return err_set(err, -ENOMEM, "out of memory");
        conductor.start_ns = clock_now_ns() + START_IN_NS;
        r = start_engines(&conductor, err);
        if (r == 0) {
                conduct(&conductor, stop);
                tell_stages(&conductor, ret_result->stage_count);
                find_busiest(&conductor);
                if (watch) {
                        ret_result->limits = *watch_limits(watch);
                        ret_result->left_out = watch_left_out(watch);
                }
        }
        if (r == 0 && conductor.has_failed)
                r = err_set(err, -ENOMEM, "out of memory");
        conductor_deinit(&conductor);
        return r;
}
