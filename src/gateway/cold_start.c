/* Cold starts, phase by phase; see cold_start.h. */
#include "gateway/cold_start.h"

#include "wire/worker_protocol.h"

const char *cold_start_phase_name(enum cold_start_phase phase)
{
        static const char *const names[COLD_START_PHASE_COUNT] = {
                [COLD_START_SANDBOX] = "sandbox",
                [COLD_START_STOCK] = "stock",
                [COLD_START_CGROUP] = "cgroup",
                [COLD_START_NAMESPACES] = "namespaces",
                [COLD_START_MOUNTS] = "mounts",
                [COLD_START_CONFINE] = "confine",
                [COLD_START_EXEC] = "exec",
                [COLD_START_LOAD] = "load",
                [COLD_START_INTERPRETER] = "interpreter",
                [COLD_START_IMPORT] = "import",
                [COLD_START_TOTAL] = "total",
                [COLD_START_FIRST_BYTE] = "first_byte",
        };

        return names[phase];
}

const char *sandbox_origin_name(enum sandbox_origin origin)
{
        static const char *const names[SANDBOX_ORIGIN_COUNT] = {
                [SANDBOX_MADE] = "request",
                [SANDBOX_FROM_STOCK] = "sandbox",
                [SANDBOX_WITH_INTERPRETER] = "interpreter",
        };

        return names[origin];
}

static uint32_t span_us(uint64_t from_ns, uint64_t to_ns)
{
        uint64_t us = to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;

        return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void cold_start_made(struct cold_start *cold_start, const struct sandbox_making *making)
{
        uint32_t *phase_us = cold_start->phase_us;

        cold_start->origin = making->origin;
        phase_us[COLD_START_STOCK] = making->stock_us;
        phase_us[COLD_START_CGROUP] = making->cgroup_us;
        phase_us[COLD_START_NAMESPACES] = making->namespaces_us;
        phase_us[COLD_START_MOUNTS] = making->mounts_us;
        phase_us[COLD_START_CONFINE] = making->confine_us;
        phase_us[COLD_START_EXEC] = making->exec_us;
}

void cold_start_ready(struct cold_start *cold_start, uint64_t ordered_ns, uint64_t made_ns,
                      uint64_t ready_ns, uint64_t value)
{
        uint32_t *phase_us = cold_start->phase_us;
        struct worker_start start = {0};

        phase_us[COLD_START_SANDBOX] = span_us(ordered_ns, made_ns);
        phase_us[COLD_START_LOAD] = span_us(made_ns, ready_ns);
        phase_us[COLD_START_TOTAL] = span_us(ordered_ns, ready_ns);
        (void)worker_start_decode(value, phase_us[COLD_START_TOTAL], &start);
        phase_us[COLD_START_INTERPRETER] = start.interpreter_us;
        phase_us[COLD_START_IMPORT] = start.import_us;
        /* The worker's time begins with BOOT, before we hear of the sandbox; a busy thread hears late. */
        if (phase_us[COLD_START_LOAD] < start.interpreter_us + start.import_us) {
                phase_us[COLD_START_LOAD] = start.interpreter_us + start.import_us;
                phase_us[COLD_START_SANDBOX] =
                        phase_us[COLD_START_TOTAL] - phase_us[COLD_START_LOAD];
        }
}

void cold_start_answered(struct cold_start *cold_start, uint64_t ready_ns, uint64_t now_ns)
{
        uint32_t *phase_us = cold_start->phase_us, called_us = span_us(ready_ns, now_ns);

        if (called_us > UINT32_MAX - phase_us[COLD_START_LOAD])
                called_us = UINT32_MAX - phase_us[COLD_START_LOAD];
        /* LOAD may begin before we heard of the sandbox. */
        phase_us[COLD_START_FIRST_BYTE] = phase_us[COLD_START_LOAD] + called_us;
}

void cold_start_keep(struct cold_start_history *history, struct cold_start *cold_start)
{
        cold_start->number = ++history->count;
        history->kept[cold_start->number % COLD_STARTS_KEPT] = *cold_start;
}

void cold_start_keep_again(struct cold_start_history *history, const struct cold_start *cold_start)
{
        struct cold_start *kept = &history->kept[cold_start->number % COLD_STARTS_KEPT];

        if (kept->number == cold_start->number)
                *kept = *cold_start;
}

const struct cold_start *cold_start_last(const struct cold_start_history *history)
{
        return history->count > 0 ? &history->kept[history->count % COLD_STARTS_KEPT] : NULL;
}

unsigned cold_start_mean(const struct cold_start_history *history,
                         uint32_t ret_phase_us[COLD_START_PHASE_COUNT])
{
        unsigned kept =
                history->count < COLD_STARTS_KEPT ? (unsigned)history->count : COLD_STARTS_KEPT;

        for (int phase = 0; phase < COLD_START_PHASE_COUNT; phase++) {
                uint64_t sum_us = 0, took_place = 0;
                for (unsigned i = 0; i < COLD_STARTS_KEPT; i++) {
                        sum_us += history->kept[i].phase_us[phase];
                        took_place += history->kept[i].phase_us[phase] > 0;
                }
                ret_phase_us[phase] =
                        took_place > 0 ? (uint32_t)((sum_us + took_place / 2) / took_place) : 0;
        }
        return kept;
}
