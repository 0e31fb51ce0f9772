/* Looks for figures in Prometheus' text format. Pure; the text comes from outside. */
#pragma once

#include "base/slice.h"

struct metric {
        unsigned count; /* samples of that name, whatever their labels */
        double sum, max;
};

/* `name` as a whole: "magpie_connections" does not find "magpie_connections_total". Samples whose
 * value is no finite number are passed over. */
struct metric metrics_text_find(struct slice text, struct slice name);
