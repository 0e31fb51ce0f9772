/* What /metrics shows; see metrics.h. */
#include "base/auto.h"
#include "base/clock.h"
#include "gateway/exposition.h"
#include "gateway/gateway.h"
#include "gateway/metrics_rows.h"

#include <stdio.h>

static void write_invocations(struct exposition *exposition, const struct function_row *rows,
                              size_t count)
{
        exposition_family(exposition, "magpie_invocations_total", "counter",
                          "Invocations, by how their instance was found and how they ended.");
        for (size_t i = 0; i < count; i++)
                for (int start = 0; start < START_KIND_COUNT; start++)
                        for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
                                const struct exposition_label labels[] = {
                                        {"function", rows[i].label},
                                        {"start", start_kind_name((enum start_kind)start)},
                                        {"outcome", outcome_answer((enum outcome)outcome)->reason},
                                        {0}};
                                uint64_t value = rows[i].figures.count[start][outcome];
                                if (value > 0)
                                        exposition_sample(exposition, "magpie_invocations_total",
                                                          labels, (double)value);
                        }

        exposition_family(exposition, "magpie_invocation_duration_seconds", "histogram",
                          "From a request's head to the end of its answer.");
        for (size_t i = 0; i < count; i++) {
                const struct exposition_label labels[] = {{"function", rows[i].label}, {0}};
                exposition_histogram(exposition, "magpie_invocation_duration_seconds", labels,
                                     duration_bounds_us, rows[i].figures.bucket, DURATION_BUCKETS,
                                     rows[i].figures.duration_sum_us);
        }
}

static void write_instances(struct exposition *exposition, const struct function_row *rows,
                            size_t count)
{
        exposition_family(exposition, "magpie_instances", "gauge",
                          "Instances of each function, by state.");
        for (size_t i = 0; i < count; i++) {
                const struct {
                        const char *name;
                        size_t value;
                } states[] = {{"idle", rows[i].idle},
                              {"frozen", rows[i].frozen},
                              {"busy", rows[i].busy},
                              {"starting", rows[i].starting},
                              {"ending", rows[i].ending}};
                for (size_t state = 0; state < sizeof(states) / sizeof(states[0]); state++) {
                        const struct exposition_label labels[] = {
                                {"function", rows[i].label}, {"state", states[state].name}, {0}};
                        exposition_sample(exposition, "magpie_instances", labels,
                                          (double)states[state].value);
                }
        }

        exposition_family(exposition, "magpie_prewarmed_instances_total", "counter",
                          "Instances booted ahead of calls that were expected.");
        for (size_t i = 0; i < count; i++) {
                const struct exposition_label labels[] = {{"function", rows[i].label}, {0}};
                exposition_sample(exposition, "magpie_prewarmed_instances_total", labels,
                                  (double)rows[i].figures.ahead);
        }

        exposition_family(exposition, "magpie_shed_total", "counter",
                          "Requests refused at once, for the line was too long.");
        for (size_t i = 0; i < count; i++) {
                const struct exposition_label labels[] = {{"function", rows[i].label}, {0}};
                exposition_sample(exposition, "magpie_shed_total", labels,
                                  (double)rows[i].figures.shed);
        }

        exposition_family(exposition, "magpie_waiters", "gauge",
                          "Requests that wait for an instance.");
        for (size_t i = 0; i < count; i++) {
                const struct exposition_label labels[] = {{"function", rows[i].label}, {0}};
                exposition_sample(exposition, "magpie_waiters", labels, (double)rows[i].waiters);
        }
}

static void write_cold_start_origins(struct exposition *exposition, const struct metrics *metrics)
{
        exposition_family(exposition, "magpie_cold_starts_total", "counter",
                          "Instances made, by what there was before they were asked for.");
        for (int runtime = 0; runtime < RUNTIME_COUNT; runtime++)
                for (int origin = 0; origin < SANDBOX_ORIGIN_COUNT; origin++) {
                        const struct exposition_label labels[] = {
                                {"runtime", runtime_name((enum runtime)runtime)},
                                {"from", sandbox_origin_name((enum sandbox_origin)origin)},
                                {0}};
                        unsigned long long count = atomic_load_explicit(
                                &metrics->origins[runtime][origin], memory_order_relaxed);
                        if (count > 0)
                                exposition_sample(exposition, "magpie_cold_starts_total", labels,
                                                  (double)count);
                }
}

static void write_cold_starts(struct exposition *exposition, const struct metrics *metrics)
{
        exposition_family(exposition, "magpie_cold_start_seconds", "histogram",
                          "Making an instance, by runtime and phase.");
        for (int runtime = 0; runtime < RUNTIME_COUNT; runtime++)
                for (int phase = 0; phase < COLD_START_PHASE_COUNT; phase++) {
                        const struct duration_histogram *histogram =
                                &metrics->cold_starts[runtime][phase];
                        const struct exposition_label labels[] = {
                                {"runtime", runtime_name((enum runtime)runtime)},
                                {"phase", cold_start_phase_name((enum cold_start_phase)phase)},
                                {0}};
                        uint64_t buckets[DURATION_BUCKETS];
                        for (int i = 0; i < DURATION_BUCKETS; i++)
                                buckets[i] = atomic_load_explicit(&histogram->bucket[i],
                                                                  memory_order_relaxed);
                        exposition_histogram(
                                exposition, "magpie_cold_start_seconds", labels, duration_bounds_us,
                                buckets, DURATION_BUCKETS,
                                atomic_load_explicit(&histogram->sum_us, memory_order_relaxed));
                }
}

static void write_stock(struct exposition *exposition, struct metrics *metrics)
{
        const struct {
                const char *name;
                atomic_uint *value;
        } kinds[] = {{"none", &metrics->stock_bare},
                     {"python3", &metrics->stock_python3},
                     {"node", &metrics->stock_node}};

        exposition_family(exposition, "magpie_stock_sandboxes", "gauge",
                          "Sandboxes that wait for a function, by the interpreter in them.");
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                const struct exposition_label labels[] = {{"interpreter", kinds[i].name}, {0}};
                exposition_sample(exposition, "magpie_stock_sandboxes", labels,
                                  atomic_load_explicit(kinds[i].value, memory_order_relaxed));
        }
}

static unsigned long long turns_waited(const struct gateway *gateway)
{
        unsigned long long sum = 0;

        for (unsigned i = 0; i < gateway->config.thread_count; i++)
                sum += atomic_load_explicit(&gateway->threads[i].tenants.waited,
                                            memory_order_relaxed);
        return sum;
}

static unsigned long long made_room(const struct gateway *gateway)
{
        unsigned long long sum = 0;

        for (unsigned i = 0; i < gateway->config.thread_count; i++)
                sum += atomic_load_explicit(&gateway->threads[i].made_room, memory_order_relaxed);
        return sum;
}

static void write_process(struct exposition *exposition, struct gateway *gateway, long open_fds)
{
        const struct exposition_label build[] = {{"version", MAGPIE_VERSION}, {0}};

        exposition_family(exposition, "magpie_connections", "gauge", "Open client connections.");
        exposition_sample(exposition, "magpie_connections", NULL,
                          atomic_load_explicit(&gateway->connection_count, memory_order_relaxed));

        exposition_family(exposition, "magpie_connections_closed_for_room_total", "counter",
                          "Connections closed to let new ones in.");
        exposition_sample(exposition, "magpie_connections_closed_for_room_total", NULL,
                          (double)made_room(gateway));

        exposition_family(exposition, "magpie_turns_waited_total", "counter",
                          "Times that a connection waited until it was its tenant's turn.");
        exposition_sample(exposition, "magpie_turns_waited_total", NULL,
                          (double)turns_waited(gateway));

        exposition_family(exposition, "magpie_loop_lag_seconds", "gauge",
                          "The longest turn of each thread's event loop in the last second.");
        for (unsigned i = 0; i < gateway->config.thread_count; i++) {
                char thread[16];
                const struct exposition_label labels[] = {{"thread", thread}, {0}};
                (void)snprintf(thread, sizeof(thread), "%u", i);
                exposition_sample(exposition, "magpie_loop_lag_seconds", labels,
                                  (double)atomic_load_explicit(&gateway->threads[i].lag_ns,
                                                               memory_order_relaxed) /
                                          (double)NS_PER_S);
        }

        exposition_family(exposition, "magpie_build_info", "gauge", "Always 1.");
        exposition_sample(exposition, "magpie_build_info", build, 1);
        exposition_family(exposition, "magpie_uptime_seconds", "gauge",
                          "Since the gateway's process started.");
        exposition_sample(exposition, "magpie_uptime_seconds", NULL,
                          (double)(clock_now_ns() - gateway->started_ns) / (double)NS_PER_S);
        if (open_fds >= 0) {
                exposition_family(exposition, "process_open_fds", "gauge",
                                  "Open file descriptors of the gateway's process.");
                exposition_sample(exposition, "process_open_fds", NULL, (double)open_fds);
        }
}

int metrics_write(struct gateway *gateway, long open_fds, struct buffer *text)
{
        AUTO(memory_free) struct function_row *rows = NULL;
        struct exposition exposition = {.text = text};
        size_t count;
        int r = metrics_rows_take(gateway, &rows, &count);

        if (r < 0)
                return r;
        write_invocations(&exposition, rows, count);
        write_instances(&exposition, rows, count);
        write_cold_start_origins(&exposition, &gateway->metrics);
        write_cold_starts(&exposition, &gateway->metrics);
        write_stock(&exposition, &gateway->metrics);
        write_process(&exposition, gateway, open_fds);
        return exposition.result;
}
