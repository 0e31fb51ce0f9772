/* From the words of the command line to a load; see bench.h. */
#include "cli/bench.h"

#include "base/auto.h"
#include "base/clock.h"
#include "cli/files.h"
#include "core/registry/function.h"
#include "lab/origin.h"
#include "lab/request.h"
#include "lab/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>

#define BODY_MAX (64u << 20)
#define REQUEST_MAX (BODY_MAX + (1u << 20))
#define DESCRIPTORS_SPARE 64 /* for everything but connections */
#define CLIENTS_OPEN_LOOP 10000
#define THREADS_MAX 64
#define CORES_A_THREAD 4
#define CONNECT_TIMEOUT_MS 5000
#define REQUEST_TIMEOUT_MS 10000
#define REQUEST_TIMEOUT_EXTREME_MS 2000
#define REQUEST_TIMEOUT_LEAST_MS 500
#define TOTAL_TIMEOUT_OPEN_MS 30000
#define SEED_MAX (1l << 53)
#define WEIGHT_MAX 1000000

/* --- numbers and times ----------------------------------------------------------------------- */

static int read_number(const char *option, const char *text, long least, long most,
                       long *ret_number)
{
        if (!text || (number_parse(text, most, ret_number) && *ret_number >= least))
                return CLI_OK;
        return usage_error(&verb_bench, "--%s takes a number from %ld to %ld, not '%s'", option,
                           least, most, text);
}

/* Leaves *ret_ns where nothing was said. */
static int read_time(const char *option, const char *text, uint64_t *ret_ns)
{
        struct err err;
        uint64_t ms;

        if (!text)
                return CLI_OK;
        if (duration_parse(slice_of(text), &ms, &err) < 0 || ms > UINT64_MAX / NS_PER_MS / 4)
                return usage_error(&verb_bench, "--%s: '%s' is not a time such as 500ms or 10s",
                                   option, text);
        *ret_ns = ms * NS_PER_MS;
        return CLI_OK;
}

/* A time-out should land in the stage that it tells of; below half a second a busy machine makes its own. */
static uint64_t request_timeout_default(const struct bench *bench)
{
        uint64_t most_ns = REQUEST_TIMEOUT_EXTREME_MS * NS_PER_MS, half_ns = bench->duration_ns / 2;

        if (!bench->is_extreme)
                return REQUEST_TIMEOUT_MS * NS_PER_MS;
        if (half_ns == 0 || half_ns > most_ns)
                return most_ns;
        return half_ns > REQUEST_TIMEOUT_LEAST_MS * NS_PER_MS
                       ? half_ns
                       : REQUEST_TIMEOUT_LEAST_MS * NS_PER_MS;
}

static int read_times(struct bench *bench)
{
        const struct bench_words *words = &bench->words;
        struct load *load = &bench->load;
        bool is_rate = bench->plan.kind == PLAN_RATE;
        int exit_code;

        load->connect_timeout_ns = CONNECT_TIMEOUT_MS * NS_PER_MS;
        load->request_timeout_ns = request_timeout_default(bench);
        load->total_timeout_ns = is_rate ? TOTAL_TIMEOUT_OPEN_MS * NS_PER_MS : 0;
        exit_code = read_time("think", words->think, &load->think_ns);
        if (exit_code == CLI_OK)
                exit_code = read_time("connect-timeout", words->connect_timeout,
                                      &load->connect_timeout_ns);
        if (exit_code == CLI_OK)
                exit_code = read_time("timeout", words->timeout, &load->request_timeout_ns);
        if (exit_code == CLI_OK)
                exit_code =
                        read_time("total-timeout", words->total_timeout, &load->total_timeout_ns);
        if (exit_code == CLI_OK && (load->connect_timeout_ns == 0 || load->request_timeout_ns == 0))
                return usage_error(&verb_bench, "a time-out of 0 leaves no time to answer");
        return exit_code;
}

static unsigned threads_default(void)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN), threads = processors / CORES_A_THREAD;

        return threads < 1 ? 1 : threads > 8 ? 8 : (unsigned)threads;
}

/* Raises the soft limit to the hard one, and tells how many connections that allows. */
static size_t connections_most(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1024 - DESCRIPTORS_SPARE;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT_MAX)
                return INT_MAX - DESCRIPTORS_SPARE;
        return (size_t)limit.rlim_cur - DESCRIPTORS_SPARE;
}

static int read_numbers(struct bench *bench)
{
        const struct bench_words *words = &bench->words;
        struct load *load = &bench->load;
        long threads = threads_default(), seed = 1, requests = 0, pid = 0, most = 0;
        int exit_code = read_number("threads", words->threads, 1, THREADS_MAX, &threads);

        if (exit_code == CLI_OK)
                exit_code = read_number("seed", words->seed, 0, SEED_MAX, &seed);
        if (exit_code == CLI_OK)
                exit_code = read_number("requests", words->requests, 1, LONG_MAX, &requests);
        if (exit_code == CLI_OK)
                exit_code = read_number("pid", words->pid, 1, INT_MAX, &pid);
        if (exit_code == CLI_OK)
                exit_code = read_number("max-clients", words->max_clients, 1, INT_MAX, &most);
        load->thread_count = (unsigned)threads;
        load->seed = (uint64_t)seed;
        load->requests_max = (uint64_t)requests;
        bench->pid = (pid_t)pid;
        bench->clients_asked = (size_t)most;
        return exit_code;
}

static int read_arrivals(struct bench *bench)
{
        const char *text = bench->words.arrivals;

        bench->load.arrivals = ARRIVALS_CONSTANT;
        if (!text || strcmp(text, "constant") == 0)
                return CLI_OK;
        bench->load.arrivals = ARRIVALS_POISSON;
        if (strcmp(text, "poisson") == 0)
                return CLI_OK;
        return usage_error(&verb_bench, "--arrivals takes constant or poisson, not '%s'", text);
}

/* --- what is asked --------------------------------------------------------------------------- */

static int read_body(struct bench *bench)
{
        const char *data = bench->words.data;
        struct err err;
        int r;

        buffer_init(&bench->body, BODY_MAX);
        if (!data)
                return CLI_OK;
        if (strcmp(data, "-") == 0)
                r = fd_read_all(STDIN_FILENO, "the input", &bench->body, &err);
        else if (*data == '@')
                r = file_read(data + 1, &bench->body, &err);
        else if (buffer_append_text(&bench->body, data) < 0)
                r = err_set(&err, -EFBIG, "the body is too large");
        else
                r = 0;
        return r < 0 ? usage_error(&verb_bench, "%s", err.text) : CLI_OK;
}

/* "3=http://..." has weight 3. */
static const char *take_weight(const char *text, double *ret_weight)
{
        size_t digits = strspn(text, "0123456789");

        *ret_weight = 1;
        if (digits == 0 || digits > 7 || text[digits] != '=')
                return text;
        *ret_weight = (double)strtol(text, NULL, 10);
        return text + digits + 1;
}

/* Adds a target; its weight stays in weight_until until all are known. */
static int add_target(struct bench *bench, const char *text)
{
        struct load *load = &bench->load;
        struct target *target = &load->targets[load->target_count];
        struct err err;

        if (load->target_count == LOAD_TARGETS_MAX)
                return usage_error(&verb_bench, "there are more than %d URLs", LOAD_TARGETS_MAX);
        text = take_weight(text, &target->weight_until);
        if (target->weight_until < 1 || target->weight_until > WEIGHT_MAX)
                return usage_error(&verb_bench, "a weight is a number from 1 to %d", WEIGHT_MAX);
        if (url_parse(slice_of(text), &bench->urls[load->target_count], &err) < 0)
                return usage_error(&verb_bench, "%s", err.text);
        text_list_add(&bench->url_texts, text_copy(text));
        load->target_count++;
        return CLI_OK;
}

static void spread_weights(struct load *load)
{
        double sum = 0, until = 0;

        for (size_t i = 0; i < load->target_count; i++)
                sum += load->targets[i].weight_until;
        for (size_t i = 0; i < load->target_count; i++) {
                until += load->targets[i].weight_until / sum;
                load->targets[i].weight_until = until;
        }
}

static int write_requests(struct bench *bench)
{
        struct load *load = &bench->load;
        struct request_form form = {
                .method = slice_of(bench->words.method),
                .has_body = bench->words.data != NULL,
                .body = buffer_slice(&bench->body),
                .keep_alive = load->keep_alive,
        };
        struct err err;

        if (bench->words.headers.count > REQUEST_HEADERS_MAX)
                return usage_error(&verb_bench, "there are more than %d headers",
                                   REQUEST_HEADERS_MAX);
        for (size_t i = 0; i < bench->words.headers.count; i++)
                form.headers[form.header_count++] = slice_of(bench->words.headers.items[i]);
        for (size_t i = 0; i < load->target_count; i++) {
                form.url = &bench->urls[i];
                buffer_init(&bench->requests[i], REQUEST_MAX);
                if (request_write(&bench->requests[i], &form, &err) < 0)
                        return usage_error(&verb_bench, "%s", err.text);
                load->targets[i].bytes = buffer_slice(&bench->requests[i]);
                load->targets[i].is_head = strcmp(bench->words.method, "HEAD") == 0;
        }
        return CLI_OK;
}

static int read_targets(struct bench *bench, int argument_count, char **arguments)
{
        int exit_code = CLI_OK;

        if (argument_count > 1)
                return usage_error(&verb_bench, "'%s' is one too many: --url says more targets",
                                   arguments[1]);
        if (argument_count == 1)
                exit_code = add_target(bench, arguments[0]);
        for (size_t i = 0; i < bench->words.urls.count && exit_code == CLI_OK; i++)
                exit_code = add_target(bench, bench->words.urls.items[i]);
        if (exit_code == CLI_OK && bench->load.target_count == 0)
                return usage_error(&verb_bench, "whom? magpie bench URL");
        spread_weights(&bench->load);
        return exit_code;
}

int bench_read_words(struct bench *bench, int argument_count, char **arguments)
{
        struct bench_words *words = &bench->words;
        struct err err;
        int exit_code;

        bench->is_extreme = argument_count > 0 && strcmp(arguments[0], "extreme") == 0;
        if (!words->method)
                words->method = words->data ? "POST" : "GET";
        bench->load.keep_alive = !words->no_keep_alive;
        exit_code = read_targets(bench, argument_count - bench->is_extreme,
                                 arguments + bench->is_extreme);
        if (exit_code == CLI_OK)
                exit_code = read_time("duration", words->duration, &bench->duration_ns);
        if (exit_code == CLI_OK)
                exit_code = bench_read_plan(bench);
        if (exit_code == CLI_OK)
                exit_code = read_times(bench);
        if (exit_code == CLI_OK)
                exit_code = read_numbers(bench);
        if (exit_code == CLI_OK)
                exit_code = read_arrivals(bench);
        if (exit_code == CLI_OK && words->fail_on &&
            thresholds_parse(&bench->thresholds, slice_of(words->fail_on), &err) < 0)
                exit_code = usage_error(&verb_bench, "%s", err.text);
        if (exit_code == CLI_OK)
                exit_code = read_body(bench);
        return exit_code == CLI_OK ? write_requests(bench) : exit_code;
}

/* --- making ready ---------------------------------------------------------------------------- */

static int find_origins(struct bench *bench)
{
        struct load *load = &bench->load;
        struct err err;

        for (size_t i = 0; i < load->target_count; i++) {
                struct origin *found = &load->origins[load->origin_count];
                size_t at = 0;

                if (origin_find(&bench->urls[i], (unsigned)(load->connect_timeout_ns / NS_PER_MS),
                                found, &err) < 0) {
                        say_error("%s", err.text);
                        return CLI_FAILED;
                }
                while (!origin_equal(&load->origins[at], found))
                        at++;
                load->targets[i].origin = at;
                load->origin_count += at == load->origin_count;
        }
        return CLI_OK;
}

/* A thread without a client would be given its share of the requests, and make none. */
static void limit_threads(struct load *load, double clients)
{
        if (load->thread_count > clients)
                load->thread_count = clients < 1 ? 1 : (unsigned)clients;
}

/* Do the descriptors suffice for what the plan wants? */
static int check_clients(struct bench *bench)
{
        struct load *load = &bench->load;
        long open_most = CLIENTS_OPEN_LOOP;
        size_t most = connections_most() / load->origin_count;
        double wanted = bench->plan.count > 0 ? plan_level_max(&bench->plan) : 1;
        int exit_code;

        bench->clients_most = most;
        if (bench->plan.kind == PLAN_RATE) {
                open_most = most < CLIENTS_OPEN_LOOP ? (long)most : CLIENTS_OPEN_LOOP;
                exit_code = read_number("clients", bench->words.clients, 1, (long)most, &open_most);
                load->clients_max = (size_t)open_most;
                limit_threads(load, (double)open_most);
                return exit_code;
        }
        if (!bench->is_extreme)
                limit_threads(load, wanted);
        if (wanted <= (double)most)
                return CLI_OK;
        say_error("%.0f clients need more descriptors than a process may have here: %zu are the "
                  "most",
                  wanted, most);
        say_hint("ulimit -n, or fs.nr_open, or several magpie bench side by side");
        return CLI_USAGE;
}

static int open_watch(struct bench *bench)
{
        AUTO(memory_free) char *metrics = NULL;
        const struct url *url = &bench->urls[0];
        struct watch_options options = {.pid = bench->pid,
                                        .cgroup = bench->words.cgroup,
                                        .origin = &bench->load.origins[0],
                                        .insecure = bench->words.insecure};
        struct err err;

        /* Who only counts answers gets no requests that he did not ask for. */
        if (!bench->is_extreme && !bench->pid && !bench->words.cgroup && !bench->words.html)
                return CLI_OK;
        if (bench->is_extreme) {
                metrics = text_format("%s://%.*s/metrics", url->is_tls ? "https" : "http",
                                      (int)url->authority.length, url->authority.data);
                options.metrics_url = metrics;
        }
        if (watch_new(&options, &bench->watch, &err) < 0) {
                say_error("%s", err.text);
                return CLI_USAGE;
        }
        if (bench->pid)
                bench->process_fd = pidfd_open(bench->pid, 0);
        return CLI_OK;
}

bool bench_sees_death(struct bench *bench, double at_s, double level)
{
        struct pollfd process = {.fd = bench->process_fd, .events = POLLIN};
        bool is_dead = *bench->death != '\0';

        if (is_dead || poll(&process, 1, 0) < 1)
                return is_dead;
        (void)snprintf(bench->death, sizeof(bench->death),
                       "process %d, which was watched, ended: %.1f s after %s began, at %.0f; "
                       "nothing after that is its own",
                       bench->pid, at_s, bench->phase ? bench->phase : "the run", level);
        return true;
}

static int open_tls(struct bench *bench)
{
        struct load *load = &bench->load;
        bool is_wanted = false;
        struct err err;

        for (size_t i = 0; i < load->origin_count; i++)
                is_wanted = is_wanted || load->origins[i].is_tls;
        if (is_wanted && tls_settings_new(bench->words.insecure, &load->tls, &err) < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        return CLI_OK;
}

int bench_prepare(struct bench *bench)
{
        int exit_code = find_origins(bench);

        if (exit_code == CLI_OK)
                exit_code = check_clients(bench);
        if (exit_code == CLI_OK)
                exit_code = open_tls(bench);
        return exit_code == CLI_OK ? open_watch(bench) : exit_code;
}

void bench_deinit(struct bench *bench)
{
        fd_close(&bench->process_fd);
        watch_free(bench->watch);
        SSL_CTX_free(bench->load.tls);
        cJSON_Delete(bench->baseline);
        for (size_t i = 0; i < bench->load.target_count; i++)
                buffer_deinit(&bench->requests[i]);
        buffer_deinit(&bench->body);
        text_list_deinit(&bench->url_texts);
        text_list_deinit(&bench->words.urls);
        text_list_deinit(&bench->words.headers);
}
