/* A reason for a person: a code to decide on and a sentence to read.
 *
 * The last parameter of any function whose failure somebody will read is a `struct err *` on the
 * caller's stack. It holds a negative errno and a sentence that says what was being done to what.
 * Passing NULL is allowed where nobody will read it.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define ERR_TEXT_MAX 512

struct err {
        int code;                /* negative errno; 0 while nothing failed */
        char text[ERR_TEXT_MAX]; /* NUL-terminated, cut where it is too long */
};

/* Records `code` (a negative errno) and the sentence; returns `code`, so that a failing function
 * can end with `return err_set(...)`. */
int err_set(struct err *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Like err_set(), and appends ": " and the errno's own words. */
int err_errno(struct err *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of a sentence that is already there. */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
