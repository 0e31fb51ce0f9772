/* Which bins of idle time are worth an instance; in keep_alive.h.
 *
 * An instance that is there when the call comes saves a cold start; until it comes, it costs its
 * memory. Let a cold start be worth the memory of KEEP_PRICE bins. Then an instance is to be there
 * in each bin where
 *
 *      KEEP_PRICE * idle times that end in the bin  >=  idle times that have lasted until it,
 *
 * that is, where the chance that the call comes now, given that it has not come so far, pays for the
 * memory. A fixed keep-alive needs no histogram and pays at most twice the best choice, as when one
 * rents skis for as long as buying them would have cost (Karlin et al., "Competitive snoopy
 * caching", 1988); knowing the idle times, one can make the best choice.
 *
 * Booting ahead has a price of its own, so that a plan does not flicker. With it, what a bin is worth
 * depends on those after it: one pass from the end finds the plan of most worth.
 *
 * Few samples are not the truth. Each is spread to its neighbours, and is outvoted by two guesses as
 * long as it is alone: that the function is like any other (the longer a call has not come, the less
 * likely it is to come now), and that it has no memory (calls come by chance, at the rate seen).
 */
#include "core/provisioner/keep_alive.h"

#define KEEP_PRICE 13.0  /* bins; docs/adr/0010 has the measurement */
#define BOOT_PRICE 1.0   /* bins */
#define FIRST_REACH 11.0 /* bins until which an instance is kept while little is known ... */
#define KNOWN_REACH 5.0  /* ... and where all idle times so far ended within the first bin */
#define GUESS_WEIGHT 1.0 /* samples */
#define CHANCE_WEIGHT 4.0
#define SPREAD_SHARE 0.1                    /* of the idle time, to both sides */
#define BEYOND_BINS (2.0 * KEEP_ALIVE_BINS) /* what an idle time beyond the last bin is taken for */

struct outlook {
        double ends[KEEP_ALIVE_BINS];      /* share of idle times that end in the bin */
        double lasts[KEEP_ALIVE_BINS + 1]; /* share that lasts until the bin begins */
};

static void outlook_spread(struct outlook *outlook, size_t bin, size_t width, double weight)
{
        size_t from = bin > width ? bin - width : 1;
        size_t to = bin + width < KEEP_ALIVE_BINS ? bin + width : KEEP_ALIVE_BINS - 1;

        for (size_t i = from; i <= to; i++)
                outlook->ends[i] += weight / (double)(to - from + 1);
}

/* Half for timers, which are exact, half for people, who are not. */
static void outlook_add_samples(struct outlook *outlook, const struct idle_times *times)
{
        for (size_t bin = 1; bin < KEEP_ALIVE_BINS; bin++) {
                double weight = (double)times->bins[bin] / IDLE_SAMPLE;
                size_t width = (size_t)((double)bin * SPREAD_SHARE + 0.5);

                if (times->bins[bin] == 0)
                        continue;
                outlook_spread(outlook, bin, 1, weight / 2);
                outlook_spread(outlook, bin, width > 1 ? width : 1, weight / 2);
        }
}

/* The chance that the call comes in a bin falls like 1 / (offset + bin), and is worth the price until
 * `reach`. */
static void outlook_add_guess(struct outlook *outlook, double reach)
{
        double offset = KEEP_PRICE - reach, lasts = GUESS_WEIGHT;

        for (size_t bin = 1; bin < KEEP_ALIVE_BINS; bin++) {
                double ends = lasts / (offset + (double)bin + 1);

                outlook->ends[bin] += ends;
                lasts -= ends;
        }
}

static void outlook_add_chance(struct outlook *outlook, const struct idle_times *times)
{
        double bins = (double)times->beyond * BEYOND_BINS, lasts = CHANCE_WEIGHT, hazard;

        for (size_t bin = 1; bin < KEEP_ALIVE_BINS; bin++)
                bins += (double)times->bins[bin] * (double)bin;
        hazard = (double)times->total / bins;
        for (size_t bin = 1; bin < KEEP_ALIVE_BINS; bin++) {
                outlook->ends[bin] += lasts * hazard;
                lasts -= lasts * hazard;
        }
}

static void outlook_make(const struct idle_times *times, struct outlook *ret_outlook)
{
        double far = ((double)times->far + 0.5 * IDLE_SAMPLE) /
                     ((double)times->near + times->far + IDLE_SAMPLE);
        double samples = (double)times->total / IDLE_SAMPLE + GUESS_WEIGHT;

        *ret_outlook = (struct outlook){0};
        outlook_add_samples(ret_outlook, times);
        outlook_add_guess(ret_outlook, idle_times_are_known(times) ? KNOWN_REACH : FIRST_REACH);
        if (times->total > 0) {
                outlook_add_chance(ret_outlook, times);
                samples += CHANCE_WEIGHT;
        }
        ret_outlook->lasts[0] = 1;
        ret_outlook->ends[0] = 1 - far;
        ret_outlook->lasts[1] = far;
        for (size_t bin = 1; bin < KEEP_ALIVE_BINS; bin++) {
                ret_outlook->ends[bin] *= far / samples;
                ret_outlook->lasts[bin + 1] = ret_outlook->lasts[bin] - ret_outlook->ends[bin];
        }
}

static double greater(double a, double b)
{
        return a > b ? a : b;
}

void keep_plan_make(const struct idle_times *times, uint64_t *ret_warm)
{
        struct outlook outlook;
        double stays[KEEP_ALIVE_BINS]; /* most worth from the bin on, if one stays ... */
        double boots[KEEP_ALIVE_BINS]; /* ... if one is booted for it ... */
        double without[KEEP_ALIVE_BINS + 1] = {0}; /* ... if none is there as it begins */
        double with = 0;                           /* ... if one is there after it */
        bool is_there = true;

        outlook_make(times, &outlook);
        for (size_t bin = KEEP_ALIVE_BINS; bin-- > 0;) {
                stays[bin] = KEEP_PRICE * outlook.ends[bin] -
                             (outlook.lasts[bin] - outlook.ends[bin] / 2) + with;
                boots[bin] = stays[bin] - BOOT_PRICE * outlook.lasts[bin];
                without[bin] = greater(boots[bin], without[bin + 1]);
                with = greater(stays[bin], without[bin + 1]);
        }
        for (size_t bin = 0; bin < KEEP_ALIVE_BINS; bin++) {
                uint64_t bit = 1ull << (bin % 64);

                is_there = (is_there ? stays[bin] : boots[bin]) > without[bin + 1];
                ret_warm[bin / 64] =
                        is_there ? ret_warm[bin / 64] | bit : ret_warm[bin / 64] & ~bit;
        }
}
