/* A table that grows while it is measured, progress, and the sentences at the end; see bench.h. */
#include "cli/bench.h"

#include "base/auto.h"

#include <math.h>
#include <string.h>

#define TIME_TEXT 24
#define COUNT_TEXT 32
#define BAR_WIDTH 10

const char *bench_time(double ms, char ret_text[TIME_TEXT])
{
        if (!isfinite(ms))
                return "-";
        if (ms >= 1000)
                (void)snprintf(ret_text, TIME_TEXT, "%.2f s", ms / 1000);
        else if (ms >= 100)
                (void)snprintf(ret_text, TIME_TEXT, "%.0f ms", ms);
        else if (ms >= 10)
                (void)snprintf(ret_text, TIME_TEXT, "%.1f ms", ms);
        else if (ms >= 0.1)
                (void)snprintf(ret_text, TIME_TEXT, "%.2f ms", ms);
        else
                (void)snprintf(ret_text, TIME_TEXT, "%.0f us", ms * 1000);
        return ret_text;
}

/* 1,234,567. */
const char *bench_count(double count, char ret_text[COUNT_TEXT])
{
        char digits[COUNT_TEXT];
        int length = snprintf(digits, sizeof(digits), "%.0f", count);
        size_t at = 0;

        for (int i = 0; i < length && at + 2 < COUNT_TEXT; i++) {
                if (i > 0 && (length - i) % 3 == 0)
                        ret_text[at++] = ',';
                ret_text[at++] = digits[i];
        }
        ret_text[at] = '\0';
        return ret_text;
}

/* Below 10 a rate's fraction says much of it: 0.5. */
static const char *rate_text(double rate, char ret_text[COUNT_TEXT])
{
        if (rate >= 10 || rate == round(rate))
                return bench_count(rate, ret_text);
        (void)snprintf(ret_text, COUNT_TEXT, "%.3g", rate);
        return ret_text;
}

static const char *share_text(double share, char ret_text[TIME_TEXT])
{
        if (share == 0)
                return "0 %";
        (void)snprintf(ret_text, TIME_TEXT, share < 0.0001 ? "<0.01 %%" : "%.2f %%", share * 100);
        return ret_text;
}

static double share_ms(const struct histogram *histogram, double share)
{
        return histogram->count > 0 ? (double)histogram_percentile(histogram, share) / 1e6 : NAN;
}

/* --- rows ------------------------------------------------------------------------------------ */

static bool is_rate(const struct bench *bench)
{
        return bench->plan.kind == PLAN_RATE;
}

static const char *level_text(const struct bench *bench, double level, char ret_text[COUNT_TEXT])
{
        return is_rate(bench) ? rate_text(level, ret_text) : bench_count(level, ret_text);
}

static void print_head(const struct bench *bench)
{
        (void)printf("%s%13s %7s %11s %8s %9s %9s %9s %9s %9s %9s%s\n",
                     style_on(stdout, STYLE_BOLD), is_rate(bench) ? "RATE" : "CLIENTS", "TIME",
                     "ANSWERS/S", "FAILED", "MEAN", "P50", "P95", "P99", "P99.9", "MAX",
                     style_on(stdout, STYLE_PLAIN));
}

static void print_level(const struct bench *bench, const struct run_stage *stage)
{
        char from[COUNT_TEXT], to[COUNT_TEXT], both[2 * COUNT_TEXT + 4];

        if (stage->plan.from == stage->plan.to)
                (void)snprintf(both, sizeof(both), "%s", level_text(bench, stage->plan.to, to));
        else
                (void)snprintf(both, sizeof(both), "%s..%s",
                               level_text(bench, stage->plan.from, from),
                               level_text(bench, stage->plan.to, to));
        (void)printf("%13s", both);
}

void bench_table_row(struct bench *bench, const struct run_stage *stage)
{
        static const double shares[] = {0.5, 0.95, 0.99, 0.999, 1};
        const struct tally *tally = &stage->tally;
        const struct histogram *latency = &tally->latency;
        double answers = (double)(tally_answers(tally) - tally->after_end);
        double failed = tally_error_rate(tally);
        char text[TIME_TEXT], count[COUNT_TEXT];

        if (bench->cli->json)
                return;
        progress_clear(&bench->progress);
        if (bench->rows++ == 0)
                print_head(bench);
        print_level(bench, stage);
        (void)printf(" %5.1f s %11s", stage->seconds,
                     rate_text(stage->seconds > 0 ? answers / stage->seconds : 0, count));
        (void)printf(" %s%8s%s", style_on(stdout, failed > 0 ? STYLE_BAD : STYLE_PLAIN),
                     share_text(failed, text), style_on(stdout, STYLE_PLAIN));
        (void)printf(" %9s",
                     bench_time(latency->count > 0 ? histogram_mean_ns(latency) / 1e6 : NAN, text));
        for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
                (void)printf(" %9s", bench_time(share_ms(latency, shares[i]), text));
        (void)putchar('\n');
        (void)fflush(stdout);
}

/* --- progress -------------------------------------------------------------------------------- */

/* How much of it is done, 0 to 1: by time, or by requests where these end it. */
static double part_done(const struct bench *bench, const struct run_result *so_far, double at_s)
{
        double by_time = (bench->past_s + at_s) / bench->whole_s, by_count = 0;

        if (bench->load.requests_max > 0)
                by_count =
                        (double)tally_requests(&so_far->total) / (double)bench->load.requests_max;
        return fmin(1, fmax(by_time, by_count));
}

static void left_text(double done, double at_s, char ret_text[TIME_TEXT])
{
        double left_s = done > 0 ? at_s * (1 - done) / done : INFINITY;

        if (done >= 1)
                strcpy(ret_text, "last answers");
        else if (!isfinite(left_s) || left_s > 359999)
                *ret_text = '\0';
        else if (left_s >= 60)
                (void)snprintf(ret_text, TIME_TEXT, "%.0f min %02.0f s left", floor(left_s / 60),
                               floor(fmod(left_s, 60)));
        else
                (void)snprintf(ret_text, TIME_TEXT, "%.0f s left", ceil(left_s));
}

void bench_show_progress(struct bench *bench, const struct run_result *so_far, double at_s,
                         const struct run_moment *latest)
{
        double done = part_done(bench, so_far, at_s);
        char bar[BAR_WIDTH + 1], level[COUNT_TEXT], rate[COUNT_TEXT], failed[COUNT_TEXT];
        char p99[TIME_TEXT], left[TIME_TEXT];

        if (!bench->progress.lively || !latest)
                return;
        for (int i = 0; i < BAR_WIDTH; i++)
                bar[i] = (double)i < done * BAR_WIDTH ? '#' : '.';
        bar[BAR_WIDTH] = '\0';
        left_text(done, bench->past_s + at_s, left);
        progress_show(&bench->progress, "[%s] %s%s%s %s: %s/s, p99 %s, %s failed  %s", bar,
                      bench->phase ? bench->phase : "", bench->phase ? ", " : "",
                      level_text(bench, latest->level, level),
                      is_rate(bench) ? "wanted/s" : "clients",
                      rate_text((double)latest->answers / latest->seconds, rate),
                      bench_time(latest->p99_ms, p99),
                      bench_count((double)tally_failed(&so_far->total), failed), left);
}

/* --- the end --------------------------------------------------------------------------------- */

static void print_failures(const struct tally *tally)
{
        char count[COUNT_TEXT], share[TIME_TEXT];

        if (tally_failed(tally) == 0)
                return;
        (void)printf("%s%s failed%s, %s of all:\n", style_on(stdout, STYLE_BAD),
                     bench_count((double)tally_failed(tally), count), style_on(stdout, STYLE_PLAIN),
                     share_text(tally_error_rate(tally), share));
        for (int i = 0; i < FAILURE_COUNT; i++)
                if (tally->failures[i] > 0)
                        (void)printf("%13s  %s\n", bench_count((double)tally->failures[i], count),
                                     failure_words((enum failure)i));
        for (int status = 0; status < TALLY_STATUSES; status++)
                if (tally->statuses[status] > 0 && status / 100 != 2)
                        (void)printf("%13s  with status %d\n",
                                     bench_count((double)tally->statuses[status], count), status);
}

/* Of the stage that had most of them. */
static void print_starved(const struct run_result *result)
{
        char starved[COUNT_TEXT], clients[COUNT_TEXT];
        double most = 0, of = 0;

        for (size_t i = 0; i < result->stage_count; i++) {
                const struct run_stage *stage = &result->stages[i];
                double left_out = stage->plan.to - report_served(stage, result->plan.kind);
                if (left_out > most) {
                        most = left_out;
                        of = stage->plan.to;
                }
        }
        if (most > 0)
                (void)printf("starved: %s of %s clients got no good answer in all their stage\n",
                             bench_count(most, starved), bench_count(of, clients));
}

static void print_limits(const struct bench *bench, const struct run_result *result)
{
        struct limits_found found = report_limits(result);
        struct degradation degradation = report_degradation(result);
        const char *who = is_rate(bench) ? "requests a second" : "clients";
        char a[COUNT_TEXT], b[COUNT_TEXT], c[COUNT_TEXT];

        /* One stage of a plain run is no search for limits. */
        if (result->stage_count < 2 && !bench->is_extreme)
                return;
        (void)printf("sustained: %s %s; most answers: %s a second, at %s\n",
                     level_text(bench, found.sustained, a), who,
                     rate_text(found.peak_throughput, b), level_text(bench, found.peak_level, c));
        if (isnan(found.breaking))
                (void)printf("breaking point: none up to %s %s\n",
                             level_text(bench, found.searched_to, a), who);
        else
                (void)printf(
                        "breaking point: %s %s, where more than half failed or were not served\n",
                        level_text(bench, found.breaking, a), who);
        print_starved(result);
        if (degradation.shape != SHAPE_UNKNOWN)
                (void)printf("degradation: %s (%s fit of p99, R2 %.3f; mean growth ratio %.2f)\n",
                             shape_name(degradation.shape), fit_name(degradation.best),
                             degradation.fits[degradation.best].r2, degradation.mean_ratio);
}

static void print_resources(const struct report *report)
{
        struct exhaustions found = report_exhaustions(report);
        char evidence[128], count[COUNT_TEXT];

        if (report->main->sample_count == 0)
                return;
        if (found.first < 0) {
                (void)printf("first bottleneck: %s\n",
                             found.is_watched ? "none of those watched"
                                              : "unknown, nothing was watched (--pid and --cgroup "
                                                "watch a target on this machine)");
                return;
        }
        report_evidence((enum resource)found.first, &found.of[found.first], evidence,
                        sizeof(evidence));
        (void)printf("first bottleneck: %s at %s: %s\n", resource_words((enum resource)found.first),
                     bench_count(found.of[found.first].level, count), evidence);
}

static void print_recovery(const struct report *report)
{
        struct recovery found;
        char count[COUNT_TEXT], share[TIME_TEXT], normal[TIME_TEXT];

        if (!report->blast)
                return;
        found = report_recovery(report);
        (void)printf("blast of %s: %s failed; ",
                     bench_count(report->blast->plan.stages[1].to, count),
                     share_text(tally_error_rate(&report->blast->stages[1].tally), share));
        if (isnan(found.normal_ms))
                (void)printf("what is normal nobody knows: the first stage was not\n");
        else if (found.is_recovered)
                (void)printf("p99 below %s again after %.1f s\n",
                             bench_time(found.normal_ms, normal), found.after_s);
        else
                (void)printf("not normal again while it was watched\n");
}

void bench_table_end(struct bench *bench, const struct report *report)
{
        const struct run_result *result = report->main;
        const struct tally *total = &result->total;
        char requests[COUNT_TEXT], connections[COUNT_TEXT];

        (void)printf("\n%s requests in %.1f s, %s connections, %.1f MiB received%s\n",
                     bench_count((double)tally_requests(total), requests), result->seconds,
                     bench_count((double)total->connected, connections),
                     (double)total->bytes_in / 1048576, result->was_stopped ? ", ended early" : "");
        print_failures(total);
        print_limits(bench, result);
        print_recovery(report);
        print_resources(report);
        (void)fflush(stdout);
}

/* --- two runs -------------------------------------------------------------------------------- */

static const char *const compared[] = {"throughput", "p50", "p95", "p99", "p99_9"};

#define COMPARED (sizeof(compared) / sizeof(compared[0]))

/* The earlier run's stage of the same level; where there are several, the one that is as far on. */
static const cJSON *find_before(const cJSON *before, const cJSON *stages, const cJSON *now,
                                const char *level)
{
        size_t turn = 0;

        for (const cJSON *at = json_first(stages); at != now; at = at->next)
                turn += json_number(at, level) == json_number(now, level);
        for (const cJSON *at = json_first(before); at; at = at->next)
                if (json_number(at, level) == json_number(now, level) && turn-- == 0)
                        return at;
        return NULL;
}

void bench_compare(const struct bench *bench, cJSON *json)
{
        const char *level = is_rate(bench) ? "rate" : "clients";
        const cJSON *stages = cJSON_GetObjectItemCaseSensitive(json, "stages");
        const cJSON *before_stages = cJSON_GetObjectItemCaseSensitive(bench->baseline, "stages");
        cJSON *list = cJSON_AddArrayToObject(cJSON_GetObjectItemCaseSensitive(json, "analysis"),
                                             "baseline");

        for (const cJSON *now = json_first(stages); now; now = now->next) {
                const cJSON *before = find_before(before_stages, stages, now, level);
                cJSON *change;
                if (!before)
                        continue;
                change = cJSON_CreateObject();
                (void)cJSON_AddNumberToObject(change, level, json_number(now, level));
                for (size_t i = 0; i < COMPARED; i++) {
                        double a = json_number(before, compared[i]);
                        double b = json_number(now, compared[i]);
                        report_add_number(change, compared[i],
                                          a > 0 && b > 0 ? (b / a - 1) * 100 : NAN, 1);
                }
                (void)cJSON_AddItemToArray(list, change);
        }
}

/* "-12.3 %". */
static char *change_text(const cJSON *change)
{
        return cJSON_IsNumber(change) ? text_format("%+.1f %%", change->valuedouble)
                                      : text_copy("-");
}

void bench_table_compare(const struct bench *bench, const cJSON *json)
{
        static const char *const headings[] = {"AGAINST BEFORE", "ANSWERS/S", "P50", "P95", "P99",
                                               "P99.9",          NULL};
        const cJSON *analysis = cJSON_GetObjectItemCaseSensitive(json, "analysis");
        const cJSON *changes = cJSON_GetObjectItemCaseSensitive(analysis, "baseline");
        AUTO(listing_deinit) struct listing listing;

        listing_init(&listing, headings);
        for (const cJSON *change = json_first(changes); change; change = change->next) {
                listing_add(&listing,
                            text_format("%.10g %s",
                                        json_number(change, is_rate(bench) ? "rate" : "clients"),
                                        is_rate(bench) ? "wanted/s" : "clients"));
                for (size_t i = 0; i < COMPARED; i++)
                        listing_add(&listing, change_text(cJSON_GetObjectItemCaseSensitive(
                                                      change, compared[i])));
        }
        if (listing.count == 0) {
                say_note("the earlier run has no stage like one of these");
                return;
        }
        (void)putchar('\n');
        listing_print(&listing);
        (void)fflush(stdout);
}
