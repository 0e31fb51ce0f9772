/* One line a message on stderr; see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

/* Set once at start-up by the composition root, read-only afterwards. */
static struct {
        const char *program;
        enum log_level most;
} setup = {.program = "magpie", .most = LOG_INFO};

void log_setup(const char *program, enum log_level most)
{
        setup.program = program;
        setup.most = most;
}

void log_line(enum log_level level, const char *format, ...)
{
        static const char *const names[] = {"error", "warn", "info", "debug"};
        char line[LOG_LINE_MAX];
        va_list args;
        int head, body;
        size_t length;

        if (level > setup.most)
                return;

        head = snprintf(line, sizeof(line), "%-5s %s: ", names[level], setup.program);
        va_start(args, format);
        body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
        va_end(args);
        if (body < 0)
                return;
        length = (size_t)head + (size_t)body;
        if (length > sizeof(line) - 2)
                length = sizeof(line) - 2;
        line[length++] = '\n';
        /* Nowhere to report that stderr is gone. */
        if (write(STDERR_FILENO, line, length) < 0)
                return;
}
