/* Sizes and durations as people write them; in function.h. */
#include "core/registry/function.h"

#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
        const char *name;
        uint64_t factor;
};

/* Powers of 1024 throughout, as container tools have it. Of equal factors the first is written. */
static const struct unit size_units[] = {
        {"TiB", 1ull << 40},
        {"Ti", 1ull << 40},
        {"TB", 1ull << 40},
        {"T", 1ull << 40},
        {"GiB", 1ull << 30},
        {"Gi", 1ull << 30},
        {"GB", 1ull << 30},
        {"G", 1ull << 30},
        {"MiB", 1ull << 20},
        {"Mi", 1ull << 20},
        {"MB", 1ull << 20},
        {"M", 1ull << 20},
        {"KiB", 1ull << 10},
        {"Ki", 1ull << 10},
        {"KB", 1ull << 10},
        {"K", 1ull << 10},
        {"", 1},
        {"B", 1},
};

static const struct unit duration_units[] = {
        {"h", 60ull * 60 * 1000},
        {"m", 60ull * 1000},
        {"s", 1000},
        {"ms", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Digits, then one of the units in any case. -EINVAL, or -ERANGE beyond 64 bits. */
static int quantity_parse(struct slice text, const struct unit *units, size_t unit_count,
                          uint64_t *ret_value)
{
        uint64_t value = 0;
        size_t digits = 0;

        while (digits < text.length && text.data[digits] >= '0' && text.data[digits] <= '9') {
                uint64_t digit = (uint64_t)(text.data[digits++] - '0');
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return -ERANGE;
        }
        if (digits == 0)
                return -EINVAL;
        for (size_t i = 0; i < unit_count; i++)
                if (slice_equal_fold(slice_skip(text, digits), slice_of(units[i].name)))
                        return __builtin_mul_overflow(value, units[i].factor, ret_value) ? -ERANGE
                                                                                         : 0;
        return -EINVAL;
}

/* In the largest unit that divides the value. */
static void quantity_format(uint64_t value, const struct unit *units, size_t unit_count,
                            char *ret_text)
{
        for (size_t i = 0; i < unit_count; i++) {
                if (value % units[i].factor != 0)
                        continue;
                (void)snprintf(ret_text, 24, "%" PRIu64 "%s", value / units[i].factor,
                               units[i].name);
                return;
        }
}

int size_parse(struct slice text, uint64_t *ret_bytes, struct err *err)
{
        uint64_t bytes;
        int r = quantity_parse(text, size_units, COUNT(size_units), &bytes);

        if (r < 0)
                return err_set(err, -EINVAL,
                               "'%s' is not a size: write a whole number and a unit, such as "
                               "512KiB, 128MiB or 1GiB",
                               text_quote(text).text);
        *ret_bytes = bytes;
        return 0;
}

int duration_parse(struct slice text, uint64_t *ret_ms, struct err *err)
{
        uint64_t ms;
        int r = quantity_parse(text, duration_units, COUNT(duration_units), &ms);

        if (r < 0 && !slice_equal(text, SLICE("0")))
                return err_set(err, -EINVAL,
                               "'%s' is not a duration: write a whole number and a unit, such as "
                               "1500ms, 30s, 10m or 1h",
                               text_quote(text).text);
        *ret_ms = r < 0 ? 0 : ms;
        return 0;
}

int keep_alive_parse(struct slice text, uint32_t *ret_ms, struct err *err)
{
        uint64_t ms;

        if (slice_equal(text, SLICE("auto"))) {
                *ret_ms = KEEP_ALIVE_AUTO;
                return 0;
        }
        if (duration_parse(text, &ms, NULL) < 0)
                return err_set(err, -EINVAL,
                               "'%s' is no keep-alive: write auto, or a whole number and a unit, "
                               "such as 30s, 10m or 1h",
                               text_quote(text).text);
        *ret_ms = ms < KEEP_ALIVE_AUTO ? (uint32_t)ms : KEEP_ALIVE_AUTO - 1; /* far too much */
        return 0;
}

void size_format(uint64_t bytes, char *ret_text)
{
        if (bytes == 0)
                memcpy(ret_text, "0", sizeof("0"));
        else
                quantity_format(bytes, size_units, COUNT(size_units), ret_text);
}

void duration_format(uint64_t ms, char *ret_text)
{
        if (ms == 0)
                memcpy(ret_text, "0s", sizeof("0s"));
        else
                quantity_format(ms, duration_units, COUNT(duration_units), ret_text);
}

void keep_alive_format(uint32_t ms, char *ret_text)
{
        if (ms == KEEP_ALIVE_AUTO)
                memcpy(ret_text, "auto", sizeof("auto"));
        else
                duration_format(ms, ret_text);
}
