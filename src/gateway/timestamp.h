/* Points in time as people and programs read them: RFC 3339, UTC, milliseconds. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define TIMESTAMP_LENGTH 24
#define TIMESTAMP_SIZE (TIMESTAMP_LENGTH + 1)

/* "2025-01-31T12:00:00.123Z". */
static inline void timestamp_format(uint64_t unix_ms, char ret_text[TIMESTAMP_SIZE])
{
        time_t seconds = (time_t)(unix_ms / 1000);
        struct tm parts;

        (void)gmtime_r(&seconds, &parts);
        (void)snprintf(ret_text, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                       (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)(parts.tm_mon + 1) % 100,
                       (unsigned)parts.tm_mday % 100, (unsigned)parts.tm_hour % 100,
                       (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100,
                       (unsigned)(unix_ms % 1000));
}
