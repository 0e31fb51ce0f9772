/* What a run's figures mean: where it broke, how it degraded, what ran out first, when it was
 * normal again. Pure. */
#pragma once

#include "lab/sample.h"

#include <stdbool.h>
#include <stddef.h>

/* What is looked at of a stage. */
struct stage_point {
        double level;       /* clients, or requests a second */
        double p99_ms;      /* NaN where nothing was answered well */
        double error_rate;  /* 0 to 1 */
        double served;      /* share of its clients that got a good answer; NaN: nobody knows */
        double throughput;  /* answers a second */
        double connections; /* that were open at once */
        bool is_pause;      /* it wanted no requests */
        bool target_ended;  /* while it lasted */
};

#define BREAKING_ERROR_RATE 0.5   /* above: broken */
#define SUSTAINED_ERROR_RATE 0.01 /* at most: sustained */
/* A client that hangs fails once a time-out while others are answered a thousand times: so clients
 * are counted, too. */
#define BREAKING_SERVED 0.5   /* below: broken */
#define SUSTAINED_SERVED 0.99 /* at least: sustained */

struct limits_found {
        double sustained; /* the highest level up to which each stage was; 0: not even the first */
        double breaking;  /* the first level that broke; NaN: none */
        double searched_to; /* the highest level that was tried */
        double connections; /* the most that were open at once up to there */
        double peak_throughput, peak_level;
};

bool stage_is_broken(const struct stage_point *point);
bool stage_is_sustained(const struct stage_point *point);
struct limits_found limits_find(const struct stage_point *points, size_t count);

/* --- degradation ----------------------------------------------------------------------------- */

enum fit_kind {
        FIT_LINEAR,      /* p99 = a + b * level */
        FIT_POWER,       /* p99 = a * level ^ b */
        FIT_EXPONENTIAL, /* p99 = a * e ^ (b * level) */
        FIT_COUNT,
};

/* R2 is taken of logarithms for all three, so that they can be compared and a large stage does not
 * outweigh the small ones. */
struct fit {
        double a, b, r2; /* NaN where it cannot be made */
};

enum shape {
        SHAPE_UNKNOWN, /* fewer than three stages with answers */
        SHAPE_FLAT,
        SHAPE_UNCLEAR, /* the best fit has an R2 below 0.8 */
        SHAPE_SUBLINEAR,
        SHAPE_LINEAR,
        SHAPE_SUPERLINEAR,
        SHAPE_EXPONENTIAL,
};

struct degradation {
        enum shape shape;
        enum fit_kind best; /* of known shapes: the fit that names it */
        struct fit fits[FIT_COUNT];
        double mean_ratio; /* of growth_ratio() over all steps; NaN without one */
};

/* Growth of p99 over growth of the level, from one stage to the next: above 1 it gets worse faster
 * than the level grows. NaN where either has no answers or no level. */
double growth_ratio(const struct stage_point *from, const struct stage_point *to);
struct degradation degradation_find(const struct stage_point *points, size_t count);
const char *shape_name(enum shape shape); /* "super-linear" */
const char *fit_name(enum fit_kind kind); /* "power" */

/* --- exhaustion ------------------------------------------------------------------------------ */

enum resource {
        RESOURCE_CPU,          /* of the target's whole share: 95 % */
        RESOURCE_CPU_THREAD,   /* its busiest thread has all of a processor: 95 % */
        RESOURCE_MACHINE,      /* the machine's processors: 95 % */
        RESOURCE_MEMORY,       /* 90 % */
        RESOURCE_DESCRIPTORS,  /* 95 % */
        RESOURCE_ACCEPT_QUEUE, /* 95 % of its length, or it has overflown */
        RESOURCE_LOOP_LAG,     /* 100 ms */
        RESOURCE_COUNT,
};

struct exhaustion {
        bool is_reached;
        double at_s, level;  /* when, and at how many clients */
        double value, limit; /* of an accept queue whose length nobody tells: NaN */
        double overflows;    /* connections a second that an accept queue had no room for */
        double lab_cpu;      /* of the machine's CPU: the processors that the lab itself used */
};

struct exhaustions {
        struct exhaustion of[RESOURCE_COUNT];
        int first;       /* enum resource, or -1: none ran out */
        bool is_watched; /* is anything known of any? */
};

/* A resource has run out where the mean of half a second is beyond its bound. The first is one of the
 * target's own before the machine's CPU, which the lab uses too, if it ran out at about that load. */
struct exhaustions exhaustions_find(const struct sample *samples, size_t count,
                                    const struct sample_limits *limits);
const char *resource_name(enum resource resource);  /* "acceptQueue" */
const char *resource_words(enum resource resource); /* "accept queue" */

/* --- recovery -------------------------------------------------------------------------------- */

struct recovery_moment {
        double at_s, seconds; /* its end, and its length */
        double p99_ms;        /* NaN where nothing was answered well */
        double error_rate;
};

struct recovery {
        bool is_recovered;
        double after_s;      /* from the blast's end until all was normal, and stayed so */
        double normal_ms;    /* p99 up to which it counts as normal; NaN: nobody knows */
        double quiet_p99_ms; /* what it was before; NaN: there was no quiet time */
};

/* Normal: errors below 1 %, and p99 at most twice that of a quiet time (and 5 ms at least, for a
 * quiet server's figures are noise); it must stay so for a second, or for a third of the time
 * watched where that is shorter. */
struct recovery recovery_find(const struct recovery_moment *moments, size_t count, double end_s,
                              double quiet_p99_ms);
