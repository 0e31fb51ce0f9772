/* What is told of a run: JSON for machines, one page for people. Pure but for memory and the page's
 * file. */
#pragma once

#include "base/err.h"
#include "lab/analysis.h"
#include "lab/run.h"
#include "lab/thresholds.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#define WARNINGS_MAX 8
#define WARNING_TEXT_MAX 256

/* Reasons not to believe the figures as they stand. */
struct warnings {
        size_t count;
        char texts[WARNINGS_MAX][WARNING_TEXT_MAX];
};

/* Everything that is told. Pointers are borrowed. */
struct report {
        const char *const *urls; /* ended by NULL */
        const char *method;
        const char *started; /* RFC 3339 */
        const struct load *load;
        const struct run_result *main;
        const struct run_result *blast; /* of `extreme`: quiet, blast, afterwards; NULL: none */
        const struct run_result *ramp;  /* of `extreme`: twenty steps; NULL: none */
        const struct thresholds *thresholds;
        const char *death; /* how the watched process ended meanwhile; NULL or empty: it did not */
};

/* Of all runs that there are. */
struct warnings warnings_find(const struct report *report);

/* How many of the stage's clients got a good answer in it. NaN where nobody can say: of an open loop, of
 * a ramp, of a stage that was cut short. */
double report_served(const struct run_stage *stage, enum plan_kind kind);
bool report_is_broken(const struct run_stage *stage, enum plan_kind kind);
struct limits_found report_limits(const struct run_result *result);
struct degradation report_degradation(const struct run_result *result);
/* Of the ramp where there is one, else of the main run. */
struct exhaustions report_exhaustions(const struct report *report);
/* Of a report with a blast, whose last stage is the quiet time after it. */
struct recovery report_recovery(const struct report *report);
/* "CPU at 1.93 of 2 processors": what was seen of a resource that ran out. */
void report_evidence(enum resource resource, const struct exhaustion *exhaustion, char *ret_text,
                     size_t size);

/* The object of CONTRACTS: "stages" and "analysis". NULL without memory. */
cJSON *report_json(const struct report *report);

/* One page that needs nothing else. `baseline` is the JSON of another run, or NULL. 0, or a negative
 * errno and a sentence. */
int report_page_write(FILE *file, const cJSON *json, const cJSON *baseline, struct err *err);

/* --- parts of report_json() --- */

cJSON *report_stage_json(const struct run_stage *stage, enum plan_kind kind);
cJSON *report_total_json(const struct run_result *result);
cJSON *report_series_json(const char *name, const struct run_result *result);
/* Rounded to what is meant; null where it is no number. */
void report_add_number(cJSON *object, const char *name, double value, int decimals);
