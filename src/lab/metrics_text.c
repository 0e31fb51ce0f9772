/* One sample a line: NAME{LABELS} VALUE [TIME]; see metrics_text.h. */
#include "lab/metrics_text.h"

#include <math.h>
#include <stdlib.h>

#define VALUE_MAX 64

/* Behind the labels, whose values may hold anything once a quote is open. data is NULL where they
 * do not end. */
static struct slice skip_labels(struct slice rest)
{
        bool is_quoted = false;

        if (rest.length == 0 || rest.data[0] != '{')
                return rest;
        for (size_t i = 1; i < rest.length; i++) {
                if (rest.data[i] == '\\' && is_quoted)
                        i++;
                else if (rest.data[i] == '"')
                        is_quoted = !is_quoted;
                else if (rest.data[i] == '}' && !is_quoted)
                        return slice_skip(rest, i + 1);
        }
        return (struct slice){0};
}

static bool parse_value(struct slice rest, double *ret_value)
{
        char text[VALUE_MAX];
        size_t length = 0;
        char *end;

        while (rest.length > 0 && rest.data[0] == ' ')
                rest = slice_skip(rest, 1);
        while (length < rest.length && rest.data[length] != ' ' && length < sizeof(text) - 1) {
                text[length] = rest.data[length];
                length++;
        }
        text[length] = '\0';
        *ret_value = strtod(text, &end);
        return end != text && *end == '\0' && isfinite(*ret_value);
}

struct metric metrics_text_find(struct slice text, struct slice name)
{
        struct metric metric = {0};

        while (text.length > 0) {
                const char *end = memchr(text.data, '\n', text.length);
                size_t length = end ? (size_t)(end - text.data) : text.length;
                struct slice line = slice_make(text.data, length);
                double value;

                text = slice_skip(text, end ? length + 1 : length);
                if (!slice_starts_with(line, name))
                        continue;
                line = slice_skip(line, name.length);
                if (line.length == 0 || (line.data[0] != '{' && line.data[0] != ' '))
                        continue;
                line = skip_labels(line);
                if (line.length == 0 || !parse_value(line, &value))
                        continue;
                if (metric.count == 0 || value > metric.max)
                        metric.max = value;
                metric.sum += value;
                metric.count++;
        }
        return metric;
}
