/* How much load is to be there when: stages, each of one level or a ramp from one to another.
 *
 * A level is a number of clients (closed loop: each sends its next request when it has its answer)
 * or of requests a second (open loop). Pure: times are nanoseconds since the run began.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

#define PLAN_STAGES_MAX 256
#define PLAN_LEVEL_MAX 1e9
#define PLAN_FOREVER (1ull << 61) /* the time of a stage that something else ends */
#define PLAN_MOMENT_NS 100000000ull

enum plan_kind { PLAN_CLIENTS, PLAN_RATE };

struct plan_stage {
        double from, to; /* levels at its begin and its end */
        uint64_t start_ns, duration_ns;
        double starts_before; /* of PLAN_RATE: requests that begin before it */
};

struct plan {
        enum plan_kind kind;
        size_t count;
        struct plan_stage stages[PLAN_STAGES_MAX];
};

void plan_init(struct plan *plan, enum plan_kind kind);

/* Each appends. -E2BIG where there are too many stages; -EINVAL for a text that is none. */
int plan_add(struct plan *plan, double from, double to, uint64_t duration_ns, struct err *err);
/* "100:10s,250:10s,0:2000:1m": LEVEL:TIME or FROM:TO:TIME. */
int plan_parse_stages(struct plan *plan, struct slice text, struct err *err);
/* "0:2000:60s". */
int plan_parse_ramp(struct plan *plan, struct slice text, struct err *err);
/* One level: a number, with a fraction where it is a rate. */
int plan_parse_level(enum plan_kind kind, struct slice text, double *ret_level, struct err *err);

uint64_t plan_duration_ns(const struct plan *plan);
double plan_level_max(const struct plan *plan);
/* The stage that `at_ns` lies in; at and after the end the last one. The plan is not empty. */
size_t plan_stage_at(const struct plan *plan, uint64_t at_ns);
/* 0 after the end. */
double plan_level(const struct plan *plan, uint64_t at_ns);

/* When the level of `starts` is reached: the time at which that many requests of a PLAN_RATE have
 * begun. UINT64_MAX where they never do. */
uint64_t plan_time_of(const struct plan *plan, double starts);

/* Time is looked at in moments: each stage is cut into pieces of PLAN_MOMENT_NS, the last one
 * shorter. After the plan's end they go on, for answers that are still to come. */
struct plan_moment {
        uint64_t start_ns, end_ns;
        size_t stage;
        bool is_after_end;
};

struct plan_moment plan_moment_at(const struct plan *plan, uint64_t at_ns);
