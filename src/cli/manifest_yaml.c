/* The YAML of function.yaml, as libyaml's events; see manifest.h.
 *
 * A small machine: the document is one mapping; each key is set at once, so that every sentence has
 * the line it is about. Nothing is built that a hostile file could make grow.
 */
#include "base/auto.h"
#include "cli/manifest.h"
#include "core/registry/function.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#define KEYS_MAX 32
#define VARIABLES_MAX 1000

struct reader {
        struct manifest *manifest;
        yaml_parser_t parser;
        yaml_event_t event;         /* the current one; owned */
        struct text_list seen;      /* keys of the document */
        struct text_list variables; /* keys of env */
};

static unsigned long reader_line(const struct reader *reader)
{
        return reader->event.start_mark.line + 1;
}

static int reader_next(struct reader *reader, struct err *err)
{
        yaml_event_delete(&reader->event);
        if (yaml_parser_parse(&reader->parser, &reader->event))
                return 0;
        reader->event = (yaml_event_t){0};
        return err_set(err, -EINVAL, "line %zu: this is not YAML: %s",
                       reader->parser.problem_mark.line + 1,
                       reader->parser.problem ? reader->parser.problem : "unreadable");
}

/* The current event as a plain text: no anchor, no tag, no NUL. `what` is for the sentence. */
static int reader_scalar(const struct reader *reader, const char *what, const char **ret_text,
                         struct err *err)
{
        const yaml_event_t *event = &reader->event;

        if (event->type == YAML_ALIAS_EVENT)
                return err_set(err, -EINVAL, "line %lu: aliases are not used here",
                               reader_line(reader));
        if (event->type != YAML_SCALAR_EVENT)
                return err_set(err, -EINVAL, "line %lu: %s is one plain value", reader_line(reader),
                               what);
        if (event->data.scalar.anchor || event->data.scalar.tag)
                return err_set(err, -EINVAL, "line %lu: anchors and tags are not used here",
                               reader_line(reader));
        if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
                return err_set(err, -EINVAL, "line %lu: %s holds a NUL byte", reader_line(reader),
                               what);
        *ret_text = (const char *)event->data.scalar.value;
        return 0;
}

/* Remembers a key; a second time is an error, as is one too many. */
static int reader_remember(struct text_list *seen, size_t most, const char *key, unsigned long line,
                           struct err *err)
{
        for (size_t i = 0; i < seen->count; i++)
                if (strcmp(seen->items[i], key) == 0)
                        return err_set(err, -EINVAL, "line %lu: '%s' is said twice", line, key);
        if (seen->count >= most)
                return err_set(err, -EINVAL, "line %lu: too many keys", line);
        text_list_add(seen, text_copy(key));
        return 0;
}

static int read_variable(struct reader *reader, struct err *err)
{
        AUTO(memory_free) char *name = NULL, *assignment = NULL;
        unsigned long line = reader_line(reader);
        const char *text = "";
        int r = reader_scalar(reader, "a variable's name", &text, err);

        if (r == 0)
                r = reader_remember(&reader->variables, VARIABLES_MAX, text, line, err);
        if (r < 0)
                return r;
        name = text_copy(text);
        r = reader_next(reader, err);
        if (r == 0)
                r = reader_scalar(reader, name, &text, err);
        if (r < 0)
                return r;
        assignment = text_format("%s=%s", name, text);
        r = env_name_validate(slice_of(name), err);
        if (r == 0)
                r = manifest_set_env(reader->manifest, assignment, err);
        if (r < 0)
                (void)err_prefix(err, "line %lu", line);
        return r;
}

/* The current event begins the value of `env`. */
static int read_env(struct reader *reader, struct err *err)
{
        int r;

        if (reader->event.type != YAML_MAPPING_START_EVENT ||
            reader->event.data.mapping_start.anchor || reader->event.data.mapping_start.tag)
                return err_set(err, -EINVAL, "line %lu: env is a mapping: NAME: value lines",
                               reader_line(reader));
        reader->manifest->has_env = true;
        for (;;) {
                r = reader_next(reader, err);
                if (r < 0 || reader->event.type == YAML_MAPPING_END_EVENT)
                        return r;
                r = read_variable(reader, err);
                if (r < 0)
                        return r;
        }
}

/* The current event begins the value of `key`. `what` is one of its items, for the sentence. */
static int read_list(struct reader *reader, const char *key, const char *what,
                     int (*add)(struct manifest *manifest, const char *text, struct err *err),
                     struct err *err)
{
        if (reader->event.type != YAML_SEQUENCE_START_EVENT ||
            reader->event.data.sequence_start.anchor || reader->event.data.sequence_start.tag)
                return err_set(err, -EINVAL, "line %lu: %s is a list: lines of - NAME",
                               reader_line(reader), key);
        for (;;) {
                const char *text = "";
                int r = reader_next(reader, err);
                unsigned long line = reader_line(reader);

                if (r < 0 || reader->event.type == YAML_SEQUENCE_END_EVENT)
                        return r;
                r = reader_scalar(reader, what, &text, err);
                if (r < 0)
                        return r;
                r = add(reader->manifest, text, err);
                if (r < 0) {
                        (void)err_prefix(err, "line %lu", line);
                        return r;
                }
        }
}

/* These two replace what was said before. */
static int read_layers(struct reader *reader, struct err *err)
{
        text_list_deinit(&reader->manifest->layers);
        reader->manifest->has_layers = true;
        return read_list(reader, "layers", "a layer", manifest_add_layer, err);
}

static int read_reach(struct reader *reader, struct err *err)
{
        manifest_clear_reach(reader->manifest);
        return read_list(reader, "reach", "a name in reach", manifest_add_reach, err);
}

static int read_pair(struct reader *reader, struct err *err)
{
        AUTO(memory_free) char *key = NULL;
        unsigned long line = reader_line(reader);
        const char *text = "";
        int r = reader_scalar(reader, "a key", &text, err);

        if (r == 0)
                r = reader_remember(&reader->seen, KEYS_MAX, text, line, err);
        if (r < 0)
                return r;
        key = text_copy(text);
        r = reader_next(reader, err);
        if (r < 0)
                return r;
        if (strcmp(key, "env") == 0)
                return read_env(reader, err);
        if (strcmp(key, "reach") == 0)
                return read_reach(reader, err);
        if (strcmp(key, "layers") == 0)
                return read_layers(reader, err);
        r = reader_scalar(reader, key, &text, err);
        if (r < 0)
                return r;
        r = manifest_set(reader->manifest, key, text, err);
        if (r < 0)
                (void)err_prefix(err, "line %lu", line);
        return r;
}

/* The current event begins the document's content. */
static int read_document(struct reader *reader, struct err *err)
{
        int r;

        if (reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0)
                return 0; /* nothing but a "---" */
        if (reader->event.type != YAML_MAPPING_START_EVENT ||
            reader->event.data.mapping_start.anchor || reader->event.data.mapping_start.tag)
                return err_set(err, -EINVAL, "line %lu: this is a mapping: key: value lines",
                               reader_line(reader));
        for (;;) {
                r = reader_next(reader, err);
                if (r < 0 || reader->event.type == YAML_MAPPING_END_EVENT)
                        return r;
                r = read_pair(reader, err);
                if (r < 0)
                        return r;
        }
}

/* Stream start, at most one document, stream end. */
static int read_stream(struct reader *reader, struct err *err)
{
        bool had_document = false;
        int r;

        for (;;) {
                r = reader_next(reader, err);
                if (r < 0 || reader->event.type == YAML_STREAM_END_EVENT)
                        return r;
                if (reader->event.type != YAML_DOCUMENT_START_EVENT)
                        continue;
                if (had_document)
                        return err_set(err, -EINVAL, "line %lu: one document is enough",
                                       reader_line(reader));
                had_document = true;
                r = reader_next(reader, err);
                if (r == 0)
                        r = read_document(reader, err);
                if (r < 0)
                        return r;
        }
}

int manifest_parse(struct manifest *manifest, struct slice text, struct err *err)
{
        struct reader reader = {.manifest = manifest};
        int r;

        if (text.length > MANIFEST_MAX)
                return err_set(err, -EINVAL, "line 1: larger than %d bytes", MANIFEST_MAX);
        if (!yaml_parser_initialize(&reader.parser))
                return err_set(err, -ENOMEM, "out of memory");
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.data, text.length);
        r = read_stream(&reader, err);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
        text_list_deinit(&reader.seen);
        text_list_deinit(&reader.variables);
        return r;
}
