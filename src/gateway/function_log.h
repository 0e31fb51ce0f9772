/* What a function's instances print, kept per invocation: a bounded ring on disk.
 *
 * DATA-DIR/logs/<functionId>/ holds two segments of newline-delimited JSON; the older one goes when
 * the newer is full. Appending is cheap and never blocks: lines are collected in bounded memory and
 * written by the crew; what comes faster than the disk takes it is dropped, and a line says so.
 */
#pragma once

#include "base/slice.h"

#include <stdint.h>

struct crew;
struct function_log;

enum log_stream { LOG_STREAM_STDOUT, LOG_STREAM_STDERR, LOG_STREAM_PLATFORM };

/* The log of one function (all versions of it share the files). NULL without memory. */
struct function_log *function_log_open(const char *data_dir, const char *function_id,
                                       struct crew *crew);
struct function_log *function_log_ref(struct function_log *log);
void function_log_unref(struct function_log *log); /* writes out what waits, on the crew */

/* From any thread. `text` is one or more lines, or a part of a line; it need not be UTF-8. An empty
 * `invocation_id` means that it belongs to none. */
void function_log_append(struct function_log *log, const char *invocation_id,
                         enum log_stream stream, struct slice text, uint64_t unix_ms);
