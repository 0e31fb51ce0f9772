/* Log lines as a node sends them (one JSON object a line) to lines for a person. */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdio.h>

struct logview {
        FILE *stream;
        bool json;             /* pass the lines on as they are */
        struct buffer partial; /* a line whose end has not come yet */
};

void logview_init(struct logview *view, FILE *stream, bool json);
void logview_deinit(struct logview *view); /* also as AUTO(logview_deinit) */
/* Prints every line that is complete with these bytes. 0; -ENOBUFS for a line without end; -EPIPE
 * where the stream takes no more. */
int logview_feed(struct logview *view, struct slice data);
/* Prints lines that come newest first: the newest call first, of each its lines as they were written, so
 * that a traceback reads from above. */
void logview_print_calls(struct logview *view, struct slice lines);
/* Prints complete lines the other way round: the newest last. */
void logview_print_reversed(struct logview *view, struct slice lines);
