/* What the target says of itself, asked for on a thread of its own: under load it may take long to
 * answer; see watch_parts.h. */
#include "lab/watch_parts.h"

#include "base/buffer.h"
#include "lab/metrics_text.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>

#define TEXT_MAX (4u << 20)
#define ASK_EVERY_MS 250
#define ANSWER_MAX_MS 5000L

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
        struct buffer *text = context;

        return buffer_append(text, bytes, size * count) == 0 ? size * count : 0;
}

/* The first of these that the text has, else NaN. */
static double find_first(struct slice text, const struct slice names[2], bool wants_sum)
{
        for (size_t i = 0; i < 2; i++) {
                struct metric metric = metrics_text_find(text, names[i]);
                if (metric.count > 0)
                        return wants_sum ? metric.sum : metric.max;
        }
        return NAN;
}

static void read_text(struct watched_metrics *metrics, struct slice text)
{
        const struct slice lag[] = {SLICE("magpie_loop_lag_seconds"),
                                    SLICE("nodejs_eventloop_lag_seconds")};
        const struct slice connections[] = {SLICE("magpie_connections"),
                                            SLICE("nginx_connections_active")};
        double loop_lag_ms = find_first(text, lag, false) * 1e3;
        double open = find_first(text, connections, true);

        pthread_mutex_lock(&metrics->lock);
        metrics->loop_lag_ms = loop_lag_ms;
        metrics->connections = open;
        pthread_mutex_unlock(&metrics->lock);
}

/* The answer's status; 0 where there is nobody, -1 where no answer came in time. */
static long ask(CURL *curl, struct buffer *text)
{
        long status = 0;
        CURLcode code;

        buffer_clear(text);
        code = curl_easy_perform(curl);
        if (code == CURLE_OPERATION_TIMEDOUT)
                return -1;
        if (code == CURLE_OK)
                (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        return status;
}

/* From then on it owes an answer, if it does not yet. */
static void note_asking(struct watched_metrics *metrics)
{
        pthread_mutex_lock(&metrics->lock);
        if (metrics->asked_ns == 0)
                metrics->asked_ns = clock_now_ns();
        pthread_mutex_unlock(&metrics->lock);
}

static void note_answer(struct watched_metrics *metrics, long status, struct slice text)
{
        if (status == 200 || status == 0)
                read_text(metrics, status == 200 ? text : SLICE(""));
        if (status < 0)
                return;
        pthread_mutex_lock(&metrics->lock);
        metrics->asked_ns = 0;
        pthread_mutex_unlock(&metrics->lock);
}

/* False when it is time to end. */
static bool pause_between(struct watched_metrics *metrics)
{
        struct timespec until;
        bool goes_on;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += ASK_EVERY_MS * (long)NS_PER_MS;
        until.tv_sec += until.tv_nsec / (long)NS_PER_S;
        until.tv_nsec %= (long)NS_PER_S;
        pthread_mutex_lock(&metrics->lock);
        while (!metrics->is_stopping &&
               pthread_cond_timedwait(&metrics->wake, &metrics->lock, &until) == 0)
                ;
        goes_on = !metrics->is_stopping;
        pthread_mutex_unlock(&metrics->lock);
        return goes_on;
}

static void *metrics_main(void *argument)
{
        struct watched_metrics *metrics = argument;
        struct buffer text;
        long status;

        buffer_init(&text, TEXT_MAX);
        (void)curl_easy_setopt(metrics->curl, CURLOPT_WRITEDATA, &text);
        do {
                note_asking(metrics);
                status = ask(metrics->curl, &text);
                note_answer(metrics, status, buffer_slice(&text));
                if (status > 0 && status != 200 && status != 503)
                        break; /* it has none */
        } while (pause_between(metrics));
        curl_easy_cleanup(metrics->curl); /* at once: the target may count its connections */
        buffer_deinit(&text);
        return NULL;
}

/* Before there is a thread: the caller's URL need not live on. */
static CURL *prepare(const struct watch_options *options)
{
        CURL *curl = curl_easy_init();

        if (!curl)
                return NULL;
        (void)curl_easy_setopt(curl, CURLOPT_URL, options->metrics_url);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_MAX_MS);
        (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
        return curl;
}

int watched_metrics_start(struct watched_metrics *metrics, const struct watch_options *options)
{
        pthread_condattr_t monotonic;
        sigset_t all, before;
        int r;

        *metrics = (struct watched_metrics){.loop_lag_ms = NAN, .connections = NAN};
        pthread_mutex_init(&metrics->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&metrics->wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
        if (!options->metrics_url)
                return 0;
        metrics->curl = prepare(options);
        if (!metrics->curl)
                return -ENOMEM;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -pthread_create(&metrics->thread, NULL, metrics_main, metrics);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        metrics->has_thread = r == 0;
        if (r < 0)
                curl_easy_cleanup(metrics->curl);
        return r;
}

void watched_metrics_stop(struct watched_metrics *metrics)
{
        pthread_mutex_lock(&metrics->lock);
        metrics->is_stopping = true;
        pthread_cond_signal(&metrics->wake);
        pthread_mutex_unlock(&metrics->lock);
        if (metrics->has_thread)
                (void)pthread_join(metrics->thread, NULL);
        pthread_cond_destroy(&metrics->wake);
        pthread_mutex_destroy(&metrics->lock);
}

/* An answer that is due for so long says that a turn of the loop takes as long, or longer. */
void watched_metrics_take(struct watched_metrics *metrics, double values[SAMPLE_COUNT])
{
        pthread_mutex_lock(&metrics->lock);
        values[SAMPLE_LOOP_LAG] = metrics->loop_lag_ms;
        if (metrics->asked_ns > 0 && !isnan(metrics->loop_lag_ms))
                values[SAMPLE_LOOP_LAG] = fmax(metrics->loop_lag_ms,
                                               (double)(clock_now_ns() - metrics->asked_ns) / 1e6);
        values[SAMPLE_CONNECTIONS] = metrics->connections;
        pthread_mutex_unlock(&metrics->lock);
}
