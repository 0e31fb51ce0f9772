/* The page: its first half, the data, its second half; see report.h. */
#include "base/auto.h"
#include "lab/page.h"
#include "lab/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* JSON inside of a script element: "<" must not begin anything there. In JSON it stands in strings
 * only, where it may be written by its number. */
static int write_data(FILE *file, const cJSON *json)
{
        AUTO(memory_free) char *text = json ? cJSON_PrintUnformatted(json) : strdup("null");

        if (!text)
                return -ENOMEM;
        for (const char *at = text; *at; at++)
                if (*at == '<' ? fputs("\\u003c", file) == EOF : fputc(*at, file) == EOF)
                        return -EIO;
        return 0;
}

static int write_text(FILE *file, const char *text, size_t length)
{
        return fwrite(text, 1, length, file) == length ? 0 : -EIO;
}

int report_page_write(FILE *file, const cJSON *json, const cJSON *baseline, struct err *err)
{
        int r = write_text(file, page_before_data, page_before_length);

        if (r == 0)
                r = write_text(file, "{\"run\":", 7);
        if (r == 0)
                r = write_data(file, json);
        if (r == 0)
                r = write_text(file, ",\"baseline\":", 12);
        if (r == 0)
                r = write_data(file, baseline);
        if (r == 0)
                r = write_text(file, "}", 1);
        if (r == 0)
                r = write_text(file, page_after_data, page_after_length);
        if (r == 0 && fflush(file) == EOF)
                r = -errno;
        return r < 0 ? err_errno(err, r, "writing the page") : 0;
}
