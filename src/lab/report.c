/* The report as JSON, and what stands behind its sentences; see report.h. */
#include "lab/report.h"

#include <math.h>
#include <stdlib.h>

#define LAB_CPU_MOST 0.9
#define LAB_WAITING_MOST 0.1
#define LAB_LAG_SHARE 0.3
#define LAB_LAG_LEAST_NS 100000
#define LAB_START_LAG_MOST_NS 1000000
#define FEW_ANSWERS 1000

/* --- warnings -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void warn(struct warnings *warnings,
                                                       const char *format, ...)
{
        va_list args;

        if (warnings->count == WARNINGS_MAX)
                return;
        va_start(args, format);
        (void)vsnprintf(warnings->texts[warnings->count++], WARNING_TEXT_MAX, format, args);
        va_end(args);
}

static double ms(uint64_t ns)
{
        return (double)ns / 1e6;
}

/* All runs that there are, ended by NULL. */
struct runs {
        const struct run_result *items[4];
};

static struct runs runs_of(const struct report *report)
{
        struct runs runs = {{report->main}};
        size_t count = 1;

        if (report->blast)
                runs.items[count++] = report->blast;
        if (report->ramp)
                runs.items[count] = report->ramp;
        return runs;
}

/* Of the stage in which a thread of the lab had most to do. */
static void warn_of_lab(struct warnings *warnings, unsigned thread_count, const struct runs *runs)
{
        double busiest = 0, waiting = 0, level = 0;

        for (const struct run_result *const *run = runs->items; *run; run++)
                for (size_t i = 0; i < (*run)->stage_count; i++) {
                        const struct lab_load *lab = &(*run)->stages[i].tally.lab;
                        if (lab->busiest > busiest) {
                                busiest = lab->busiest;
                                level = (*run)->stages[i].plan.to;
                        }
                        if (lab->span_ns > 0)
                                waiting = fmax(waiting,
                                               (double)lab->waiting_ns / (double)lab->span_ns);
                }
        if (busiest > LAB_CPU_MOST)
                warn(warnings,
                     "%s used %.0f %% of a processor at %.0f: its own limit may be what was "
                     "measured (-t %u gives it more)",
                     thread_count == 1 ? "the lab itself" : "a thread of the lab itself",
                     busiest * 100, level, thread_count * 2);
        if (waiting > LAB_WAITING_MOST)
                warn(warnings,
                     "the lab waited for a processor %.0f %% of the time: this machine is busy, "
                     "and latencies include that",
                     waiting * 100);
}

/* Of the run in which it was the largest part of a latency. */
static void warn_of_lag(struct warnings *warnings, const struct runs *runs)
{
        uint64_t lag_ns = 0, latency_ns = 0;
        double most = LAB_LAG_SHARE;

        for (const struct run_result *const *run = runs->items; *run; run++) {
                const struct histogram *latency = &(*run)->total.latency;
                uint64_t median_ns = histogram_percentile(latency, 0.5);
                uint64_t turn_ns = histogram_percentile(&(*run)->total.lab.turns, 0.5);
                if (latency->count == 0 || turn_ns <= LAB_LAG_LEAST_NS ||
                    (double)turn_ns <= most * (double)median_ns)
                        continue;
                most = (double)turn_ns / (double)median_ns;
                lag_ns = turn_ns;
                latency_ns = median_ns;
        }
        if (lag_ns > 0)
                warn(warnings,
                     "the lab's loop took %.2f ms a turn, of a median latency of %.2f ms: much of "
                     "that is the lab's own",
                     ms(lag_ns), ms(latency_ns));
}

static void warn_of_rate(struct warnings *warnings, const struct load *load,
                         const struct tally *total)
{
        uint64_t late_ns = histogram_percentile(&total->lab.starts, 0.99);

        if (late_ns > LAB_START_LAG_MOST_NS)
                warn(warnings,
                     "1 %% of the requests began %.1f ms late or later: the lab could not "
                     "keep this rate exactly",
                     ms(late_ns));
        if (load->plan->kind == PLAN_RATE && total->connections_max >= load->clients_max)
                warn(warnings,
                     "all %zu connections were in use: requests waited for one (-c gives more)",
                     load->clients_max);
}

struct warnings warnings_find(const struct report *report)
{
        struct warnings warnings = {0};
        const struct tally *total = &report->main->total;
        struct runs runs = runs_of(report);
        uint64_t local = 0;
        bool left_out = false;

        if (report->death && *report->death)
                warn(&warnings, "%s", report->death);
        warn_of_lab(&warnings, report->load->thread_count, &runs);
        warn_of_lag(&warnings, &runs);
        warn_of_rate(&warnings, report->load, total);
        for (const struct run_result *const *run = runs.items; *run; run++) {
                local += (*run)->total.failures[FAILURE_LOCAL];
                left_out = left_out || (*run)->left_out;
        }
        if (local > 0)
                warn(&warnings,
                     "%llu requests failed because this machine had no more descriptors, ports or "
                     "memory for the lab",
                     (unsigned long long)local);
        if (left_out)
                warn(&warnings,
                     "the target had more than %d processes or threads: its figures are without "
                     "those beyond, but for CPU and memory of a --cgroup",
                     WATCH_TASKS_MAX);
        if (total->good > 0 && total->good < FEW_ANSWERS)
                warn(&warnings, "of %llu answers the high percentiles are single ones",
                     (unsigned long long)total->good);
        return warnings;
}

/* --- points ---------------------------------------------------------------------------------- */

double report_served(const struct run_stage *stage, enum plan_kind kind)
{
        bool is_whole = stage->seconds > (double)stage->plan.duration_ns / 1e9 - 1e-6;

        if (kind == PLAN_RATE || stage->plan.from != stage->plan.to || !is_whole)
                return NAN;
        return stage->plan.to - (double)stage->tally.starved;
}

static struct stage_point point_make(const struct run_stage *stage, enum plan_kind kind)
{
        const struct tally *tally = &stage->tally;
        double in_time = (double)(tally_answers(tally) - tally->after_end);
        bool has_good = tally->latency.count > 0;

        return (struct stage_point){
                .level = stage->plan.to,
                .p99_ms = has_good ? ms(histogram_percentile(&tally->latency, 0.99)) : NAN,
                .error_rate = tally_error_rate(tally),
                .served = report_served(stage, kind) / stage->plan.to,
                .throughput = stage->seconds > 0 ? in_time / stage->seconds : 0,
                .connections = (double)tally->connections_max,
                .is_pause = stage->plan.from == 0 && stage->plan.to == 0,
                .target_ended = stage->target_ended,
        };
}

bool report_is_broken(const struct run_stage *stage, enum plan_kind kind)
{
        const struct stage_point point = point_make(stage, kind);

        return !point.is_pause && stage_is_broken(&point);
}

/* Of all stages, or of those with one level alone: the figures of a ramp belong to no load. The caller
 * frees; NULL without memory. */
static struct stage_point *points_make(const struct run_result *result, bool with_ramps,
                                       size_t *ret_count)
{
        struct stage_point *points = calloc(result->stage_count + 1, sizeof(*points));
        size_t count = 0;

        for (size_t i = 0; points && i < result->stage_count; i++) {
                const struct run_stage *stage = &result->stages[i];

                if (with_ramps || stage->plan.from == stage->plan.to)
                        points[count++] = point_make(stage, result->plan.kind);
        }
        *ret_count = count;
        return points;
}

struct limits_found report_limits(const struct run_result *result)
{
        size_t count = 0;
        struct stage_point *points = points_make(result, true, &count);
        struct limits_found found = limits_find(points, count);

        free(points);
        return found;
}

struct degradation report_degradation(const struct run_result *result)
{
        size_t count = 0;
        struct stage_point *points = points_make(result, false, &count);
        struct degradation found = degradation_find(points, count);

        free(points);
        return found;
}

struct exhaustions report_exhaustions(const struct report *report)
{
        const struct run_result *result = report->ramp ? report->ramp : report->main;

        return exhaustions_find(result->samples, result->sample_count, &result->limits);
}

/* p99 of the first stage of all, before anything had gone wrong; NaN where that bore it not. */
static double quiet_p99_ms(const struct report *report)
{
        const struct stage_point first = point_make(&report->main->stages[0], PLAN_CLIENTS);

        return stage_is_sustained(&first) ? first.p99_ms : NAN;
}

struct recovery report_recovery(const struct report *report)
{
        const struct run_result *blast = report->blast;
        struct recovery_moment *moments = calloc(blast->moment_count + 1, sizeof(*moments));
        struct recovery recovery;

        for (size_t i = 0; moments && i < blast->moment_count; i++) {
                const struct run_moment *moment = &blast->moments[i];
                double requests = (double)(moment->good + moment->failed);
                moments[i] = (struct recovery_moment){
                        .at_s = moment->at_s,
                        .seconds = moment->seconds,
                        .p99_ms = moment->p99_ms,
                        .error_rate = requests > 0 ? (double)moment->failed / requests : 0,
                };
        }
        recovery = recovery_find(moments, moments ? blast->moment_count : 0,
                                 (double)blast->plan.stages[blast->plan.count - 1].start_ns / 1e9,
                                 quiet_p99_ms(report));
        free(moments);
        return recovery;
}

static void accept_queue_evidence(const struct exhaustion *exhaustion, char *ret_text, size_t size)
{
        char length[32] = "";

        if (!isnan(exhaustion->limit))
                (void)snprintf(length, sizeof(length), " of %.0f", exhaustion->limit);
        if (exhaustion->overflows > 0)
                (void)snprintf(ret_text, size,
                               "its accept queue%s had no room for %.0f connections a second",
                               length, ceil(exhaustion->overflows));
        else
                (void)snprintf(ret_text, size, "%.0f connections waited in its accept queue%s",
                               exhaustion->value, length);
}

void report_evidence(enum resource resource, const struct exhaustion *exhaustion, char *ret_text,
                     size_t size)
{
        double value = exhaustion->value, limit = exhaustion->limit;

        switch (resource) {
        case RESOURCE_CPU:
                (void)snprintf(ret_text, size, "it used %.2f of %.4g processors", value, limit);
                return;
        case RESOURCE_CPU_THREAD:
                (void)snprintf(ret_text, size, "its busiest thread ran %.0f %% of the time",
                               value * 100);
                return;
        case RESOURCE_MACHINE:
                (void)snprintf(
                        ret_text, size,
                        "%.2f of the machine's %.0f processors were busy, the lab's own %.2f "
                        "among them",
                        value, limit, exhaustion->lab_cpu);
                return;
        case RESOURCE_MEMORY:
                (void)snprintf(ret_text, size, "it used %.0f of %.0f MiB", value / 1048576,
                               limit / 1048576);
                return;
        case RESOURCE_DESCRIPTORS:
                (void)snprintf(ret_text, size, "a process had %.0f of %.0f descriptors open", value,
                               limit);
                return;
        case RESOURCE_ACCEPT_QUEUE:
                accept_queue_evidence(exhaustion, ret_text, size);
                return;
        case RESOURCE_LOOP_LAG:
                (void)snprintf(ret_text, size, "a turn of its event loop took %.0f ms", value);
                return;
        case RESOURCE_COUNT:
                break;
        }
        *ret_text = '\0';
}

/* --- analysis -------------------------------------------------------------------------------- */

static void add_limits(cJSON *analysis, const struct run_result *result)
{
        struct limits_found found = report_limits(result);
        cJSON *peak;

        report_add_number(analysis, "sustained", found.sustained, 3);
        report_add_number(analysis, "sustainedConnections", found.connections, 0);
        report_add_number(analysis, "breakingPoint", found.breaking, 3);
        report_add_number(analysis, "searchedTo", found.searched_to, 3);
        peak = cJSON_AddObjectToObject(analysis, "peak");
        report_add_number(peak, "throughput", found.peak_throughput, 2);
        report_add_number(peak, "at", found.peak_level, 3);
}

static void add_steps(cJSON *object, const struct run_result *result)
{
        size_t count = 0;
        struct stage_point *points = points_make(result, false, &count);
        cJSON *steps = cJSON_AddArrayToObject(object, "steps");

        for (size_t i = 1; i < count; i++) {
                cJSON *step = cJSON_CreateObject();
                report_add_number(step, "from", points[i - 1].level, 3);
                report_add_number(step, "to", points[i].level, 3);
                report_add_number(step, "growth", points[i].level / points[i - 1].level, 4);
                report_add_number(step, "p99Growth", points[i].p99_ms / points[i - 1].p99_ms, 4);
                report_add_number(step, "ratio", growth_ratio(&points[i - 1], &points[i]), 4);
                (void)cJSON_AddItemToArray(steps, step);
        }
        free(points);
}

static void add_degradation(cJSON *analysis, const struct run_result *result)
{
        struct degradation found = report_degradation(result);
        cJSON *object = cJSON_AddObjectToObject(analysis, "degradation");
        bool is_known = found.shape != SHAPE_UNKNOWN;
        cJSON *fits;

        (void)cJSON_AddStringToObject(object, "shape", shape_name(found.shape));
        if (is_known)
                (void)cJSON_AddStringToObject(object, "fit", fit_name(found.best));
        report_add_number(object, "r2", is_known ? found.fits[found.best].r2 : NAN, 4);
        report_add_number(object, "meanRatio", found.mean_ratio, 4);
        fits = cJSON_AddObjectToObject(object, "fits");
        for (int kind = 0; kind < FIT_COUNT; kind++) {
                cJSON *fit = cJSON_AddObjectToObject(fits, fit_name((enum fit_kind)kind));
                report_add_number(fit, "a", found.fits[kind].a, 9);
                report_add_number(fit, "b", found.fits[kind].b, 9);
                report_add_number(fit, "r2", found.fits[kind].r2, 4);
        }
        add_steps(object, result);
}

static cJSON *exhaustion_json(enum resource resource, const struct exhaustion *exhaustion)
{
        cJSON *object = cJSON_CreateObject();
        char evidence[128];

        report_evidence(resource, exhaustion, evidence, sizeof(evidence));
        (void)cJSON_AddStringToObject(object, "resource", resource_name(resource));
        (void)cJSON_AddStringToObject(object, "evidence", evidence);
        report_add_number(object, "at", exhaustion->at_s, 2);
        report_add_number(object, "clients", exhaustion->level, 0);
        report_add_number(object, "value", exhaustion->value, 3);
        report_add_number(object, "limit", exhaustion->limit, 3);
        return object;
}

static void add_exhaustions(cJSON *analysis, const struct report *report)
{
        struct exhaustions found = report_exhaustions(report);
        cJSON *list;

        if (found.first < 0)
                (void)cJSON_AddNullToObject(analysis, "firstBottleneck");
        else
                (void)cJSON_AddItemToObject(
                        analysis, "firstBottleneck",
                        exhaustion_json((enum resource)found.first, &found.of[found.first]));
        list = cJSON_AddArrayToObject(analysis, "exhausted");
        for (int i = 0; i < RESOURCE_COUNT; i++)
                if (found.of[i].is_reached)
                        (void)cJSON_AddItemToArray(list,
                                                   exhaustion_json((enum resource)i, &found.of[i]));
}

static void add_blast(cJSON *analysis, const struct report *report)
{
        const struct run_result *blast = report->blast;
        struct recovery found = report_recovery(report);
        static const char *const names[] = {"before", "during", "afterwards"};
        cJSON *object = cJSON_AddObjectToObject(analysis, "blast"), *recovery;

        report_add_number(object, "clients", blast->plan.stages[1].to, 0);
        for (size_t i = 0; i < blast->stage_count && i < 3; i++)
                (void)cJSON_AddItemToObject(object, names[i],
                                            report_stage_json(&blast->stages[i], blast->plan.kind));
        recovery = cJSON_AddObjectToObject(object, "recovery");
        if (isnan(found.normal_ms))
                (void)cJSON_AddNullToObject(recovery, "recovered");
        else
                (void)cJSON_AddBoolToObject(recovery, "recovered", found.is_recovered);
        report_add_number(recovery, "after", found.is_recovered ? found.after_s : NAN, 3);
        report_add_number(recovery, "quietP99", found.quiet_p99_ms, 4);
        report_add_number(recovery, "normalUpTo", found.normal_ms, 4);
        report_add_number(recovery, "endOfBlast", (double)blast->plan.stages[2].start_ns / 1e9, 3);
}

static void add_stages(cJSON *object, const char *name, const struct run_result *result)
{
        cJSON *list = cJSON_AddArrayToObject(object, name);

        for (size_t i = 0; i < result->stage_count; i++)
                (void)cJSON_AddItemToArray(
                        list, report_stage_json(&result->stages[i], result->plan.kind));
}

static void add_thresholds(cJSON *analysis, const struct report *report)
{
        cJSON *list = cJSON_AddArrayToObject(analysis, "thresholds");

        for (size_t i = 0; report->thresholds && i < report->thresholds->count; i++) {
                const struct threshold *threshold = &report->thresholds->items[i];
                cJSON *object = cJSON_CreateObject();
                double value;
                bool is_met = threshold_is_met(threshold, &report->main->total,
                                               report->main->seconds, &value);

                (void)cJSON_AddStringToObject(object, "failOn", threshold->text);
                (void)cJSON_AddBoolToObject(object, "failed", is_met);
                (void)cJSON_AddItemToArray(list, object);
        }
}

static void add_setting(cJSON *analysis, const struct report *report)
{
        const struct load *load = report->load;
        bool is_rate = report->main->plan.kind == PLAN_RATE;
        cJSON *object = cJSON_AddObjectToObject(analysis, "run");
        cJSON *urls = cJSON_AddArrayToObject(object, "urls");

        for (const char *const *url = report->urls; *url; url++)
                (void)cJSON_AddItemToArray(urls, cJSON_CreateString(*url));
        (void)cJSON_AddStringToObject(object, "method", report->method);
        (void)cJSON_AddStringToObject(object, "started", report->started);
        (void)cJSON_AddStringToObject(object, "kind", report->blast ? "extreme" : "bench");
        (void)cJSON_AddStringToObject(object, "loop", is_rate ? "open" : "closed");
        if (is_rate)
                (void)cJSON_AddStringToObject(object, "arrivals",
                                              load->arrivals == ARRIVALS_POISSON ? "poisson"
                                                                                 : "constant");
        (void)cJSON_AddBoolToObject(object, "keepAlive", load->keep_alive);
        report_add_number(object, "threads", load->thread_count, 0);
        report_add_number(object, "seed", (double)load->seed, 0);
        report_add_number(object, "think", (double)load->think_ns / 1e6, 3);
        (void)cJSON_AddBoolToObject(object, "stopped", report->main->was_stopped);
        (void)cJSON_AddStringToObject(object, "version", MAGPIE_VERSION);
}

static void add_warnings(cJSON *analysis, const struct report *report)
{
        struct warnings warnings = warnings_find(report);
        cJSON *list = cJSON_AddArrayToObject(analysis, "warnings");

        for (size_t i = 0; i < warnings.count; i++)
                (void)cJSON_AddItemToArray(list, cJSON_CreateString(warnings.texts[i]));
}

cJSON *report_json(const struct report *report)
{
        cJSON *json = cJSON_CreateObject(), *analysis, *series;

        if (!json)
                return NULL;
        add_stages(json, "stages", report->main);
        analysis = cJSON_AddObjectToObject(json, "analysis");
        add_setting(analysis, report);
        (void)cJSON_AddItemToObject(analysis, "total", report_total_json(report->main));
        add_limits(analysis, report->main);
        add_degradation(analysis, report->main);
        add_exhaustions(analysis, report);
        if (report->blast)
                add_blast(analysis, report);
        if (report->ramp)
                add_stages(analysis, "ramp", report->ramp);
        add_thresholds(analysis, report);
        add_warnings(analysis, report);
        series = cJSON_AddArrayToObject(analysis, "series");
        (void)cJSON_AddItemToArray(series, report_series_json("stages", report->main));
        if (report->blast)
                (void)cJSON_AddItemToArray(series, report_series_json("blast", report->blast));
        if (report->ramp)
                (void)cJSON_AddItemToArray(series, report_series_json("ramp", report->ramp));
        return json;
}
