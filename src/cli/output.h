/* How the command line speaks: data on stdout, everything else on stderr.
 *
 * Colour and moving lines only where a person watches: on a terminal, and not with NO_COLOR,
 * TERM=dumb or CI in the environment (no-color.org).
 */
#pragma once

#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_NAME };

/* May this stream show colours and rewrite its line? */
bool output_is_lively(FILE *stream);
/* The escape sequence, "" where the stream shows none. End with STYLE_PLAIN. */
const char *style_on(FILE *stream, enum style style);

/* Each is one line on stderr. An error says what was wrong, a hint the next thing to do. */
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_done(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text that somebody else wrote: on a terminal, control characters but tab and newline become
 * visible ("\x1b"), so that a log line cannot drive the terminal. */
void print_foreign(FILE *stream, struct slice text);

/* A JSON value, indented, and a newline. */
void print_json(const cJSON *value);

#define LISTING_COLUMNS_MAX 12

/* Rows of text under headings, columns as wide as their widest cell. */
struct listing {
        const char *const *headings; /* ended by NULL */
        size_t columns;
        char **cells; /* owned */
        size_t count;
};

void listing_init(struct listing *listing, const char *const *headings);
void listing_deinit(struct listing *listing); /* also as AUTO(listing_deinit) */
/* Row by row, from left to right; takes the text over. */
void listing_add(struct listing *listing, char *text);
void listing_print(const struct listing *listing);

#define PROGRESS_MAX 160

/* One line on stderr that changes while something goes on. Silent where it cannot move. */
struct progress {
        bool lively;
        char shown[PROGRESS_MAX]; /* "" while there is no line */
};

void progress_init(struct progress *progress, bool quiet);
void progress_show(struct progress *progress, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
/* Wipes the line; harmless where nothing is shown. */
void progress_clear(struct progress *progress);

/* Fields of a JSON object from outside; what is missing or of another type is "", 0 or false. */
const char *json_text(const cJSON *object, const char *key);
double json_number(const cJSON *object, const char *key);
bool json_flag(const cJSON *object, const char *key);
/* The first item of a list or an object; go on with ->next. NULL where there is none. */
const cJSON *json_first(const cJSON *list);

void json_free(cJSON **value); /* for AUTO(json_free) */
