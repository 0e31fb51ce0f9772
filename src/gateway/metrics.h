/* Figures for Prometheus: what is counted where, and the text that /metrics shows.
 *
 * Invocations are counted in each function's struct live, by each thread for itself. A live ends
 * with its version; metrics_keep() adds up what it had counted, so that no counter ever goes back
 * while there is a function of that name. Cold starts are recorded here, by runtime.
 */
#pragma once

#include "base/buffer.h"
#include "gateway/cold_start.h"
#include "gateway/live.h"

#define RUNTIME_COUNT 6

struct duration_histogram {
        atomic_ullong bucket[DURATION_BUCKETS]; /* as live_figures: not cumulative */
        atomic_ullong sum_us;
};

struct metrics {
        struct duration_histogram cold_starts[RUNTIME_COUNT][COLD_START_PHASE_COUNT];
        atomic_ullong origins[RUNTIME_COUNT][SANDBOX_ORIGIN_COUNT]; /* cold starts */
        atomic_uint stock_bare, stock_python3, stock_node;          /* sandboxes that wait */
        struct list past; /* what ended lives have counted; guarded by gateway->lives_lock */
};

void metrics_init(struct metrics *metrics);
void metrics_deinit(struct metrics *metrics);

/* From any thread. */
void metrics_cold_start(struct metrics *metrics, enum runtime runtime,
                        const struct cold_start *cold_start);
/* What became known of it later. */
void metrics_cold_start_phase(struct metrics *metrics, enum runtime runtime,
                              enum cold_start_phase phase, uint32_t duration_us);
void metrics_stock(struct metrics *metrics, const struct sandbox_stock *stock);
/* Before a live is freed, with gateway->lives_lock held. Without memory its figures are lost. */
void metrics_keep(struct metrics *metrics, const struct live *live);
struct gateway;
/* With lives_lock held: forgets what functions that are deleted had counted. */
void metrics_prune(struct gateway *gateway);

/* The whole text, version 0.0.4 of Prometheus' format. `open_fds` < 0: unknown. On a gateway
 * thread. 0, -ENOBUFS, -ENOMEM. */
int metrics_write(struct gateway *gateway, long open_fds, struct buffer *text);
