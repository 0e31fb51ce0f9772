/* Idle times are noted, and the plan is asked; see keep_alive.h. */
#include "core/provisioner/keep_alive.h"

#define FADE_NEAR_SAMPLES 64u /* both halves of a count fade when they add up to so many */
#define FADE_SAMPLES 128u

void keep_alive_init(struct keep_alive *keep, uint64_t bin_ns)
{
        *keep = (struct keep_alive){.bin_ns = bin_ns, .is_stale = true};
}

/* What was halved so often that nothing is left of it is forgotten. */
static void idle_times_fade(struct idle_times *times)
{
        times->beyond /= 2;
        times->total = times->beyond;
        for (size_t i = 0; i < KEEP_ALIVE_BINS; i++) {
                times->bins[i] /= 2;
                times->total += times->bins[i];
        }
}

static void idle_times_add(struct idle_times *times, uint64_t bin)
{
        uint16_t *nearness = bin == 0 ? &times->near : &times->far;

        *nearness = (uint16_t)(*nearness + IDLE_SAMPLE);
        if (times->near + times->far > FADE_NEAR_SAMPLES * IDLE_SAMPLE) {
                times->near /= 2;
                times->far /= 2;
        }
        if (bin == 0)
                return;
        if (times->total + IDLE_SAMPLE > FADE_SAMPLES * IDLE_SAMPLE)
                idle_times_fade(times);
        if (bin < KEEP_ALIVE_BINS)
                times->bins[bin] = (uint16_t)(times->bins[bin] + IDLE_SAMPLE);
        else
                times->beyond = (uint16_t)(times->beyond + IDLE_SAMPLE);
        times->total += IDLE_SAMPLE;
}

static bool keep_alive_is_warm(const struct keep_alive *keep, uint64_t bin)
{
        return bin < KEEP_ALIVE_BINS && (keep->warm[bin / 64] >> (bin % 64) & 1);
}

/* A busy function ends thousands of idle times a second within the first bin. Once an instance is
 * kept for that, one more of them changes nothing. */
static void keep_alive_learn(struct keep_alive *keep, uint64_t bin)
{
        if (bin > 0 || !keep_alive_is_warm(keep, 0) || !idle_times_are_known(&keep->times))
                keep->is_stale = true;
        idle_times_add(&keep->times, bin);
}

static uint64_t keep_alive_bin(const struct keep_alive *keep, uint64_t since_ns, uint64_t now_ns)
{
        return now_ns > since_ns ? (now_ns - since_ns) / keep->bin_ns : 0;
}

void keep_alive_observe(struct keep_alive *keep, size_t demand, uint64_t now_ns)
{
        while (keep->demand < demand) {
                size_t place = keep->demand++;
                if (place >= KEEP_ALIVE_PLACES)
                        continue;
                if (place >= keep->places) {
                        keep->places = place + 1; /* never wanted before: no idle time ends */
                        continue;
                }
                keep_alive_learn(keep, keep_alive_bin(keep, keep->since_ns[place], now_ns));
        }
        while (keep->demand > demand) {
                size_t place = --keep->demand;
                if (place < KEEP_ALIVE_PLACES)
                        keep->since_ns[place] = now_ns;
        }
}

size_t keep_alive_spare(struct keep_alive *keep, uint64_t now_ns)
{
        size_t spare = 0;

        if (keep->is_stale && keep->demand < keep->places) {
                keep_plan_make(&keep->times, keep->warm);
                keep->is_stale = false;
        }
        for (size_t place = keep->demand; place < keep->places; place++)
                spare += keep_alive_is_warm(keep,
                                            keep_alive_bin(keep, keep->since_ns[place], now_ns));
        return spare;
}
