/* Limits, fits, exhaustion, recovery; see analysis.h. */
#include "lab/analysis.h"

#include <math.h>

#define FLAT_GROWTH 1.5 /* p99 of all stages within this factor */
#define LINEAR_FROM 0.8 /* exponents of a power law that count as linear */
#define LINEAR_TO 1.2
#define BETTER_R2 0.02 /* a fit must be so much better to displace a simpler one */
#define CLEAR_R2 0.8   /* a fit that is worse tells of noise */
#define SMOOTH_S 0.45
#define SAME_LEVEL 1.25 /* up to so many times a load is about the same */
#define NORMAL_FACTOR 2
#define NORMAL_MS_LEAST 5
#define NORMAL_ERROR_RATE 0.01
#define STAY_NORMAL_S 1.0

bool stage_is_broken(const struct stage_point *point)
{
        return point->error_rate > BREAKING_ERROR_RATE || point->served < BREAKING_SERVED ||
               point->target_ended;
}

bool stage_is_sustained(const struct stage_point *point)
{
        return point->error_rate <= SUSTAINED_ERROR_RATE && !(point->served < SUSTAINED_SERVED) &&
               !isnan(point->p99_ms) && !point->target_ended;
}

struct limits_found limits_find(const struct stage_point *points, size_t count)
{
        struct limits_found found = {.breaking = NAN};
        bool is_sustained = true;

        for (size_t i = 0; i < count; i++) {
                const struct stage_point *point = &points[i];
                bool is_broken = stage_is_broken(point);

                if (point->is_pause) /* what fails there was begun before */
                        continue;
                found.searched_to = fmax(found.searched_to, point->level);
                if (is_broken && isnan(found.breaking))
                        found.breaking = point->level;
                is_sustained = is_sustained && stage_is_sustained(point);
                if (is_sustained) {
                        found.sustained = fmax(found.sustained, point->level);
                        found.connections = fmax(found.connections, point->connections);
                }
                if (!is_broken && point->throughput > found.peak_throughput) {
                        found.peak_throughput = point->throughput;
                        found.peak_level = point->level;
                }
        }
        return found;
}

/* --- degradation ----------------------------------------------------------------------------- */

static bool is_usable(const struct stage_point *point)
{
        return point->level > 0 && point->p99_ms > 0 && !isnan(point->p99_ms) &&
               !stage_is_broken(point);
}

double growth_ratio(const struct stage_point *from, const struct stage_point *to)
{
        if (!(from->level > 0) || !(to->level > 0) || !(from->p99_ms > 0) || isnan(to->p99_ms))
                return NAN;
        return to->p99_ms / from->p99_ms / (to->level / from->level);
}

/* Weighted least squares of y = a + b x. False where all x are the same. */
static bool fit_line(const double *x, const double *y, const double *weight, size_t count,
                     double *ret_a, double *ret_b)
{
        double sum = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0, divisor;

        for (size_t i = 0; i < count; i++) {
                sum += weight[i];
                sum_x += weight[i] * x[i];
                sum_y += weight[i] * y[i];
                sum_xx += weight[i] * x[i] * x[i];
                sum_xy += weight[i] * x[i] * y[i];
        }
        divisor = sum * sum_xx - sum_x * sum_x;
        if (!(fabs(divisor) > 1e-12 * sum * sum_xx))
                return false;
        *ret_b = (sum * sum_xy - sum_x * sum_y) / divisor;
        *ret_a = (sum_y - *ret_b * sum_x) / sum;
        return true;
}

static double fit_value(enum fit_kind kind, const struct fit *fit, double level)
{
        switch (kind) {
        case FIT_LINEAR:
                return fit->a + fit->b * level;
        case FIT_POWER:
                return fit->a * pow(level, fit->b);
        case FIT_EXPONENTIAL:
                return fit->a * exp(fit->b * level);
        case FIT_COUNT:
                break;
        }
        return NAN;
}

/* Of logarithms. A fit that gives no positive value is none. */
static double fit_r2(enum fit_kind kind, const struct fit *fit, const double *levels,
                     const double *values, size_t count)
{
        double mean = 0, residual = 0, total = 0;

        for (size_t i = 0; i < count; i++)
                mean += log(values[i]) / (double)count;
        for (size_t i = 0; i < count; i++) {
                double fitted = fit_value(kind, fit, levels[i]);
                if (!(fitted > 0))
                        return NAN;
                residual += pow(log(values[i]) - log(fitted), 2);
                total += pow(log(values[i]) - mean, 2);
        }
        return total > 0 ? 1 - residual / total : 1;
}

#define POINTS_MAX 512

static struct fit fit_make(enum fit_kind kind, const double *levels, const double *values,
                           size_t count)
{
        double x[POINTS_MAX], y[POINTS_MAX], weight[POINTS_MAX];
        struct fit fit = {NAN, NAN, NAN};
        bool by_logarithm = kind != FIT_LINEAR;

        for (size_t i = 0; i < count; i++) {
                x[i] = kind == FIT_POWER ? log(levels[i]) : levels[i];
                y[i] = by_logarithm ? log(values[i]) : values[i];
                /* The line, too, is to be right in proportion. */
                weight[i] = by_logarithm ? 1 : 1 / (values[i] * values[i]);
        }
        if (!fit_line(x, y, weight, count, &fit.a, &fit.b))
                return (struct fit){NAN, NAN, NAN};
        if (by_logarithm)
                fit.a = exp(fit.a);
        fit.r2 = fit_r2(kind, &fit, levels, values, count);
        return fit;
}

/* Is `kind` so much better than the best so far that it should displace that simpler one? */
static bool is_better(const struct degradation *degradation, enum fit_kind kind)
{
        double r2 = degradation->fits[kind].r2, best = degradation->fits[degradation->best].r2;

        return !isnan(r2) && (isnan(best) || r2 > best + BETTER_R2);
}

static enum shape shape_of(const struct degradation *degradation)
{
        double exponent = degradation->fits[FIT_POWER].b;

        if (degradation->fits[degradation->best].r2 < CLEAR_R2)
                return SHAPE_UNCLEAR;
        switch (degradation->best) {
        case FIT_LINEAR:
                return degradation->fits[FIT_LINEAR].b > 0 ? SHAPE_LINEAR : SHAPE_SUBLINEAR;
        case FIT_POWER:
                if (exponent < LINEAR_FROM)
                        return SHAPE_SUBLINEAR;
                return exponent <= LINEAR_TO ? SHAPE_LINEAR : SHAPE_SUPERLINEAR;
        case FIT_EXPONENTIAL:
                return degradation->fits[FIT_EXPONENTIAL].b > 0 ? SHAPE_EXPONENTIAL
                                                                : SHAPE_SUBLINEAR;
        case FIT_COUNT:
                break;
        }
        return SHAPE_UNKNOWN;
}

static double mean_ratio(const struct stage_point *points, size_t count)
{
        double sum = 0;
        size_t steps = 0;

        for (size_t i = 1; i < count; i++) {
                double ratio = growth_ratio(&points[i - 1], &points[i]);
                if (isnan(ratio))
                        continue;
                sum += ratio;
                steps++;
        }
        return steps > 0 ? sum / (double)steps : NAN;
}

struct degradation degradation_find(const struct stage_point *points, size_t count)
{
        struct degradation degradation = {.shape = SHAPE_UNKNOWN};
        double levels[POINTS_MAX], values[POINTS_MAX], least = INFINITY, most = 0;
        size_t usable = 0;

        for (size_t i = 0; i < count && usable < POINTS_MAX; i++) {
                if (!is_usable(&points[i]))
                        continue;
                levels[usable] = points[i].level;
                values[usable] = points[i].p99_ms;
                least = fmin(least, values[usable]);
                most = fmax(most, values[usable]);
                usable++;
        }
        degradation.mean_ratio = mean_ratio(points, count);
        for (int kind = 0; kind < FIT_COUNT; kind++) {
                degradation.fits[kind] = (struct fit){NAN, NAN, NAN};
                if (usable >= 3)
                        degradation.fits[kind] =
                                fit_make((enum fit_kind)kind, levels, values, usable);
        }
        if (usable < 3)
                return degradation;
        degradation.best = FIT_LINEAR;
        for (int kind = FIT_POWER; kind < FIT_COUNT; kind++)
                if (is_better(&degradation, (enum fit_kind)kind))
                        degradation.best = (enum fit_kind)kind;
        if (isnan(degradation.fits[degradation.best].r2))
                return degradation;
        degradation.shape = most < FLAT_GROWTH * least ? SHAPE_FLAT : shape_of(&degradation);
        return degradation;
}

const char *shape_name(enum shape shape)
{
        switch (shape) {
        case SHAPE_UNKNOWN:
                return "unknown";
        case SHAPE_FLAT:
                return "flat";
        case SHAPE_UNCLEAR:
                return "unclear";
        case SHAPE_SUBLINEAR:
                return "sub-linear";
        case SHAPE_LINEAR:
                return "linear";
        case SHAPE_SUPERLINEAR:
                return "super-linear";
        case SHAPE_EXPONENTIAL:
                return "exponential";
        }
        return "";
}

const char *fit_name(enum fit_kind kind)
{
        switch (kind) {
        case FIT_LINEAR:
                return "linear";
        case FIT_POWER:
                return "power";
        case FIT_EXPONENTIAL:
                return "exponential";
        case FIT_COUNT:
                break;
        }
        return "";
}

/* --- exhaustion ------------------------------------------------------------------------------ */

static const struct {
        const char *name, *words;
        double share; /* of the limit, at which it has run out */
} resources[RESOURCE_COUNT] = {
        [RESOURCE_CPU] = {"cpu", "CPU", 0.95},
        [RESOURCE_CPU_THREAD] = {"cpuThread", "one thread's CPU", 0.95},
        [RESOURCE_MACHINE] = {"machineCpu", "the machine's CPU", 0.95},
        [RESOURCE_MEMORY] = {"memory", "memory", 0.9},
        [RESOURCE_DESCRIPTORS] = {"descriptors", "descriptors", 0.95},
        [RESOURCE_ACCEPT_QUEUE] = {"acceptQueue", "accept queue", 0.95},
        [RESOURCE_LOOP_LAG] = {"loopLag", "loop lag", 1},
};

const char *resource_name(enum resource resource)
{
        return resources[resource].name;
}

const char *resource_words(enum resource resource)
{
        return resources[resource].words;
}

#define LOOP_LAG_LIMIT_MS 100

static double resource_limit(enum resource resource, const struct sample_limits *limits)
{
        switch (resource) {
        case RESOURCE_CPU:
                return limits->values[SAMPLE_CPU_USER];
        case RESOURCE_CPU_THREAD:
                return limits->values[SAMPLE_BUSIEST_THREAD];
        case RESOURCE_MACHINE:
                return limits->values[SAMPLE_MACHINE_CPU];
        case RESOURCE_MEMORY:
                return limits->values[SAMPLE_MEMORY];
        case RESOURCE_DESCRIPTORS:
                return limits->values[SAMPLE_DESCRIPTORS];
        case RESOURCE_ACCEPT_QUEUE:
                /* Where nobody tells its length, an overflow is still one. */
                return isnan(limits->values[SAMPLE_ACCEPT_QUEUE])
                               ? 1
                               : limits->values[SAMPLE_ACCEPT_QUEUE];
        case RESOURCE_LOOP_LAG:
                return LOOP_LAG_LIMIT_MS;
        case RESOURCE_COUNT:
                break;
        }
        return NAN;
}

static double resource_use(enum resource resource, const struct sample *sample, double limit)
{
        const double *values = sample->values;

        switch (resource) {
        case RESOURCE_CPU:
                return values[SAMPLE_CPU_USER] + values[SAMPLE_CPU_SYSTEM];
        case RESOURCE_CPU_THREAD:
                return values[SAMPLE_BUSIEST_THREAD];
        case RESOURCE_MACHINE:
                return values[SAMPLE_MACHINE_CPU];
        case RESOURCE_MEMORY:
                return values[SAMPLE_MEMORY];
        case RESOURCE_DESCRIPTORS:
                return values[SAMPLE_DESCRIPTORS];
        case RESOURCE_ACCEPT_QUEUE:
                /* It is short, and full only for moments that nobody sees: what it had no room
                 * for is counted. */
                return values[SAMPLE_OVERFLOWS] > 0 ? limit : values[SAMPLE_ACCEPT_QUEUE];
        case RESOURCE_LOOP_LAG:
                return values[SAMPLE_LOOP_LAG];
        case RESOURCE_COUNT:
                break;
        }
        return NAN;
}

/* An overflow or a lag counts at once; of what wavers, the mean of the last half second. */
static double smoothed_use(enum resource resource, const struct sample *samples, size_t index,
                           double limit, double *ret_lab_cpu)
{
        bool wavers = resource == RESOURCE_CPU || resource == RESOURCE_CPU_THREAD ||
                      resource == RESOURCE_MACHINE;
        double sum = 0, lab_sum = 0, from_s = samples[index].at_s - SMOOTH_S;
        size_t count = 0;

        if (!wavers)
                return resource_use(resource, &samples[index], limit);
        for (size_t i = index + 1; i-- > 0 && samples[i].at_s >= from_s;) {
                sum += resource_use(resource, &samples[i], limit);
                lab_sum += samples[i].values[SAMPLE_LAB_CPU];
                count++;
        }
        *ret_lab_cpu = lab_sum / (double)count;
        return count >= 3 ? sum / (double)count : NAN;
}

static struct exhaustion exhaustion_find(enum resource resource, const struct sample *samples,
                                         size_t count, const struct sample_limits *limits)
{
        struct exhaustion found = {.limit = resource_limit(resource, limits), .lab_cpu = NAN};

        for (size_t i = 0; i < count; i++) {
                double use = smoothed_use(resource, samples, i, found.limit, &found.lab_cpu);
                /* Neither NaN is beyond anything. */
                if (!(use >= resources[resource].share * found.limit) || !(found.limit > 0))
                        continue;
                found.is_reached = true;
                found.at_s = samples[i].at_s;
                found.level = samples[i].level;
                found.value = resource == RESOURCE_ACCEPT_QUEUE
                                      ? samples[i].values[SAMPLE_ACCEPT_QUEUE]
                                      : use;
                found.overflows = samples[i].values[SAMPLE_OVERFLOWS];
                break;
        }
        if (resource == RESOURCE_ACCEPT_QUEUE)
                found.limit = limits->values[SAMPLE_ACCEPT_QUEUE];
        return found;
}

static bool is_watched(const struct sample *samples, size_t count)
{
        for (size_t i = 0; i < count; i++)
                for (int resource = 0; resource < RESOURCE_COUNT; resource++)
                        if (!isnan(resource_use((enum resource)resource, &samples[i], 0)))
                                return true;
        return false;
}

struct exhaustions exhaustions_find(const struct sample *samples, size_t count,
                                    const struct sample_limits *limits)
{
        struct exhaustions found = {.first = -1, .is_watched = is_watched(samples, count)};
        const struct exhaustion *of = found.of, *machine = &of[RESOURCE_MACHINE];

        for (int i = 0; i < RESOURCE_COUNT; i++) {
                found.of[i] = exhaustion_find((enum resource)i, samples, count, limits);
                if (i != RESOURCE_MACHINE && of[i].is_reached &&
                    (found.first < 0 || of[i].at_s < of[found.first].at_s))
                        found.first = i;
        }
        if (machine->is_reached &&
            (found.first < 0 || (machine->at_s < of[found.first].at_s &&
                                 machine->level * SAME_LEVEL < of[found.first].level)))
                found.first = RESOURCE_MACHINE;
        return found;
}

/* --- recovery -------------------------------------------------------------------------------- */

struct recovery recovery_find(const struct recovery_moment *moments, size_t count, double end_s,
                              double quiet_p99_ms)
{
        struct recovery recovery = {.quiet_p99_ms = quiet_p99_ms, .normal_ms = NAN};
        double watched_s = count > 0 ? moments[count - 1].at_s - end_s : 0;
        double stay_s = fmin(STAY_NORMAL_S, watched_s / 3), since_s = NAN;

        if (isnan(quiet_p99_ms))
                return recovery;
        recovery.normal_ms = fmax(NORMAL_FACTOR * quiet_p99_ms, NORMAL_MS_LEAST);
        for (size_t i = 0; i < count; i++) {
                const struct recovery_moment *moment = &moments[i];
                double start_s = fmax(moment->at_s - moment->seconds, end_s);

                if (moment->at_s <= end_s)
                        continue;
                if (isnan(moment->p99_ms) || moment->p99_ms > recovery.normal_ms ||
                    moment->error_rate >= NORMAL_ERROR_RATE) {
                        since_s = NAN;
                        continue;
                }
                if (isnan(since_s))
                        since_s = start_s;
                if (moment->at_s - since_s >= stay_s) {
                        recovery.is_recovered = true;
                        recovery.after_s = since_s - end_s;
                        break;
                }
        }
        return recovery;
}
