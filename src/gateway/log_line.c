/* A line of a function's log; see log_line.h. */
#include "gateway/log_line.h"

#include "base/text.h"
#include "gateway/timestamp.h"

#define ESCAPED_MAX 6
#define PREFIX_SIZE 160
#define TAIL "\"}\n"
#define HEAD "{\"time\":\""
#define ID_MEMBER "\",\"invocationId\":"
#define ID_AT (sizeof(HEAD) - 1 + TIMESTAMP_LENGTH + sizeof(ID_MEMBER) - 1)

static const char *stream_name(enum log_stream stream)
{
        static const char *const names[] = {
                [LOG_STREAM_STDOUT] = "stdout",
                [LOG_STREAM_STDERR] = "stderr",
                [LOG_STREAM_PLATFORM] = "platform",
        };
        return names[stream];
}

/* The inside of a JSON string. `out` has room for ESCAPED_MAX bytes a byte. */
static size_t escape(struct slice text, char *out)
{
        static const char digits[] = "0123456789abcdef";
        size_t used = 0;

        while (text.length > 0) {
                size_t length = text_sequence_length(text);
                unsigned char first = (unsigned char)text.data[0];

                if (length == 0) {
                        memcpy(out + used, "\xef\xbf\xbd", 3); /* U+FFFD */
                        used += 3;
                        length = 1;
                } else if (first == '"' || first == '\\') {
                        out[used++] = '\\';
                        out[used++] = (char)first;
                } else if (first == '\t') {
                        memcpy(out + used, "\\t", 2);
                        used += 2;
                } else if (first < 0x20 || first == 0x7f) {
                        memcpy(out + used, "\\u00", 4);
                        out[used + 4] = digits[first >> 4];
                        out[used + 5] = digits[first & 15];
                        used += 6;
                } else {
                        memcpy(out + used, text.data, length);
                        used += length;
                }
                text = slice_skip(text, length);
        }
        return used;
}

static int append_line(struct buffer *lines, struct slice prefix, struct slice text)
{
        int r = buffer_reserve(lines, prefix.length + ESCAPED_MAX * text.length + sizeof(TAIL) - 1);

        if (r < 0)
                return r;
        (void)buffer_append(lines, prefix.data, prefix.length);
        lines->length += escape(text, lines->data + lines->length);
        (void)buffer_append(lines, TAIL, sizeof(TAIL) - 1);
        return 0;
}

uint64_t log_lines_append(struct buffer *lines, const char *invocation_id, enum log_stream stream,
                          struct slice text, uint64_t unix_ms)
{
        const char *quote = invocation_id[0] ? "\"" : "";
        char time[TIMESTAMP_SIZE], prefix[PREFIX_SIZE];
        struct slice rest = text, before, line;

        timestamp_format(unix_ms, time);
        (void)snprintf(prefix, sizeof(prefix),
                       HEAD "%s" ID_MEMBER "%s%s%s,\"stream\":\"%s\",\"text\":\"", time, quote,
                       invocation_id[0] ? invocation_id : "null", quote, stream_name(stream));
        before = slice_of(prefix);
        while (log_line_next(&rest, &line)) {
                if (append_line(lines, before, line) < 0)
                        return log_lines_count(text);
                text = rest;
        }
        return 0;
}

uint64_t log_lines_count(struct slice text)
{
        uint64_t count = text.length > 0 && text.data[text.length - 1] != '\n';

        for (size_t i = 0; i < text.length; i++)
                count += text.data[i] == '\n';
        return count;
}

bool log_line_next(struct slice *text, struct slice *ret_line)
{
        const char *newline = text->length ? memchr(text->data, '\n', text->length) : NULL;
        size_t length = newline ? (size_t)(newline - text->data) : text->length;
        size_t skip = newline ? length + 1 : length;

        if (text->length == 0)
                return false;
        if (length > LOG_TEXT_MAX) {
                length = LOG_TEXT_MAX;
                /* Not inside a character: they have at most three bytes behind the first. */
                while (length > LOG_TEXT_MAX - 3 &&
                       ((unsigned char)text->data[length] & 0xc0) == 0x80)
                        length--;
                skip = length;
        } else if (newline && length > 0 && text->data[length - 1] == '\r') {
                length--;
        }
        *ret_line = slice_make(text->data, length);
        *text = slice_skip(*text, skip);
        return true;
}

bool log_line_is_of(struct slice line, const char *invocation_id)
{
        size_t length = strlen(invocation_id);

        if (line.length < ID_AT || memcmp(line.data, HEAD, sizeof(HEAD) - 1) != 0)
                return false;
        if (length == 0)
                return true;
        line = slice_skip(line, ID_AT);
        return line.length > length + 2 && line.data[0] == '"' &&
               memcmp(line.data + 1, invocation_id, length) == 0 && line.data[length + 1] == '"';
}
