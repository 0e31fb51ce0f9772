/* Log lines for a person; see logview.h. */
#include "cli/logview.h"

#include "base/auto.h"
#include "cli/output.h"

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES (4u << 20)

void logview_init(struct logview *view, FILE *stream, bool json)
{
        *view = (struct logview){.stream = stream, .json = json};
        buffer_init(&view->partial, LINE_MAX_BYTES);
}

void logview_deinit(struct logview *view)
{
        buffer_deinit(&view->partial);
}

static enum style stream_style(const char *name)
{
        if (strcmp(name, "stderr") == 0)
                return STYLE_WARN;
        return strcmp(name, "platform") == 0 ? STYLE_NAME : STYLE_PLAIN;
}

static void logview_print(const struct logview *view, struct slice line)
{
        AUTO(json_free) cJSON *entry = NULL;
        struct slice text;

        if (line.length == 0)
                return;
        entry = view->json ? NULL : cJSON_ParseWithLength(line.data, line.length);
        if (!cJSON_IsObject(entry)) {
                (void)fwrite(line.data, 1, line.length, view->stream);
                (void)fputc('\n', view->stream);
                return;
        }
        text = slice_of(json_text(entry, "text"));
        if (text.length > 0 && text.data[text.length - 1] == '\n')
                text.length--;
        (void)fprintf(view->stream, "%s%s%s %s%-8s%s ", style_on(view->stream, STYLE_DIM),
                      json_text(entry, "time"), style_on(view->stream, STYLE_PLAIN),
                      style_on(view->stream, stream_style(json_text(entry, "stream"))),
                      json_text(entry, "stream"), style_on(view->stream, STYLE_PLAIN));
        print_foreign(view->stream, text);
        (void)fputc('\n', view->stream);
}

int logview_feed(struct logview *view, struct slice data)
{
        struct slice rest;
        const char *end;
        int r = buffer_append(&view->partial, data.data, data.length);

        if (r < 0)
                return r;
        rest = buffer_slice(&view->partial);
        while (rest.length > 0 && (end = memchr(rest.data, '\n', rest.length))) {
                size_t length = (size_t)(end - rest.data);
                logview_print(view, slice_make(rest.data, length));
                rest = slice_skip(rest, length + 1);
        }
        buffer_consume(&view->partial, view->partial.length - rest.length);
        return fflush(view->stream) == 0 ? 0 : -EPIPE;
}

void logview_print_reversed(struct logview *view, struct slice lines)
{
        while (lines.length > 0) {
                const char *before;
                size_t from;

                if (lines.data[lines.length - 1] == '\n')
                        lines.length--;
                before = memrchr(lines.data, '\n', lines.length);
                from = before ? (size_t)(before - lines.data) + 1 : 0;
                logview_print(view, slice_make(lines.data + from, lines.length - from));
                lines.length = from;
        }
}

static size_t line_length(struct slice lines)
{
        const char *end = memchr(lines.data, '\n', lines.length);

        return end ? (size_t)(end - lines.data) + 1 : lines.length;
}

/* How many bytes at the front are lines of one invocation. */
static size_t calls_length(struct slice lines)
{
        AUTO(json_free) cJSON *first = cJSON_ParseWithLength(lines.data, line_length(lines));
        size_t length = line_length(lines);

        while (length < lines.length) {
                struct slice rest = slice_skip(lines, length);
                AUTO(json_free) cJSON *next = cJSON_ParseWithLength(rest.data, line_length(rest));
                if (strcmp(json_text(first, "invocationId"), json_text(next, "invocationId")) != 0)
                        break;
                length += line_length(rest);
        }
        return length;
}

void logview_print_calls(struct logview *view, struct slice lines)
{
        while (lines.length > 0) {
                size_t length = calls_length(lines);
                logview_print_reversed(view, slice_make(lines.data, length));
                lines = slice_skip(lines, length);
        }
}
