/* Prometheus' text format; see exposition.h. */
#include "gateway/exposition.h"

#include <assert.h>
#include <stdio.h>

static void put(struct exposition *exposition, const char *text, size_t length)
{
        int r = buffer_append(exposition->text, text, length);
        if (r < 0)
                exposition->result = r;
}

static void put_text(struct exposition *exposition, const char *text)
{
        put(exposition, text, strlen(text));
}

void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help)
{
        int r = buffer_printf(exposition->text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                              type);
        if (r < 0)
                exposition->result = r;
}

static void put_label_value(struct exposition *exposition, const char *value)
{
        for (; *value; value++) {
                if (*value == '\n')
                        put_text(exposition, "\\n");
                else if (*value == '"' || *value == '\\')
                        put(exposition, (const char[]){'\\', *value}, 2);
                else
                        put(exposition, value, 1);
        }
}

void exposition_sample(struct exposition *exposition, const char *name,
                       const struct exposition_label *labels, double value)
{
        char number[48];

        put_text(exposition, name);
        for (size_t i = 0; labels && labels[i].name; i++) {
                put_text(exposition, i == 0 ? "{" : ",");
                put_text(exposition, labels[i].name);
                put_text(exposition, "=\"");
                put_label_value(exposition, labels[i].value);
                put_text(exposition, labels[i + 1].name ? "\"" : "\"}");
        }
        /* Counters stay exact: a double holds the integers up to 2^53. */
        if (value > -9e15 && value < 9e15 && value == (double)(int64_t)value)
                (void)snprintf(number, sizeof(number), " %.0f\n", value);
        else
                (void)snprintf(number, sizeof(number), " %.9g\n", value);
        put_text(exposition, number);
}

void exposition_histogram(struct exposition *exposition, const char *name,
                          const struct exposition_label *labels, const uint32_t *bounds_us,
                          const uint64_t *buckets, size_t bucket_count, uint64_t sum_us)
{
        struct exposition_label with_bound[EXPOSITION_LABELS_MAX + 2] = {0};
        char full_name[128], bound[32];
        size_t label_count = 0;
        uint64_t total = 0;

        for (size_t i = 0; i < bucket_count; i++)
                total += buckets[i];
        if (total == 0)
                return;
        for (; labels && labels[label_count].name; label_count++) {
                assert(label_count < EXPOSITION_LABELS_MAX);
                with_bound[label_count] = labels[label_count];
        }
        with_bound[label_count] = (struct exposition_label){.name = "le", .value = bound};

        (void)snprintf(full_name, sizeof(full_name), "%s_bucket", name);
        total = 0;
        for (size_t i = 0; i < bucket_count; i++) {
                total += buckets[i];
                if (i + 1 < bucket_count)
                        (void)snprintf(bound, sizeof(bound), "%.9g", bounds_us[i] / 1e6);
                else
                        (void)snprintf(bound, sizeof(bound), "+Inf");
                exposition_sample(exposition, full_name, with_bound, (double)total);
        }
        (void)snprintf(full_name, sizeof(full_name), "%s_sum", name);
        exposition_sample(exposition, full_name, labels, (double)sum_us / 1e6);
        (void)snprintf(full_name, sizeof(full_name), "%s_count", name);
        exposition_sample(exposition, full_name, labels, (double)total);
}
