/* What is counted; see metrics.h. */
#include "gateway/metrics.h"

#include "base/auto.h"
#include "gateway/gateway.h"
#include "gateway/metrics_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Of one function whose earlier versions have ended. What was made anew under its name is the same
 * function here: a sample is known by its labels. */
struct past_figures {
        struct list link;
        char label[FUNCTION_LABEL_SIZE];
        struct figures figures;
};

void metrics_init(struct metrics *metrics)
{
        *metrics = (struct metrics){0};
        list_init(&metrics->past);
}

void metrics_deinit(struct metrics *metrics)
{
        struct list *link;

        while ((link = list_pop_front(&metrics->past)))
                free(CONTAINER_OF(link, struct past_figures, link));
}

void metrics_cold_start_phase(struct metrics *metrics, enum runtime runtime,
                              enum cold_start_phase phase, uint32_t duration_us)
{
        struct duration_histogram *histogram = &metrics->cold_starts[runtime][phase];
        size_t bucket = 0;

        while (bucket < DURATION_BUCKETS - 1 && duration_us > duration_bounds_us[bucket])
                bucket++;
        atomic_fetch_add_explicit(&histogram->bucket[bucket], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&histogram->sum_us, duration_us, memory_order_relaxed);
}

void metrics_cold_start(struct metrics *metrics, enum runtime runtime,
                        const struct cold_start *cold_start)
{
        for (int phase = 0; phase < COLD_START_PHASE_COUNT; phase++)
                if (cold_start->phase_us[phase] > 0)
                        metrics_cold_start_phase(metrics, runtime, (enum cold_start_phase)phase,
                                                 cold_start->phase_us[phase]);
        atomic_fetch_add_explicit(&metrics->origins[runtime][cold_start->origin], 1,
                                  memory_order_relaxed);
}

void metrics_stock(struct metrics *metrics, const struct sandbox_stock *stock)
{
        atomic_store_explicit(&metrics->stock_bare, stock->bare, memory_order_relaxed);
        atomic_store_explicit(&metrics->stock_python3, stock->python3, memory_order_relaxed);
        atomic_store_explicit(&metrics->stock_node, stock->node, memory_order_relaxed);
}

static void figures_add(struct figures *sum, const struct figures *more)
{
        for (int start = 0; start < START_KIND_COUNT; start++)
                for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
                        sum->count[start][outcome] += more->count[start][outcome];
        for (int i = 0; i < DURATION_BUCKETS; i++)
                sum->bucket[i] += more->bucket[i];
        sum->duration_sum_us += more->duration_sum_us;
        sum->shed += more->shed;
        sum->ahead += more->ahead;
}

static uint64_t peek(const atomic_ullong *figure)
{
        return atomic_load_explicit(figure, memory_order_relaxed);
}

static void figures_add_live(struct figures *sum, const struct live *live)
{
        sum->ahead += peek(&live->ahead_count);
        for (unsigned thread = 0; thread < live->thread_count; thread++) {
                const struct live_figures *one = &live->figures[thread];
                for (int start = 0; start < START_KIND_COUNT; start++)
                        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
                                sum->count[start][outcome] += peek(&one->count[start][outcome]);
                for (int i = 0; i < DURATION_BUCKETS; i++)
                        sum->bucket[i] += peek(&one->bucket[i]);
                sum->duration_sum_us += peek(&one->duration_sum_us);
                sum->shed += peek(&one->shed);
        }
}

static void label_of(const struct function *function, char ret_label[FUNCTION_LABEL_SIZE])
{
        (void)snprintf(ret_label, FUNCTION_LABEL_SIZE, "%s/%s", function->owner_name_space,
                       function->name);
}

static struct past_figures *past_find(const struct metrics *metrics, const char *label)
{
        struct past_figures *past;

        LIST_FOR_EACH (past, &metrics->past, link)
                if (strcmp(past->label, label) == 0)
                        return past;
        return NULL;
}

void metrics_keep(struct metrics *metrics, const struct live *live)
{
        char label[FUNCTION_LABEL_SIZE];
        struct past_figures *past;

        label_of(live->function, label);
        past = past_find(metrics, label);
        if (!past) {
                past = calloc(1, sizeof(*past));
                if (!past)
                        return;
                memcpy(past->label, label, sizeof(past->label));
                list_push_back(&metrics->past, &past->link);
        }
        figures_add_live(&past->figures, live);
}

static bool label_is_known(const struct catalog *catalog, const char *label)
{
        const char *slash = strchr(label, '/');

        return catalog_find_function_by_route(catalog, slice_make(label, (size_t)(slash - label)),
                                              slice_of(slash + 1));
}

void metrics_prune(struct gateway *gateway)
{
        const struct catalog *catalog = gateway_catalog(gateway);
        struct past_figures *past, *after;

        LIST_FOR_EACH_SAFE (past, after, &gateway->metrics.past, link) {
                if (label_is_known(catalog, past->label))
                        continue;
                list_remove(&past->link);
                free(past);
        }
}

/* A live, or what ended ones have left. */
struct source {
        char label[FUNCTION_LABEL_SIZE];
        struct live *live;
        const struct past_figures *past;
};

static int source_compare(const void *a, const void *b)
{
        const struct source *left = a, *right = b;
        return strcmp(left->label, right->label);
}

static void row_add(struct function_row *row, const struct source *source)
{
        struct live *live = source->live;

        memcpy(row->label, source->label, sizeof(row->label));
        if (!live) {
                figures_add(&row->figures, &source->past->figures);
                return;
        }
        figures_add_live(&row->figures, live);
        pthread_mutex_lock(&live->lock);
        row->idle += live->pool.idle_count;
        row->frozen += live->pool.frozen_count;
        row->busy += live->pool.busy_count;
        row->starting += live->pool.booting_count;
        row->ending += live->pool.ending_count;
        row->waiters += live->pool.waiting_count;
        pthread_mutex_unlock(&live->lock);
}

/* With lives_lock held. */
static size_t sources_list(const struct gateway *gateway, struct source *ret_sources)
{
        struct past_figures *past;
        struct live *live;
        size_t count = 0;

        LIST_FOR_EACH (live, &gateway->lives, link) {
                if (ret_sources) {
                        ret_sources[count] = (struct source){.live = live};
                        label_of(live->function, ret_sources[count].label);
                }
                count++;
        }
        LIST_FOR_EACH (past, &gateway->metrics.past, link) {
                if (ret_sources) {
                        ret_sources[count] = (struct source){.past = past};
                        memcpy(ret_sources[count].label, past->label, sizeof(past->label));
                }
                count++;
        }
        return count;
}

int metrics_rows_take(struct gateway *gateway, struct function_row **ret_rows, size_t *ret_count)
{
        AUTO(memory_free) struct source *sources = NULL;
        AUTO(memory_free) struct function_row *rows = NULL;
        size_t source_count, count = 0;

        pthread_mutex_lock(&gateway->lives_lock);
        metrics_prune(gateway);
        source_count = sources_list(gateway, NULL);
        sources = malloc((source_count + 1) * sizeof(sources[0]));
        rows = calloc(source_count + 1, sizeof(rows[0]));
        if (sources && rows) {
                (void)sources_list(gateway, sources);
                /* What belongs to one name then stands together. */
                qsort(sources, source_count, sizeof(sources[0]), source_compare);
                for (size_t i = 0; i < source_count; i++) {
                        if (i == 0 || source_compare(&sources[i - 1], &sources[i]) != 0)
                                count++;
                        row_add(&rows[count - 1], &sources[i]);
                }
        }
        pthread_mutex_unlock(&gateway->lives_lock);
        if (!sources || !rows)
                return -ENOMEM;
        *ret_rows = memory_steal(&rows);
        *ret_count = count;
        return 0;
}
