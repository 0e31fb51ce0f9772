/* Where the time of a cold start went, and the latest ones of each function.
 *
 * What the agent measures comes with the sandbox, what only the worker can know comes with READY, and
 * the rest is the gateway's own clock. A phase that did not take place, or that nobody has measured,
 * is 0: of a sandbox from stock nothing but `stock` is left of the agent's.
 */
#pragma once

#include "ports/sandbox_host.h"

enum cold_start_phase {
        COLD_START_SANDBOX, /* from the order until the sandbox is there; of that, in the agent: */
        COLD_START_STOCK,   /* one that waited became the function's */
        COLD_START_CGROUP,
        COLD_START_NAMESPACES,
        COLD_START_MOUNTS,
        COLD_START_CONFINE,     /* user, capabilities, system call filter */
        COLD_START_EXEC,        /* magpie-init's */
        COLD_START_LOAD,        /* until the function is loaded; of that, by the worker's word: */
        COLD_START_INTERPRETER, /* until it began to load */
        COLD_START_IMPORT,      /* loading */
        COLD_START_TOTAL,       /* from the order until the function is loaded */
        COLD_START_FIRST_BYTE,  /* from where LOAD begins to the answer that waited for it */
};

#define COLD_START_PHASE_COUNT 12

struct cold_start {
        uint64_t number;        /* of its version's, from 1; 0: none */
        uint64_t ready_unix_ms; /* when it was over */
        enum sandbox_origin origin;
        uint32_t phase_us[COLD_START_PHASE_COUNT];
};

#define COLD_STARTS_KEPT 16

/* The latest of one version of a function. Start with zeroes. */
struct cold_start_history {
        uint64_t count; /* of all */
        struct cold_start kept[COLD_STARTS_KEPT];
};

const char *cold_start_phase_name(enum cold_start_phase phase);
/* "request", "sandbox", "interpreter": what there was before it was asked for. */
const char *sandbox_origin_name(enum sandbox_origin origin);

void cold_start_made(struct cold_start *cold_start, const struct sandbox_making *making);
/* `value` is READY's: what cannot be of it is not believed. Times of the monotonic clock. */
void cold_start_ready(struct cold_start *cold_start, uint64_t ordered_ns, uint64_t made_ns,
                      uint64_t ready_ns, uint64_t value);
/* After cold_start_ready(), with the same time. */
void cold_start_answered(struct cold_start *cold_start, uint64_t ready_ns, uint64_t now_ns);

/* Numbers it and keeps a copy. */
void cold_start_keep(struct cold_start_history *history, struct cold_start *cold_start);
/* More has become known of one that was kept; nothing happens where it has been forgotten. */
void cold_start_keep_again(struct cold_start_history *history, const struct cold_start *cold_start);
/* NULL where there was none. */
const struct cold_start *cold_start_last(const struct cold_start_history *history);
/* Of each phase, among those of the kept ones in which it took place. Returns how many are kept. */
unsigned cold_start_mean(const struct cold_start_history *history,
                         uint32_t ret_phase_us[COLD_START_PHASE_COUNT]);
