/* The program's own log: one line on stderr, "LEVEL program: text". Only the edges log (apps,
 * gateway, agent loop); libraries return errors. A line is written with one write(2), so lines of
 * several threads and processes do not mix. */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Call once, before threads exist. */
void log_setup(const char *program, enum log_level most);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
