/* Replays a trace against each keep-alive policy, on virtual time; `./dev bench trace` calls it.
 *
 * Reads from stdin, a function after the other:
 *
 *      seconds 86400           once: how long the trace is
 *      function 128            the memory of its instances, MiB
 *      61000 250               one call: begin and duration in milliseconds, in order of beginning
 *
 * and writes one line of JSON a policy. The only argument is how long a boot takes, in milliseconds.
 */
#include "base/clock.h"
#include "trace_simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_NS (600 * NS_PER_S)

/* The paper's rule -------------------------------------------------------------------------------- */

/* Hybrid histogram policy (Shahrad et al. 2020, section 4.2), without its time series for those whose
 * idle times are mostly beyond the histogram. */
#define HYBRID_HEAD 0.05
#define HYBRID_TAIL 0.99
#define HYBRID_MARGIN 0.10
#define HYBRID_VARIANCE 4.0 /* of the bins' counts, over the square of their mean: its CV of 2 */

static void hybrid_all(uint64_t *warm)
{
        memset(warm, 0xff, (KEEP_ALIVE_BINS + 63) / 64 * sizeof(warm[0]));
}

static void hybrid_plan(const struct idle_times *times, uint64_t *ret_warm)
{
        double counts[KEEP_ALIVE_BINS], sum = 0, squares = 0, so_far = 0, mean;
        size_t head = KEEP_ALIVE_BINS, tail = 0, from, to;

        /* The first bin's count fades on its own; its ratio to the others is what counts. */
        counts[0] = times->far > 0 ? (double)times->total * times->near / times->far : times->near;
        for (size_t i = 1; i < KEEP_ALIVE_BINS; i++)
                counts[i] = times->bins[i];
        for (size_t i = 0; i < KEEP_ALIVE_BINS; i++) {
                sum += counts[i];
                squares += counts[i] * counts[i];
        }
        mean = sum / KEEP_ALIVE_BINS;
        if (sum + times->beyond < 2 * IDLE_SAMPLE || times->beyond > sum ||
            squares / KEEP_ALIVE_BINS - mean * mean < HYBRID_VARIANCE * mean * mean) {
                hybrid_all(
                        ret_warm); /* not representative: kept as long as the histogram is wide */
                return;
        }
        for (size_t i = 0; i < KEEP_ALIVE_BINS; i++) {
                so_far += counts[i];
                if (head == KEEP_ALIVE_BINS && so_far >= HYBRID_HEAD * sum)
                        head = i;
                if (so_far - counts[i] < HYBRID_TAIL * sum)
                        tail = i;
        }
        from = (size_t)((double)head * (1 - HYBRID_MARGIN));
        to = (size_t)((double)(tail + 1) * (1 + HYBRID_MARGIN) + 0.999);
        memset(ret_warm, 0, (KEEP_ALIVE_BINS + 63) / 64 * sizeof(ret_warm[0]));
        for (size_t i = from; i < to && i < KEEP_ALIVE_BINS; i++)
                ret_warm[i / 64] |= 1ull << (i % 64);
}

static const struct policy policies[] = {
        {.name = "fixed", .keep_alive_ns = FIXED_NS},
        {.name = "auto", .keep_alive_ns = FIXED_NS, .is_learned = true},
        {.name = "hybrid", .keep_alive_ns = FIXED_NS, .is_learned = true, .make_plan = hybrid_plan},
        {.name = "forever", .keep_alive_ns = UINT64_MAX},
};

#define POLICY_COUNT (sizeof(policies) / sizeof(policies[0]))

/* Reading ------------------------------------------------------------------------------------------ */

struct replay {
        struct trace trace;
        struct trace_call *calls;
        size_t capacity;
        uint64_t boot_ns;
        struct tally tallies[POLICY_COUNT];
};

static void replay_function(struct replay *replay)
{
        replay->trace.calls = replay->calls;
        if (replay->trace.call_count > 0)
                for (size_t i = 0; i < POLICY_COUNT; i++)
                        trace_simulate(&replay->trace, &policies[i], replay->boot_ns,
                                       &replay->tallies[i]);
        replay->trace.call_count = 0;
}

static void replay_call(struct replay *replay, uint64_t begin_ms, uint64_t run_ms)
{
        if (replay->trace.call_count == replay->capacity) {
                replay->capacity = replay->capacity * 2 + 1024;
                replay->calls = realloc(replay->calls, replay->capacity * sizeof(replay->calls[0]));
                if (!replay->calls)
                        abort();
        }
        /* Calls that take no time would be put ahead of one another, which no trace is exact enough
         * for. */
        replay->calls[replay->trace.call_count++] =
                (struct trace_call){begin_ms * NS_PER_MS, (run_ms > 0 ? run_ms : 1) * NS_PER_MS};
}

static bool replay_line(struct replay *replay, const char *line)
{
        uint64_t begin_ms, run_ms, seconds;

        if (sscanf(line, "%" SCNu64 " %" SCNu64, &begin_ms, &run_ms) == 2) {
                replay_call(replay, begin_ms, run_ms);
                return true;
        }
        if (sscanf(line, "seconds %" SCNu64, &seconds) == 1) {
                replay->trace.end_ns = seconds * NS_PER_S;
                return true;
        }
        replay_function(replay);
        return sscanf(line, "function %lf", &replay->trace.memory_mib) == 1;
}

static void policy_print(const struct policy *policy, const struct tally *tally)
{
        printf("{\"policy\": \"%s\", \"calls\": %" PRIu64 ", \"cold\": %" PRIu64
               ", \"stolen\": %" PRIu64 ", \"ahead\": %" PRIu64 ", \"ahead_unused\": %" PRIu64
               ", \"memory_mib_s\": %.0f, \"wasted_mib_s\": %.0f}\n",
               policy->name, tally->calls, tally->cold, tally->stolen, tally->ahead,
               tally->ahead_unused, tally->memory_mib_s, tally->memory_mib_s - tally->busy_mib_s);
}

int main(int argc, char **argv)
{
        static struct replay replay;
        char line[128];

        replay.boot_ns = strtoull(argc > 1 ? argv[1] : "20", NULL, 10) * NS_PER_MS;
        while (fgets(line, sizeof(line), stdin)) {
                if (!replay_line(&replay, line)) {
                        fprintf(stderr, "trace_replay: '%.*s' is no line of a trace\n",
                                (int)strcspn(line, "\n"), line);
                        return EXIT_FAILURE;
                }
        }
        replay_function(&replay);
        for (size_t i = 0; i < POLICY_COUNT; i++)
                policy_print(&policies[i], &replay.tallies[i]);
        free(replay.calls);
        return EXIT_SUCCESS;
}
