/* Reading and judging thresholds; see thresholds.h. */
#include "lab/thresholds.h"

#include "base/clock.h"
#include "base/text.h"
#include "core/registry/function.h"
#include "wire/http_bytes.h"

#include <errno.h>
#include <math.h>

static int refuse(struct slice text, struct err *err)
{
        return err_set(err, -EINVAL,
                       "'%s' is no threshold: write one such as p99>50ms, mean>5ms, errors>0.1%% "
                       "or goodput<1000",
                       text_quote(text).text);
}

/* Digits and perhaps a fraction off the front. */
static bool take_decimal(struct slice *text, double *ret_number)
{
        double number = 0, unit = 1;
        size_t at = 0;

        for (; at < text->length && http_is_digit(text->data[at]); at++)
                number = number * 10 + (text->data[at] - '0');
        if (at == 0 || number > 1e15)
                return false;
        if (at + 1 < text->length && text->data[at] == '.' && http_is_digit(text->data[at + 1]))
                for (at++; at < text->length && http_is_digit(text->data[at]); at++) {
                        unit /= 10;
                        number += unit * (text->data[at] - '0');
                }
        *text = slice_skip(*text, at);
        *ret_number = number;
        return true;
}

/* "p50", "p99.9", "p99_9". */
static bool parse_percentile(struct slice name, double *ret_share)
{
        struct slice rest;
        double whole, fraction = 0;

        if (name.length < 2 || (name.data[0] != 'p' && name.data[0] != 'P'))
                return false;
        rest = slice_skip(name, 1);
        if (!take_decimal(&rest, &whole))
                return false;
        if (rest.length > 1 && rest.data[0] == '_') {
                size_t digits = rest.length - 1;
                rest = slice_skip(rest, 1);
                if (!take_decimal(&rest, &fraction))
                        return false;
                fraction /= pow(10, (double)digits);
        }
        *ret_share = (whole + fraction) / 100;
        return rest.length == 0 && *ret_share > 0 && *ret_share <= 1;
}

static bool parse_figure(struct slice name, struct threshold *threshold)
{
        static const struct {
                struct slice name;
                enum threshold_figure figure;
        } figures[] = {
                {{"mean", 4}, THRESHOLD_MEAN},
                {{"min", 3}, THRESHOLD_MIN},
                {{"max", 3}, THRESHOLD_MAX},
                {{"errors", 6}, THRESHOLD_ERRORS},
                {{"throughput", 10}, THRESHOLD_THROUGHPUT},
                {{"goodput", 7}, THRESHOLD_GOODPUT},
        };

        for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
                if (slice_equal_fold(name, figures[i].name)) {
                        threshold->figure = figures[i].figure;
                        return true;
                }
        threshold->figure = THRESHOLD_PERCENTILE;
        return parse_percentile(name, &threshold->share);
}

/* "50ms", "2.5ms", "1s", "800us"; "0.1%"; "1000". */
static bool parse_bound(struct slice text, struct threshold *threshold)
{
        static const struct {
                struct slice name;
                double factor;
        } units[] = {{{"ns", 2}, 1}, {{"us", 2}, 1e3}, {{"ms", 2}, 1e6}, {{"s", 1}, 1e9}};

        if (!take_decimal(&text, &threshold->bound))
                return false;
        if (threshold->figure == THRESHOLD_THROUGHPUT || threshold->figure == THRESHOLD_GOODPUT)
                return text.length == 0;
        if (threshold->figure == THRESHOLD_ERRORS) {
                threshold->bound /= 100;
                return slice_equal(text, SLICE("%"));
        }
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (slice_equal_fold(text, units[i].name)) {
                        threshold->bound *= units[i].factor;
                        return true;
                }
        return false;
}

static int parse_one(struct thresholds *thresholds, struct slice text, struct err *err)
{
        struct threshold *threshold = &thresholds->items[thresholds->count];
        struct slice whole = http_trim(text), rest;
        size_t mark = 0;

        if (thresholds->count == THRESHOLDS_MAX)
                return err_set(err, -E2BIG, "there are more than %d thresholds", THRESHOLDS_MAX);
        while (mark < whole.length && whole.data[mark] != '<' && whole.data[mark] != '>')
                mark++;
        if (mark == whole.length || whole.length >= THRESHOLD_TEXT_MAX)
                return refuse(text, err);
        *threshold = (struct threshold){.is_below = whole.data[mark] == '<'};
        memcpy(threshold->text, whole.data, whole.length);
        rest = slice_skip(whole, mark + 1);
        if (rest.length > 0 && rest.data[0] == '=') {
                threshold->or_equal = true;
                rest = slice_skip(rest, 1);
        }
        if (!parse_figure(http_trim(slice_make(whole.data, mark)), threshold) ||
            !parse_bound(http_trim(rest), threshold))
                return refuse(text, err);
        thresholds->count++;
        return 0;
}

int thresholds_parse(struct thresholds *thresholds, struct slice text, struct err *err)
{
        int r;

        do {
                const char *comma = text.length > 0 ? memchr(text.data, ',', text.length) : NULL;
                size_t length = comma ? (size_t)(comma - text.data) : text.length;
                r = parse_one(thresholds, slice_make(text.data, length), err);
                text = slice_skip(text, comma ? length + 1 : length);
        } while (r == 0 && text.length > 0);
        return r;
}

static double figure_of(const struct threshold *threshold, const struct tally *tally,
                        double seconds)
{
        bool is_latency = true;
        double value = 0;

        switch (threshold->figure) {
        case THRESHOLD_MEAN:
                value = histogram_mean_ns(&tally->latency);
                break;
        case THRESHOLD_MIN:
                value = (double)tally->latency.min_ns;
                break;
        case THRESHOLD_MAX:
                value = (double)tally->latency.max_ns;
                break;
        case THRESHOLD_PERCENTILE:
                value = (double)histogram_percentile(&tally->latency, threshold->share);
                break;
        case THRESHOLD_ERRORS:
                is_latency = false;
                value = tally_error_rate(tally);
                break;
        case THRESHOLD_THROUGHPUT:
                is_latency = false;
                value = seconds > 0 ? (double)(tally_answers(tally) - tally->after_end) / seconds
                                    : 0;
                break;
        case THRESHOLD_GOODPUT:
                is_latency = false;
                value = seconds > 0 ? (double)(tally->good - tally->good_after_end) / seconds : 0;
                break;
        }
        return is_latency && tally->latency.count == 0 ? INFINITY : value;
}

bool threshold_is_met(const struct threshold *threshold, const struct tally *tally, double seconds,
                      double *ret_value)
{
        double value = figure_of(threshold, tally, seconds);

        *ret_value = value;
        if (isinf(value))
                return true;
        if (value == threshold->bound)
                return threshold->or_equal;
        return threshold->is_below ? value < threshold->bound : value > threshold->bound;
}
