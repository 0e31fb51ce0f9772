/* Sentences for people; see err.h. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
        va_list args;

        if (!err)
                return code;

        err->code = code;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        return code;
}

int err_errno(struct err *err, int code, const char *format, ...)
{
        va_list args;
        size_t used;

        if (!err)
                return code;

        err->code = code;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-code));
        return code;
}

void err_prefix(struct err *err, const char *format, ...)
{
        char old[ERR_TEXT_MAX];
        va_list args;
        size_t used;

        if (!err)
                return;

        memcpy(old, err->text, sizeof(old));
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        used = strlen(err->text);
        if (used + 3 < sizeof(err->text)) {
                memcpy(err->text + used, ": ", 2);
                used += 2;
                size_t room = sizeof(err->text) - 1 - used;
                size_t length = strnlen(old, room);
                memcpy(err->text + used, old, length);
                err->text[used + length] = '\0';
        }
}
