/* Which function of a source file is the handler; see guess_handler.h.
 *
 * This is no parser: it looks at what lines begin with. When it is wrong, the node says so at
 * registration, in the compiler's words. */
#include "cli/guess_handler.h"

#include "base/auto.h"
#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define SOURCE_BYTES (256u << 10)

static const char *const usual_handlers[] = {"handler", "handle", "lambda_handler", "main", NULL};

/* What comes before the name of a function that can be called from outside. */
static const char *const python_heads[] = {"def ", "async def ", NULL};
static const char *const node_heads[] = {
        "exports.",
        "module.exports.",
        "export async function ",
        "export function ",
        "export const ",
        "export let ",
        NULL,
};
static const char node_list[] = "module.exports = {";

static size_t word_length(struct slice text)
{
        size_t length = 0;

        while (length < text.length &&
               (isalnum((unsigned char)text.data[length]) || strchr("_$", text.data[length])) &&
               text.data[length] != '\0')
                length++;
        return length;
}

/* `module.exports = { handler, other: ... }` on one line: the words before ',', ':' or '}'. */
static void collect_list(struct slice rest, struct text_list *names)
{
        while (rest.length > 0) {
                size_t length = word_length(rest);
                if (length > 0)
                        text_list_add(names, text_copy_span(rest.data, length));
                rest = slice_skip(rest, length > 0 ? length : 1);
        }
}

static void collect_line(struct slice line, const char *const *heads, struct text_list *names)
{
        for (; *heads; heads++) {
                struct slice rest;
                size_t length;
                if (!slice_starts_with(line, slice_of(*heads)))
                        continue;
                rest = slice_skip(line, strlen(*heads));
                length = word_length(rest);
                if (length > 0 && *rest.data != '_')
                        text_list_add(names, text_copy_span(rest.data, length));
                return;
        }
}

static void collect_names(struct slice source, bool python, struct text_list *names)
{
        while (source.length > 0) {
                const char *end = memchr(source.data, '\n', source.length);
                size_t length = end ? (size_t)(end - source.data) : source.length;
                struct slice line = slice_make(source.data, length);

                if (!python && slice_starts_with(line, slice_of(node_list)))
                        collect_list(slice_skip(line, strlen(node_list)), names);
                else
                        collect_line(line, python ? python_heads : node_heads, names);
                source = slice_skip(source, end ? length + 1 : length);
        }
}

static bool list_has(const struct text_list *names, const char *name)
{
        for (size_t i = 0; i < names->count; i++)
                if (strcmp(names->items[i], name) == 0)
                        return true;
        return false;
}

static const char *choose(const struct text_list *names)
{
        for (const char *const *usual = usual_handlers; *usual; usual++)
                if (list_has(names, *usual))
                        return *usual;
        return names->count == 1 ? names->items[0] : NULL;
}

int handler_find(const struct package *package, const struct package_file *source,
                 char **ret_handler, struct err *err)
{
        AUTO(buffer_deinit) struct buffer text;
        AUTO(text_list_deinit) struct text_list names = {0};
        const char *dot = strrchr(source->name, '.'), *name;
        int stem = (int)(dot - source->name), r;

        buffer_init(&text, SOURCE_BYTES);
        r = package_peek(package, source, &text, err);
        if (r < 0)
                return r;
        collect_names(buffer_slice(&text), strcmp(dot, ".py") == 0, &names);
        name = choose(&names);
        if (!name)
                return err_set(err, -EINVAL,
                               "cannot tell which function of %s is the handler; say --handler "
                               "%.*s.FUNCTION",
                               source->name, stem, source->name);
        *ret_handler = text_format("%.*s.%s", stem, source->name, name);
        return 0;
}
