/* What a run must not do: "p99>50ms,errors>0.1%,throughput<1000". Pure. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "lab/tally.h"

#define THRESHOLDS_MAX 32
#define THRESHOLD_TEXT_MAX 64

enum threshold_figure {
        THRESHOLD_MEAN,
        THRESHOLD_MIN,
        THRESHOLD_MAX,
        THRESHOLD_PERCENTILE,
        THRESHOLD_ERRORS,     /* their share */
        THRESHOLD_THROUGHPUT, /* answers a second */
        THRESHOLD_GOODPUT,    /* good ones a second */
};

struct threshold {
        char text[THRESHOLD_TEXT_MAX]; /* as it was written */
        enum threshold_figure figure;
        double share; /* of THRESHOLD_PERCENTILE */
        bool is_below, or_equal;
        double bound; /* nanoseconds, a share, answers a second */
};

struct thresholds {
        size_t count;
        struct threshold items[THRESHOLDS_MAX];
};

/* Appends. -EINVAL and a sentence, -E2BIG. */
int thresholds_parse(struct thresholds *thresholds, struct slice text, struct err *err);

/* Does it hold of this tally? *ret_value gets the figure in the threshold's own unit. A latency of
 * a run without a good answer is beyond every bound. */
bool threshold_is_met(const struct threshold *threshold, const struct tally *tally, double seconds,
                      double *ret_value);
