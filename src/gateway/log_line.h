/* One line of a function's log, as it is kept and shown:
 *
 *     {"time":"2025-01-31T12:00:00.123Z","invocationId":"01J...","stream":"stdout","text":"hello"}
 *
 * The first two members have fixed places, so that a line is found again without parsing it. What is
 * not UTF-8 becomes U+FFFD. */
#pragma once

#include "base/buffer.h"
#include "gateway/function_log.h"

/* Appends the lines of `text` up to the first that does not fit. Returns how many are lost: that one
 * and all behind it, which are counted only. */
uint64_t log_lines_append(struct buffer *lines, const char *invocation_id, enum log_stream stream,
                          struct slice text, uint64_t unix_ms);

/* What stands behind the last newline is a line too; a long one counts once. */
uint64_t log_lines_count(struct slice text);

/* Takes the next line off `text` that fits into one record: up to a newline (which is dropped, and a
 * carriage return in front of it), or LOG_TEXT_MAX bytes without breaking a character. False at the
 * end. */
bool log_line_next(struct slice *text, struct slice *ret_line);

/* Is this a whole line of that invocation? "" means any. */
bool log_line_is_of(struct slice line, const char *invocation_id);
