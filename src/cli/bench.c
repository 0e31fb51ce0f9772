/* `magpie bench URL`, `magpie bench extreme URL`: load on a server, and what came of it. */
#include "cli/bench.h"

#include "base/auto.h"
#include "base/clock.h"
#include "cli/files.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define BASELINE_MAX (64u << 20)

atomic_bool bench_interrupted;

static void on_interrupt(int signal_number)
{
        (void)signal_number;
        atomic_store(&bench_interrupted, true);
}

/* The first Ctrl-C ends the run early, the second one the program. */
static void catch_interrupts(void)
{
        struct sigaction action = {.sa_handler = on_interrupt,
                                   .sa_flags = (int)SA_RESETHAND | SA_RESTART};

        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
}

/* --- files ----------------------------------------------------------------------------------- */

static bool is_whole_report(const cJSON *json)
{
        const cJSON *analysis = cJSON_GetObjectItemCaseSensitive(json, "analysis");
        const cJSON *total = cJSON_GetObjectItemCaseSensitive(analysis, "total");

        return cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(json, "stages")) &&
               cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(analysis, "run")) &&
               cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(analysis, "peak")) &&
               cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(total, "spectrum"));
}

static int bench_read_baseline(struct bench *bench)
{
        AUTO(buffer_deinit) struct buffer text;
        const char *path = bench->words.baseline;
        struct err err;

        if (!path)
                return CLI_OK;
        buffer_init(&text, BASELINE_MAX);
        if (file_read(path, &text, &err) < 0) {
                say_error("%s", err.text);
                return CLI_USAGE;
        }
        bench->baseline = cJSON_ParseWithLength(text.data, text.length);
        if (is_whole_report(bench->baseline))
                return CLI_OK;
        say_error("'%s' is not what an earlier `magpie bench -o json` printed", path);
        return CLI_USAGE;
}

/* A run of minutes should not end with a page that cannot be written. */
static int bench_check_page(const struct bench *bench)
{
        AUTO(file_close) FILE *file = NULL;

        if (!bench->words.html)
                return CLI_OK;
        file = fopen(bench->words.html, "ae");
        if (file)
                return CLI_OK;
        say_error("cannot write '%s': %s", bench->words.html, strerror(errno));
        return CLI_USAGE;
}

static int bench_write_page(const struct bench *bench, const cJSON *json)
{
        AUTO(file_close) FILE *file = NULL;
        struct err err;

        if (!bench->words.html)
                return CLI_OK;
        file = fopen(bench->words.html, "we");
        if (!file) {
                say_error("cannot write '%s': %s", bench->words.html, strerror(errno));
                return CLI_FAILED;
        }
        if (report_page_write(file, json, bench->baseline, &err) < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        say_done("the report is in %s", bench->words.html);
        return CLI_OK;
}

/* --- the run --------------------------------------------------------------------------------- */

static void on_tick(void *context, const struct run_result *so_far, double at_s,
                    const struct run_moment *latest)
{
        struct bench *bench = context;

        if (atomic_load(&bench_interrupted))
                atomic_store(&bench->stop, true);
        (void)bench_sees_death(bench, at_s, latest ? latest->level : 0);
        bench_show_progress(bench, so_far, at_s, latest);
}

static bool on_stage(void *context, const struct run_stage *stage)
{
        bench_table_row(context, stage);
        return true;
}

static int bench_run_once(struct bench *bench, struct run_result *ret_result, struct err *err)
{
        const struct run_observer observer = {
                .context = bench, .on_tick = on_tick, .on_stage = on_stage};

        bench->load.plan = &bench->plan;
        bench->whole_s = (double)plan_duration_ns(&bench->plan) / 1e9;
        return run(&bench->load, bench->watch, &observer, &bench->stop, ret_result, err);
}

/* Somebody may be there all the same, with whom TLS came to nothing. */
static void say_nobody(const struct bench *bench, const struct tally *total)
{
        if (total->failures[FAILURE_TLS] == 0 ||
            total->failures[FAILURE_TLS] < tally_failed(total)) {
                say_error("nobody could be reached: not one connection was made");
                return;
        }
        say_error("the TLS handshake failed on every connection");
        if (!bench->words.insecure)
                say_hint("where the certificate is not one that this system trusts: SSL_CERT_FILE "
                         "names its authority, and -k does not check it");
}

/* What must not be was: exit code 1. */
static int bench_judge(const struct bench *bench, const struct run_result *result)
{
        int exit_code = CLI_OK;

        if (result->total.connected == 0) {
                say_nobody(bench, &result->total);
                exit_code = CLI_FAILED;
        }
        for (size_t i = 0; i < bench->thresholds.count; i++) {
                const struct threshold *threshold = &bench->thresholds.items[i];
                double value;
                char text[24];

                if (!threshold_is_met(threshold, &result->total, result->seconds, &value))
                        continue;
                exit_code = CLI_FAILED;
                if (isinf(value))
                        say_error("%s: there was no good answer", threshold->text);
                else if (threshold->figure == THRESHOLD_ERRORS)
                        say_error("%s: it was %.3f %%", threshold->text, value * 100);
                else if (threshold->figure == THRESHOLD_THROUGHPUT ||
                         threshold->figure == THRESHOLD_GOODPUT)
                        say_error("%s: it was %.1f", threshold->text, value);
                else
                        say_error("%s: it was %s", threshold->text, bench_time(value / 1e6, text));
        }
        return exit_code;
}

/* A function that is not public answers its owner alone, and the lab sends no token by itself. */
static void bench_hint_at_token(const struct run_result *result)
{
        if (result->total.statuses[401] + result->total.statuses[403] > 0)
                say_hint("a function that is not public wants to know who asks: "
                         "-H \"Authorization: Bearer $MAGPIE_TOKEN\"");
}

static int bench_tell(struct bench *bench, const struct report *report)
{
        AUTO(json_free) cJSON *json = report_json(report);
        struct warnings warnings = warnings_find(report);
        int exit_code, judged;

        if (!json) {
                say_error("out of memory");
                return CLI_FAILED;
        }
        if (bench->baseline)
                bench_compare(bench, json);
        if (bench->cli->json)
                print_json(json);
        else
                bench_table_end(bench, report);
        if (bench->baseline && !bench->cli->json)
                bench_table_compare(bench, json);
        for (size_t i = 0; i < warnings.count; i++)
                say_note("%sbeware:%s %s", style_on(stderr, STYLE_WARN),
                         style_on(stderr, STYLE_PLAIN), warnings.texts[i]);
        bench_hint_at_token(report->main);
        exit_code = bench_write_page(bench, json);
        judged = bench_judge(bench, report->main);
        return exit_code == CLI_OK ? judged : exit_code;
}

static int bench_measure(struct bench *bench)
{
        AUTO(run_result_deinit) struct run_result stages = {0}, blast = {0}, ramp = {0};
        struct report report = {
                .urls = (const char *const *)bench->url_texts.items,
                .method = bench->words.method,
                .started = bench->started,
                .load = &bench->load,
                .main = &stages,
                .thresholds = &bench->thresholds,
                .death = bench->death,
        };
        struct err err;
        int r;

        progress_init(&bench->progress, false);
        r = bench->is_extreme ? bench_extreme(bench, &stages, &blast, &ramp, &err)
                              : bench_run_once(bench, &stages, &err);
        progress_clear(&bench->progress);
        if (r < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        /* Where it was ended early, experiments are missing. */
        report.blast = blast.stage_count == 3 ? &blast : NULL;
        report.ramp = ramp.stage_count > 0 ? &ramp : NULL;
        return bench_tell(bench, &report);
}

/* --- the verb -------------------------------------------------------------------------------- */

static bool bench_parse(struct bench *bench, int argc, char **argv, struct arguments *arguments,
                        int *ret_exit)
{
        struct bench_words *words = &bench->words;
        const struct option options[] = {
                {"clients", 'c', OPTION_TEXT, "N",
                 "so many ask, each again when it has its answer (50)", &words->clients},
                {"rate", 'r', OPTION_TEXT, "R",
                 "open loop: R requests a second, whatever becomes of them", &words->rate},
                {"arrivals", 0, OPTION_TEXT, "KIND", "of an open loop: constant or poisson",
                 &words->arrivals},
                {"duration", 'd', OPTION_TEXT, "TIME", "how long (10s)", &words->duration},
                {"requests", 'n', OPTION_TEXT, "COUNT", "how many requests in all",
                 &words->requests},
                {"stages", 0, OPTION_TEXT, "LIST", "CLIENTS:TIME,... one after the other",
                 &words->stages},
                {"rate-stages", 0, OPTION_TEXT, "LIST", "the same of an open loop: RATE:TIME,...",
                 &words->rate_stages},
                {"ramp", 0, OPTION_TEXT, "FROM:TO:TIME", "first of all, from one level to another",
                 &words->ramp},
                {"think", 0, OPTION_TEXT, "TIME", "clients wait between answer and next request",
                 &words->think},
                {"method", 'X', OPTION_TEXT, "METHOD", "GET, or POST where there is a body",
                 &words->method},
                {"header", 'H', OPTION_LIST, "'NAME: VALUE'", "one more; may be repeated",
                 &words->headers},
                {"data", 0, OPTION_TEXT, "TEXT", "the body: TEXT, @FILE, or - for the input",
                 &words->data},
                {"url", 0, OPTION_LIST, "[WEIGHT=]URL", "one more target; may be repeated",
                 &words->urls},
                {"no-keep-alive", 0, OPTION_FLAG, NULL, "a connection for each request",
                 &words->no_keep_alive},
                {"insecure", 'k', OPTION_FLAG, NULL, "do not check the certificate",
                 &words->insecure},
                {"connect-timeout", 0, OPTION_TEXT, "TIME", "for a connection (5s)",
                 &words->connect_timeout},
                {"timeout", 0, OPTION_TEXT, "TIME",
                 "from a request to its whole answer (10s; extreme: 2s)", &words->timeout},
                {"total-timeout", 0, OPTION_TEXT, "TIME",
                 "from when it was due (30s in an open loop)", &words->total_timeout},
                {"threads", 't', OPTION_TEXT, "N", "of the lab (as many as help)", &words->threads},
                {"seed", 0, OPTION_TEXT, "N", "of chance (1)", &words->seed},
                {"pid", 0, OPTION_TEXT, "PID", "watch that process and its children", &words->pid},
                {"cgroup", 0, OPTION_TEXT, "FOLDER", "watch that control group", &words->cgroup},
                {"max-clients", 0, OPTION_TEXT, "N", "extreme: go no further than that",
                 &words->max_clients},
                {"html", 0, OPTION_TEXT, "FILE", "write a page with plots", &words->html},
                {"baseline", 0, OPTION_TEXT, "FILE", "compare with the JSON of an earlier run",
                 &words->baseline},
                {"fail-on", 0, OPTION_TEXT, "LIST", "exit with 1 where 'p99>50ms,errors>0.1%'",
                 &words->fail_on},
                {0},
        };

        return options_parse(bench->cli, &verb_bench, options, argc, argv, arguments, ret_exit);
}

static int bench_run(struct cli *cli, int argc, char **argv)
{
        AUTO(bench_deinit) struct bench bench = {.cli = cli, .process_fd = -1};
        struct arguments arguments;
        time_t now = time(NULL);
        struct tm parts;
        int exit_code;

        if (!bench_parse(&bench, argc, argv, &arguments, &exit_code))
                return exit_code;
        exit_code = bench_read_words(&bench, arguments.count, arguments.items);
        if (exit_code == CLI_OK)
                exit_code = bench_read_baseline(&bench);
        if (exit_code == CLI_OK)
                exit_code = bench_check_page(&bench);
        if (exit_code != CLI_OK)
                return exit_code;
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        (void)gmtime_r(&now, &parts);
        (void)strftime(bench.started, sizeof(bench.started), "%Y-%m-%dT%H:%M:%SZ", &parts);
        exit_code = bench_prepare(&bench);
        if (exit_code != CLI_OK)
                return exit_code;
        catch_interrupts();
        return bench_measure(&bench);
}

const struct verb verb_bench = {
        .name = "bench",
        .arguments = "[extreme] [URL] [OPTIONS]",
        .summary = "put load on a server and measure what becomes of it",
        .about = "Asks URL again and again, and tells how many answers came, how fast, and which "
                 "did not.\n"
                 "In a closed loop a number of clients ask, each again when it has its answer. In "
                 "an open loop\n"
                 "(--rate) requests begin when they are due, and latencies count from then, so "
                 "that a server\n"
                 "that stalls cannot hide it. `extreme` finds where a server breaks: stages up to "
                 "1,000 clients\n"
                 "and on, a blast of twice the limit and the recovery, and what runs out first.\n"
                 "Exit code: 0 it ran, 1 nobody is there or --fail-on says so.",
        .examples = "  magpie bench http://127.0.0.1:8080/healthz -c 64 -d 10s\n"
                    "  magpie bench URL --rate 5000 --arrivals poisson -d 1m --html report.html\n"
                    "  magpie bench URL --stages 100:10s,250:10s,500:10s -o json > before.json\n"
                    "  magpie bench URL -H \"Authorization: Bearer $MAGPIE_TOKEN\"  # private\n"
                    "  magpie bench URL --ramp 0:2000:60s --fail-on 'p99>50ms,errors>0.1%'\n"
                    "  magpie bench extreme URL --pid 4711 --html report.html\n",
        .group = VERB_NODE,
        .shared = VERB_SHOWS,
        .arguments_max = 2,
        .run = bench_run,
};
