/* Words, tables and progress for people; see output.h. */
#include "cli/output.h"

#include "cli/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define USUAL_WIDTH 80

static bool environment_has(const char *name)
{
        const char *value = getenv(name);
        return value && *value;
}

bool output_is_lively(FILE *stream)
{
        const char *terminal = getenv("TERM");

        return isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0 &&
               !environment_has("NO_COLOR") && !environment_has("CI");
}

const char *style_on(FILE *stream, enum style style)
{
        if (!output_is_lively(stream))
                return "";
        switch (style) {
        case STYLE_PLAIN:
                return "\033[0m";
        case STYLE_BOLD:
                return "\033[1m";
        case STYLE_DIM:
                return "\033[2m";
        case STYLE_GOOD:
                return "\033[32m";
        case STYLE_WARN:
                return "\033[33m";
        case STYLE_BAD:
                return "\033[31m";
        case STYLE_NAME:
                return "\033[36m";
        }
        return "";
}

__attribute__((format(printf, 3, 0))) static void say(enum style style, const char *head,
                                                      const char *format, va_list args)
{
        char *body = NULL;

        if (vasprintf(&body, format, args) < 0)
                return;
        (void)fflush(stdout); /* where both go to one place, what was said first comes first */
        (void)fprintf(stderr, "%s%s%s", style_on(stderr, style), head,
                      style_on(stderr, STYLE_PLAIN));
        print_foreign(stderr, slice_of(body));
        (void)fputc('\n', stderr);
        free(body);
}

void say_error(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say(STYLE_BAD, "magpie: ", format, args);
        va_end(args);
}

void say_hint(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say(STYLE_DIM, "  -> ", format, args);
        va_end(args);
}

void say_note(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say(STYLE_PLAIN, "", format, args);
        va_end(args);
}

void say_done(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        say(STYLE_GOOD, "ok  ", format, args);
        va_end(args);
}

void print_foreign(FILE *stream, struct slice text)
{
        if (!isatty(fileno(stream))) {
                (void)fwrite(text.data, 1, text.length, stream);
                return;
        }
        for (size_t i = 0; i < text.length; i++) {
                unsigned char byte = (unsigned char)text.data[i];
                unsigned char next = i + 1 < text.length ? (unsigned char)text.data[i + 1] : 0;
                if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
                        (void)fprintf(stream, "\\x%02x", byte);
                else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) /* C1 controls in UTF-8 */
                        (void)fprintf(stream, "\\u%04x", text.data[++i] & 0xff);
                else
                        (void)fputc(byte, stream);
        }
}

void print_json(const cJSON *value)
{
        char *text = cJSON_Print(value);

        /* cJSON lays out with tabs; those inside of strings it escapes. */
        for (const char *at = text ? text : ""; *at; at++) {
                if (*at != '\t')
                        (void)putchar(*at);
                else
                        (void)fputs(at[-1] == ':' ? " " : "  ", stdout);
        }
        (void)putchar('\n');
        cJSON_free(text);
}

void listing_init(struct listing *listing, const char *const *headings)
{
        *listing = (struct listing){.headings = headings};
        while (headings[listing->columns])
                listing->columns++;
        assert(listing->columns <= LISTING_COLUMNS_MAX);
}

void listing_deinit(struct listing *listing)
{
        for (size_t i = 0; i < listing->count; i++)
                free(listing->cells[i]);
        free(listing->cells);
        *listing = (struct listing){0};
}

void listing_add(struct listing *listing, char *text)
{
        listing->cells = memory_grow(listing->cells, listing->count + 1, sizeof(*listing->cells));
        listing->cells[listing->count++] = text;
}

/* Of UTF-8: not for the bytes that go on with one. */
static bool begins_character(char byte)
{
        return ((unsigned char)byte & 0xc0) != 0x80;
}

/* Columns a UTF-8 text takes, every character being one wide. */
static size_t text_width(const char *text)
{
        size_t width = 0;

        for (; *text; text++)
                width += begins_character(*text);
        return width;
}

static void listing_measure(const struct listing *listing, size_t widths[LISTING_COLUMNS_MAX])
{
        assert(listing->columns > 0);
        for (size_t column = 0; column < listing->columns; column++)
                widths[column] = text_width(listing->headings[column]);
        for (size_t i = 0; i < listing->count; i++) {
                size_t width = text_width(listing->cells[i]);
                if (width > widths[i % listing->columns])
                        widths[i % listing->columns] = width;
        }
}

/* The last cell of a row needs no padding. */
static void listing_print_cell(const char *text, size_t width, bool last)
{
        print_foreign(stdout, slice_of(text));
        if (last)
                (void)putchar('\n');
        else
                (void)printf("%*s", (int)(width - text_width(text) + 2), "");
}

void listing_print(const struct listing *listing)
{
        size_t widths[LISTING_COLUMNS_MAX];

        listing_measure(listing, widths);
        (void)fputs(style_on(stdout, STYLE_BOLD), stdout);
        for (size_t column = 0; column < listing->columns; column++)
                listing_print_cell(listing->headings[column], widths[column],
                                   column + 1 == listing->columns);
        (void)fputs(style_on(stdout, STYLE_PLAIN), stdout);
        for (size_t i = 0; i < listing->count; i++) {
                size_t column = i % listing->columns;
                listing_print_cell(listing->cells[i], widths[column],
                                   column + 1 == listing->columns);
        }
}

void progress_init(struct progress *progress, bool quiet)
{
        *progress = (struct progress){.lively = !quiet && output_is_lively(stderr)};
}

/* Of the terminal that stderr is. */
static size_t terminal_width(void)
{
        struct winsize size;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return USUAL_WIDTH;
        return size.ws_col;
}

/* The last column stays free: some terminals begin a new line when it is taken. */
static void text_cut(char *text, size_t width)
{
        for (; *text; text++)
                if (begins_character(*text) && width-- == 1) {
                        *text = '\0';
                        return;
                }
}

void progress_show(struct progress *progress, const char *format, ...)
{
        char text[PROGRESS_MAX];
        va_list args;

        if (!progress->lively)
                return;
        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        text_cut(text, terminal_width()); /* only the last row of two could be wiped */
        if (strcmp(text, progress->shown) == 0)
                return;
        memcpy(progress->shown, text, sizeof(text));
        (void)fprintf(stderr, "\r\033[K%s", text);
        (void)fflush(stderr);
}

void progress_clear(struct progress *progress)
{
        if (progress->shown[0])
                (void)fputs("\r\033[K", stderr);
        progress->shown[0] = '\0';
}

const char *json_text(const cJSON *object, const char *key)
{
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
        return text ? text : "";
}

double json_number(const cJSON *object, const char *key)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
        return cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0;
}

bool json_flag(const cJSON *object, const char *key)
{
        return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

void json_free(cJSON **value)
{
        cJSON_Delete(*value);
        *value = NULL;
}

const cJSON *json_first(const cJSON *list)
{
        return list ? list->child : NULL;
}
