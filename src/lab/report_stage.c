/* Stages, totals and series as JSON; see report.h. */
#include "lab/report.h"

#include <math.h>

#define MS 4            /* decimals of milliseconds: a tenth of a microsecond */
#define SERIES_MAX 1200 /* points; more are put together */

static double rounded(double value, int decimals)
{
        double factor = pow(10, decimals);

        return fabs(value) < 1e12 ? round(value * factor) / factor : value;
}

void report_add_number(cJSON *object, const char *name, double value, int decimals)
{
        if (isfinite(value))
                (void)cJSON_AddNumberToObject(object, name, rounded(value, decimals));
        else
                (void)cJSON_AddNullToObject(object, name);
}

static double share_ms(const struct histogram *histogram, double share)
{
        return histogram->count > 0 ? (double)histogram_percentile(histogram, share) / 1e6 : NAN;
}

static void add_latency(cJSON *object, const struct histogram *histogram)
{
        static const struct {
                const char *name;
                double share;
        } shares[] = {{"p50", 0.5},  {"p75", 0.75}, {"p90", 0.9},
                      {"p95", 0.95}, {"p99", 0.99}, {"p99_9", 0.999}};
        bool is_empty = histogram->count == 0;

        report_add_number(object, "mean", is_empty ? NAN : histogram_mean_ns(histogram) / 1e6, MS);
        report_add_number(object, "min", is_empty ? NAN : (double)histogram->min_ns / 1e6, MS);
        for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
                report_add_number(object, shares[i].name, share_ms(histogram, shares[i].share), MS);
        report_add_number(object, "max", is_empty ? NAN : (double)histogram->max_ns / 1e6, MS);
}

/* A histogram that is told in few words. */
static void add_brief(cJSON *object, const char *name, const struct histogram *histogram)
{
        cJSON *brief = cJSON_AddObjectToObject(object, name);

        report_add_number(brief, "count", (double)histogram->count, 0);
        report_add_number(brief, "p50", share_ms(histogram, 0.5), MS);
        report_add_number(brief, "p99", share_ms(histogram, 0.99), MS);
        report_add_number(brief, "max", share_ms(histogram, 1), MS);
}

static void add_errors(cJSON *object, const struct tally *tally)
{
        cJSON *errors = cJSON_AddObjectToObject(object, "errors");
        cJSON *statuses;

        for (int i = 0; i < FAILURE_COUNT; i++)
                report_add_number(errors, failure_name((enum failure)i), (double)tally->failures[i],
                                  0);
        report_add_number(object, "errorRate", tally_error_rate(tally), 6);
        statuses = cJSON_AddObjectToObject(object, "statuses");
        for (int status = 0; status < TALLY_STATUSES; status++) {
                char name[8];
                if (tally->statuses[status] == 0)
                        continue;
                (void)snprintf(name, sizeof(name), "%d", status);
                report_add_number(statuses, name, (double)tally->statuses[status], 0);
        }
}

static void add_lab(cJSON *object, const struct lab_load *lab)
{
        cJSON *own = cJSON_AddObjectToObject(object, "lab");
        double span = lab->span_ns > 0 ? (double)lab->span_ns : NAN;

        report_add_number(own, "cpu", (double)lab->cpu_ns / span, 4);
        report_add_number(own, "cpuBusiest", lab->span_ns > 0 ? lab->busiest : NAN, 4);
        report_add_number(own, "waitedForCpu", (double)lab->waiting_ns / span, 4);
        add_brief(own, "loopLag", &lab->turns);
        if (lab->starts.count > 0)
                add_brief(own, "startLag", &lab->starts);
}

/* What stages and the whole have in common. */
static void add_tally(cJSON *object, const struct tally *tally, double seconds)
{
        double in_time = (double)(tally_answers(tally) - tally->after_end);
        double good_in_time = (double)(tally->good - tally->good_after_end);
        cJSON *part;

        report_add_number(object, "duration", seconds, 3);
        report_add_number(object, "requests", (double)tally_requests(tally), 0);
        report_add_number(object, "throughput", seconds > 0 ? in_time / seconds : 0, 2);
        report_add_number(object, "goodput", seconds > 0 ? good_in_time / seconds : 0, 2);
        add_errors(object, tally);
        add_latency(object, &tally->latency);
        part = cJSON_AddObjectToObject(object, "connections");
        report_add_number(part, "opened", (double)tally->connected, 0);
        report_add_number(part, "failed", (double)tally->connect_failures, 0);
        report_add_number(part, "peak", (double)tally->connections_max, 0);
        add_brief(object, "connecting", &tally->connecting);
        add_brief(object, "rejections", &tally->rejection);
        part = cJSON_AddObjectToObject(object, "bytes");
        report_add_number(part, "received", (double)tally->bytes_in, 0);
        report_add_number(part, "sent", (double)tally->bytes_out, 0);
        add_lab(object, &tally->lab);
}

cJSON *report_stage_json(const struct run_stage *stage, enum plan_kind kind)
{
        cJSON *object = cJSON_CreateObject();
        bool is_rate = kind == PLAN_RATE;
        double connections = (double)stage->tally.connections_max;

        report_add_number(object, "clients", is_rate ? connections : stage->plan.to, 0);
        report_add_number(object, "rate", is_rate ? stage->plan.to : NAN, 3);
        if (stage->plan.from != stage->plan.to)
                report_add_number(object, is_rate ? "rateFrom" : "clientsFrom", stage->plan.from,
                                  3);
        report_add_number(object, "served", report_served(stage, kind), 0);
        add_tally(object, &stage->tally, stage->seconds);
        return object;
}

/* Shares of answers, closer and closer to all of them, and how long they took at most. */
static void add_spectrum(cJSON *object, const struct histogram *histogram)
{
        static const double shares[] = {0,    0.1,   0.2,   0.3,    0.4,    0.5,    0.6,     0.7,
                                        0.75, 0.8,   0.85,  0.9,    0.925,  0.95,   0.975,   0.98,
                                        0.99, 0.995, 0.998, 0.9990, 0.9995, 0.9999, 0.99999, 1};
        cJSON *list = cJSON_AddArrayToObject(object, "spectrum");

        for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
                const double pair[] = {rounded(shares[i] * 100, 4),
                                       rounded(share_ms(histogram, shares[i]), MS)};
                if (histogram->count > 0)
                        (void)cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(pair, 2));
        }
}

/* Eight columns a power of two: as much as can be seen. Each is [from ms, to ms, count]. */
static void add_histogram(cJSON *object, const struct histogram *histogram)
{
        cJSON *list = cJSON_AddArrayToObject(object, "histogram");
        size_t end = histogram->count > 0 ? histogram_bucket(histogram->max_ns) + 1 : 0;

        for (size_t i = 0; i < end; i += 16) {
                uint64_t low, high, ignored, count = 0;
                for (size_t j = i; j < i + 16 && j < HISTOGRAM_BUCKETS; j++)
                        count += histogram->buckets[j];
                histogram_bounds(i, &low, &ignored);
                histogram_bounds(i + 15, &ignored, &high);
                if (count > 0) {
                        const double column[] = {rounded((double)low / 1e6, 6),
                                                 rounded((double)(high + 1) / 1e6, 6),
                                                 (double)count};
                        (void)cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(column, 3));
                }
        }
}

cJSON *report_total_json(const struct run_result *result)
{
        cJSON *object = cJSON_CreateObject();

        add_tally(object, &result->total, result->seconds);
        add_spectrum(object, &result->total.latency);
        add_histogram(object, &result->total.latency);
        return object;
}

/* --- series ---------------------------------------------------------------------------------- */

static void append(cJSON *list, double value, int decimals)
{
        (void)cJSON_AddItemToArray(list, isfinite(value)
                                                 ? cJSON_CreateNumber(rounded(value, decimals))
                                                 : cJSON_CreateNull());
}

/* Several moments as one: counts add up, and of latencies the worst is told. */
static struct run_moment moments_join(const struct run_moment *moments, size_t count)
{
        struct run_moment joined = moments[0];

        for (size_t i = 1; i < count; i++) {
                joined.at_s = moments[i].at_s;
                joined.level = moments[i].level;
                joined.seconds += moments[i].seconds;
                joined.answers += moments[i].answers;
                joined.good += moments[i].good;
                joined.failed += moments[i].failed;
                if (moments[i].connections > joined.connections)
                        joined.connections = moments[i].connections;
                joined.p50_ms = fmax(joined.p50_ms, moments[i].p50_ms);
                joined.p95_ms = fmax(joined.p95_ms, moments[i].p95_ms);
                joined.p99_ms = fmax(joined.p99_ms, moments[i].p99_ms);
                joined.max_ms = fmax(joined.max_ms, moments[i].max_ms);
        }
        return joined;
}

static size_t step_of(size_t count)
{
        return count / SERIES_MAX + 1;
}

static void add_moments(cJSON *object, const struct run_result *result)
{
        static const char *const names[] = {"at",  "level", "connections", "throughput", "errors",
                                            "p50", "p95",   "p99",         "max"};
        cJSON *moments = cJSON_AddObjectToObject(object, "moments");
        cJSON *lists[sizeof(names) / sizeof(names[0])];
        size_t step = step_of(result->moment_count);

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                lists[i] = cJSON_AddArrayToObject(moments, names[i]);
        for (size_t i = 0; i < result->moment_count; i += step) {
                size_t count = step < result->moment_count - i ? step : result->moment_count - i;
                struct run_moment moment = moments_join(result->moments + i, count);
                append(lists[0], moment.at_s, 3);
                append(lists[1], moment.level, 1);
                append(lists[2], (double)moment.connections, 0);
                append(lists[3], (double)moment.answers / moment.seconds, 1);
                append(lists[4], (double)moment.failed / moment.seconds, 1);
                append(lists[5], moment.p50_ms, MS);
                append(lists[6], moment.p95_ms, MS);
                append(lists[7], moment.p99_ms, MS);
                append(lists[8], moment.max_ms, MS);
        }
}

static bool sample_is_known(const struct run_result *result, int figure)
{
        for (size_t i = 0; i < result->sample_count; i++)
                if (isfinite(result->samples[i].values[figure]))
                        return true;
        return false;
}

/* Every so many, the largest of each figure. */
static double samples_join(const struct sample *samples, size_t count, int figure)
{
        double most = NAN;

        for (size_t i = 0; i < count; i++)
                most = fmax(most, samples[i].values[figure]);
        return most;
}

static void add_samples(cJSON *object, const struct run_result *result)
{
        cJSON *samples = cJSON_AddObjectToObject(object, "resources");
        cJSON *limits = cJSON_AddObjectToObject(object, "limits");
        cJSON *at = cJSON_AddArrayToObject(samples, "at");
        size_t step = step_of(result->sample_count);

        for (size_t i = 0; i < result->sample_count; i += step)
                append(at, result->samples[i].at_s, 3);
        for (int figure = 0; figure < SAMPLE_COUNT; figure++) {
                const char *name = sample_name((enum sample_figure)figure);
                cJSON *list;
                if (!sample_is_known(result, figure))
                        continue;
                list = cJSON_AddArrayToObject(samples, name);
                for (size_t i = 0; i < result->sample_count; i += step) {
                        size_t left = result->sample_count - i;
                        append(list,
                               samples_join(result->samples + i, step < left ? step : left, figure),
                               3);
                }
                if (isfinite(result->limits.values[figure]))
                        report_add_number(limits, name, result->limits.values[figure], 3);
        }
}

cJSON *report_series_json(const char *name, const struct run_result *result)
{
        cJSON *object = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(object, "name", name);
        (void)cJSON_AddStringToObject(object, "kind",
                                      result->plan.kind == PLAN_RATE ? "rate" : "clients");
        report_add_number(object, "duration", result->seconds, 3);
        add_moments(object, result);
        add_samples(object, result);
        return object;
}
