/* The settings of `magpie serve`; see serve_options.h. One table says all: each row is a flag
 * --name, an environment variable MAGPIE_NAME and a line `name: value` of the file. */
#include "apps/serve_options.h"

#include "base/auto.h"
#include "base/clock.h"
#include "cli/text.h"
#include "core/provisioner/keep_alive.h"
#include "core/registry/function.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum option_kind {
        OPTION_TEXT,
        OPTION_COUNT,
        OPTION_SIZE,
        OPTION_DURATION,
        OPTION_DURATION_OR_NONE,
        OPTION_OFF,
        OPTION_ADDRESSES,
        OPTION_RANGES
};

struct option_row {
        const char *name;
        enum option_kind kind;
        size_t offset, size; /* of the field; `size` for text */
        const char *argument, *help;
};

#define FIELD(member)                                                                              \
        offsetof(struct serve_options, member), sizeof(((struct serve_options *)0)->member)

static const struct option_row rows[] = {
        {"listen", OPTION_TEXT, FIELD(listen), "HOST:PORT",
         "address of the HTTP API [127.0.0.1:8080]"},
        {"data-dir", OPTION_TEXT, FIELD(data_dir), "DIR",
         "where everything is kept [/var/lib/magpie]"},
        {"user", OPTION_TEXT, FIELD(user), "NAME",
         "who the gateway runs as [magpie, or nobody where there is no such user]"},
        {"threads", OPTION_COUNT, FIELD(gateway.thread_count), "N",
         "gateway threads [half of the cores: functions need the rest]"},
        {"memory", OPTION_SIZE, FIELD(gateway.memory_budget_bytes), "SIZE",
         "what the limits of all instances may add up to [80 % of the machine's]"},
        {"payload-max", OPTION_SIZE, FIELD(gateway.payload_max_bytes), "SIZE",
         "largest request body [6MiB]"},
        {"response-max", OPTION_SIZE, FIELD(gateway.response_max_bytes), "SIZE",
         "largest response body [1GiB]"},
        {"code-max", OPTION_SIZE, FIELD(gateway.code_max_bytes), "SIZE",
         "largest upload of code [50MiB]"},
        {"image-max", OPTION_SIZE, FIELD(images.image_bytes_max), "SIZE",
         "largest container image, unpacked [4GiB]"},
        {"image-files-max", OPTION_COUNT, FIELD(images.image_entries_max), "N",
         "most files and folders of an image [400000]"},
        {"images-max", OPTION_SIZE, FIELD(images.disk_bytes_max), "SIZE",
         "disk for images that no function has [10GiB]"},
        {"images-keep", OPTION_DURATION, FIELD(images.unused_keep_ms), "TIME",
         "how long such an image stays [24h]"},
        {"pull-timeout", OPTION_DURATION, FIELD(images.pull_timeout_ms), "TIME",
         "how long pulling an image may take [10m]"},
        {"insecure-registries", OPTION_TEXT, FIELD(insecure_registries), "HOST,...",
         "registries that are talked to without TLS, private ones among them"},
        {"registries", OPTION_TEXT, FIELD(registries), "HOST,...",
         "the only registries to pull from [all but those in private networks]"},
        {"pulls-max", OPTION_COUNT, FIELD(gateway.pulls_max), "N", "pulls of one user at once [4]"},
        {"buffers-max", OPTION_SIZE, FIELD(gateway.buffers_max_bytes), "SIZE",
         "memory for requests and answers in flight [256MiB]"},
        {"connections-max", OPTION_COUNT, FIELD(gateway.connections_max), "N",
         "connections at once; beyond, one that idles or dawdles goes [what descriptors allow]"},
        {"waiters-max", OPTION_COUNT, FIELD(gateway.waiters_max), "N",
         "requests that may wait for one function [10000]"},
        {"wait-max", OPTION_DURATION, FIELD(gateway.wait_max_ms), "TIME",
         "how long a request waits for an instance [30s]"},
        {"queue-delay", OPTION_DURATION_OR_NONE, FIELD(gateway.queue_delay_ms), "TIME",
         "how long requests wait where too many come for good; 0 refuses none early [250ms]"},
        {"head-timeout", OPTION_DURATION, FIELD(gateway.head_timeout_ms), "TIME",
         "a request's head must be complete within [10s]"},
        {"idle-timeout", OPTION_DURATION, FIELD(gateway.idle_timeout_ms), "TIME",
         "an idle connection is closed after [75s]"},
        {"stall-timeout", OPTION_DURATION, FIELD(gateway.stall_timeout_ms), "TIME",
         "a body or response must move within [30s]"},
        {"stop-grace", OPTION_DURATION, FIELD(gateway.stop_grace_ms), "TIME",
         "how long an image's program has to end when it is asked to [1s]"},
        {"freeze-after", OPTION_DURATION, FIELD(gateway.freeze_after_ms), "TIME",
         "an idle instance is frozen after [50ms]"},
        {"keep-alive-step", OPTION_DURATION, FIELD(gateway.keep_alive_step_ms), "TIME",
         "keepAlive: auto tells idle times apart by [1m], and looks 240 of them ahead"},
        {"boot-timeout", OPTION_DURATION, FIELD(gateway.boot_timeout_ms), "TIME",
         "an instance must be ready within [20s]"},
        {"boots-max", OPTION_COUNT, FIELD(gateway.boots_max), "N",
         "instances being made at once; for one owner, one fewer [twice the cores and one]"},
        {"drain-max", OPTION_DURATION, FIELD(gateway.drain_max_ms), "TIME",
         "at shutdown, requests under way may take [30s]"},
        {"egress-addresses", OPTION_ADDRESSES, FIELD(egress_addresses), "A.B.C.D/N",
         "what functions with outbound network have as addresses [198.18.0.0/16 or the like]"},
        {"egress-range", OPTION_RANGES, FIELD(ranges), "NAME=A.B.C.D/N,...",
         "private addresses that functions may reach by that name; may be repeated"},
        {"no-stealing", OPTION_OFF, FIELD(gateway.stealing), NULL,
         "an experiment: every request waits for an instance of its own"},
        {"no-fairness", OPTION_OFF, FIELD(gateway.fairness), NULL,
         "an experiment: who asks most is served most"},
        {"no-stock", OPTION_OFF, FIELD(stock), NULL,
         "an experiment: no sandbox is made before it is needed"},
};

#define EGRESS_PREFIX_LEAST 8
#define EGRESS_PREFIX_MOST 28

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

void serve_options_help(void)
{
        puts("usage: magpie serve [OPTIONS]\n\n"
             "Starts a node on this machine: the HTTP API, and the sandboxes behind it. Needs "
             "root;\n"
             "what talks to the network drops it.\n\noptions");
        for (size_t i = 0; i < ROW_COUNT; i++) {
                char left[64];
                (void)snprintf(left, sizeof(left), "--%s %s", rows[i].name,
                               rows[i].argument ? rows[i].argument : "");
                printf("  %-26s %s\n", left, rows[i].help);
        }
        printf("  %-26s %s\n", "--config FILE", "lines of `name: value`, named like the options");
        printf("  %-26s %s\n", "--help", "show this");
        puts("\nEach option can also be given by environment: --data-dir is MAGPIE_DATA_DIR. What "
             "a "
             "flag\nsays counts before the environment, and that before the file.\n\n"
             "examples\n"
             "  sudo magpie serve\n"
             "  sudo magpie serve --listen 0.0.0.0:8080 --data-dir /srv/magpie");
}

/* A name that was said before has its new meaning. */
static int option_add_range(struct serve_options *options, const char *text, struct err *err)
{
        struct reach_names *reach = &options->gateway.reach;
        struct named_range range;
        size_t place = 0;
        char *copy;
        int r = named_range_parse(slice_of(text), &range, err);

        if (r < 0)
                return r;
        while (place < options->range_count && strcmp(reach->names[place], range.name) != 0)
                place++;
        if (place == NAMED_RANGES_MAX)
                return err_set(err, -EINVAL, "there are more than %d ranges", NAMED_RANGES_MAX);
        copy = text_copy(text);
        free(options->ranges[place]);
        options->ranges[place] = copy;
        (void)strcpy(reach->names[place], range.name);
        if (place == options->range_count)
                reach->count = ++options->range_count;
        return 0;
}

/* One, or several with blanks between them. */
static int option_add_ranges(struct serve_options *options, const char *value, struct err *err)
{
        AUTO(memory_free) char *copy = text_copy(value);
        char *rest = copy, *word;
        int r = 0;

        while (r == 0 && (word = strsep(&rest, " \t")))
                if (*word)
                        r = option_add_range(options, word, err);
        return r;
}

static int option_set_addresses(struct serve_options *options, const char *value, struct err *err)
{
        struct address_range range;
        int r = address_range_parse(slice_of(value), &range, err);

        if (r == 0 && (range.prefix < EGRESS_PREFIX_LEAST || range.prefix > EGRESS_PREFIX_MOST))
                r = err_set(err, -EINVAL, "'%s': it may have a prefix of %d to %d", value,
                            EGRESS_PREFIX_LEAST, EGRESS_PREFIX_MOST);
        if (r == 0)
                address_range_format(range, options->egress_addresses);
        return r;
}

/* Nothing is no, as a variable that is empty is one that nobody has set. */
static int option_set_off(bool *field, const char *value, struct err *err)
{
        static const char *const words[][2] = {
                {"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}, {"", ""}};

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                for (int yes = 0; yes <= 1; yes++) {
                        if (strcasecmp(value, words[i][yes]) != 0)
                                continue;
                        *field = !yes;
                        return 0;
                }
        }
        return err_set(err, -EINVAL, "'%s' is neither yes nor no", value);
}

static int option_set(struct serve_options *options, const struct option_row *row,
                      const char *value, struct err *err)
{
        void *field = (char *)options + row->offset;
        uint64_t number = 0;
        char *end;

        switch (row->kind) {
        case OPTION_TEXT:
                if (strlen(value) >= row->size || !*value)
                        return err_set(err, -EINVAL, "'%s' is empty or too long", value);
                (void)strcpy(field, value);
                return 0;
        case OPTION_OFF:
                return option_set_off(field, value, err);
        case OPTION_COUNT:
                errno = 0;
                number = strtoull(value, &end, 10);
                if (errno || *end || !isdigit((unsigned char)*value) || number == 0 ||
                    number > INT_MAX)
                        return err_set(err, -EINVAL, "'%s' is not a number from 1 on", value);
                *(uint32_t *)field = (uint32_t)number;
                return 0;
        case OPTION_SIZE:
                if (size_parse(slice_of(value), &number, err) < 0)
                        return -EINVAL;
                *(uint64_t *)field = number;
                return 0;
        case OPTION_DURATION:
        case OPTION_DURATION_OR_NONE:
                if (duration_parse(slice_of(value), &number, err) < 0)
                        return -EINVAL;
                if ((number == 0 && row->kind == OPTION_DURATION) || number > INT_MAX)
                        return err_set(err, -EINVAL, "'%s' is out of range", value);
                *(uint32_t *)field = (uint32_t)number;
                return 0;
        case OPTION_ADDRESSES:
                return option_set_addresses(options, value, err);
        case OPTION_RANGES:
                return option_add_ranges(options, value, err);
        }
        return 0;
}

static const struct option_row *option_find(const char *name, size_t length)
{
        for (size_t i = 0; i < ROW_COUNT; i++)
                if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
                        return &rows[i];
        return NULL;
}

/* "; did you mean --threads?", or nothing. */
static const char *option_suggest(const char *name, size_t length, const char *dashes,
                                  char *ret_text, size_t size)
{
        const char *names[ROW_COUNT + 2] = {0}, *nearest;
        char given[64];

        for (size_t i = 0; i < ROW_COUNT; i++)
                names[i] = rows[i].name;
        if (*dashes) /* a flag, which no file has */
                names[ROW_COUNT] = "config";
        (void)snprintf(given, sizeof(given), "%.*s", (int)length, name);
        nearest = text_nearest(given, names);
        *ret_text = '\0';
        if (nearest)
                (void)snprintf(ret_text, size, "; did you mean %s%s?", dashes, nearest);
        return ret_text;
}

static int options_from_environment(struct serve_options *options, struct err *err)
{
        for (size_t i = 0; i < ROW_COUNT; i++) {
                char name[64] = "MAGPIE_";
                size_t length = strlen(name);
                for (const char *c = rows[i].name; *c; c++)
                        name[length++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
                name[length] = '\0';
                const char *value = getenv(name);
                if (value && *value && option_set(options, &rows[i], value, err) < 0) {
                        err_prefix(err, "the environment's %s", name);
                        return -EINVAL;
                }
        }
        return 0;
}

#define BLANKS " \t\r"

static int line_unquote(char *text, const char **ret_value, struct err *err)
{
        char *end = strchr(text + 1, *text);
        const char *rest;

        if (!end)
                return err_set(err, -EINVAL, "the quote at %s does not end", text);
        rest = end + 1 + strspn(end + 1, BLANKS);
        if (*rest && (*rest != '#' || rest == end + 1))
                return err_set(err, -EINVAL, "after the quote there is more: %s", rest);
        *end = '\0';
        *ret_value = text + 1;
        return 0;
}

/* What stands behind the colon, without the comment after it and the quotes around it. */
static int line_value(char *text, const char **ret_value, struct err *err)
{
        char *end;

        text += strspn(text, BLANKS);
        if (*text == '"' || *text == '\'')
                return line_unquote(text, ret_value, err);
        end = text;
        while (*end && !(*end == '#' && isspace((unsigned char)end[-1])))
                end++;
        while (end > text && isspace((unsigned char)end[-1]))
                end--;
        *end = '\0';
        *ret_value = text;
        return 0;
}

static int line_unknown(const char *name, size_t length, struct err *err)
{
        char hint[64];

        if (length == strlen("config") && strncmp(name, "config", length) == 0)
                return err_set(err, -EINVAL,
                               "'config' cannot be said in a file: it is --config FILE or "
                               "MAGPIE_CONFIG");
        return err_set(err, -EINVAL, "there is no '%.*s'%s", (int)length, name,
                       option_suggest(name, length, "", hint, sizeof(hint)));
}

static int options_from_line(struct serve_options *options, char *line, struct err *err)
{
        const struct option_row *row;
        const char *value;
        size_t length;

        line += strspn(line, " \t");
        if (*line == '#' || *line == '\0')
                return 0;
        length = strcspn(line, ": \t");
        if (line[length] != ':')
                return err_set(err, -EINVAL, "'%s' is not of the form `name: value`", line);
        row = option_find(line, length);
        if (!row)
                return line_unknown(line, length, err);
        if (line_value(line + length + 1, &value, err) < 0)
                return -EINVAL;
        if (option_set(options, row, value, err) < 0) {
                err_prefix(err, "%s", row->name);
                return -EINVAL;
        }
        return 0;
}

static int options_from_file(struct serve_options *options, const char *path, struct err *err)
{
        AUTO(file_close) FILE *file = fopen(path, "re");
        char line[4096];

        if (!file)
                return err_errno(err, -errno, "opening '%s'", path);
        for (int number = 1; fgets(line, sizeof(line), file); number++) {
                line[strcspn(line, "\n")] = '\0';
                if (options_from_line(options, line, err) < 0) {
                        err_prefix(err, "%s, line %d", path, number);
                        return -EINVAL;
                }
        }
        return 0;
}

/* Walks the flags; with `config` set, only looks for --config. */
static enum options_result options_from_flags(struct serve_options *options, int argc, char **argv,
                                              const char **config, struct err *err)
{
        for (int i = 1; i < argc; i++) {
                const char *name = argv[i], *value = NULL, *equals = strchr(name, '=');
                const struct option_row *row;
                char hint[64];
                size_t length;
                bool is_config;

                if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
                        return OPTIONS_HELP;
                if (strncmp(name, "--", 2) != 0) {
                        err_set(err, -EINVAL, "'%s' is one too many: magpie serve [OPTIONS]", name);
                        return OPTIONS_WRONG;
                }
                name += 2;
                length = equals ? (size_t)(equals - name) : strlen(name);
                is_config = length == 6 && strncmp(name, "config", 6) == 0;
                row = option_find(name, length);
                if (!row && !is_config) {
                        err_set(err, -EINVAL, "magpie serve has no option --%.*s%s", (int)length,
                                name, option_suggest(name, length, "--", hint, sizeof(hint)));
                        return OPTIONS_WRONG;
                }
                if (row && row->kind == OPTION_OFF)
                        value = equals ? equals + 1 : "true";
                else
                        value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
                if (!value) {
                        err_set(err, -EINVAL, "--%.*s needs a value: --%.*s %s", (int)length, name,
                                (int)length, name, row ? row->argument : "FILE");
                        return OPTIONS_WRONG;
                }
                if (is_config && config)
                        *config = value;
                if (row && !config && option_set(options, row, value, err) < 0) {
                        err_prefix(err, "--%s", row->name);
                        return OPTIONS_WRONG;
                }
        }
        return OPTIONS_RUN;
}

static void options_defaults(struct serve_options *options)
{
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
        struct rlimit files = {.rlim_max = 1024};

        if (cores < 1)
                cores = 1;
        (void)getrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_max == RLIM_INFINITY || files.rlim_max > 1000000)
                files.rlim_max = 1000000;
        *options = (struct serve_options){
                .listen = "127.0.0.1:8080",
                .data_dir = "/var/lib/magpie",
                .stock = true,
                .images =
                        {
                                .image_bytes_max = 4ull << 30,
                                .image_entries_max = 400000,
                                .disk_bytes_max = 10ull << 30,
                                .pull_timeout_ms = 10u * 60 * 1000,
                                .unused_keep_ms = 24u * 60 * 60 * 1000,
                        },
                .gateway =
                        {
                                .thread_count = cores > 1 ? (unsigned)cores / 2 : 1,
                                .core_count = (unsigned)cores,
                                .payload_max_bytes = 6ull << 20,
                                .response_max_bytes = 1ull << 30,
                                .code_max_bytes = 50ull << 20,
                                .buffers_max_bytes = 256ull << 20,
                                /* Instances need descriptors too. */
                                .connections_max = (unsigned)(files.rlim_max - files.rlim_max / 14),
                                .waiters_max = 10000,
                                .wait_max_ms = 30000,
                                .queue_delay_ms = 250,
                                .head_timeout_ms = 10000,
                                .idle_timeout_ms = 75000,
                                .stall_timeout_ms = 30000,
                                .freeze_after_ms = 50,
                                .stop_grace_ms = 1000,
                                .pulls_max = 4,
                                .keep_alive_step_ms = KEEP_ALIVE_BIN_NS / NS_PER_MS,
                                .boot_timeout_ms = 20000,
                                .memory_budget_bytes = memory / 5 * 4,
                                .boots_max = (unsigned)cores * 2 + 1,
                                .drain_max_ms = 30000,
                                .stealing = true,
                                .fairness = true,
                        },
        };
}

/* "HOST:PORT", "[V6]:PORT", ":PORT". */
static int options_split_listen(struct serve_options *options, struct err *err)
{
        const char *text = options->listen, *colon = strrchr(text, ':');
        size_t length = colon ? (size_t)(colon - text) : 0;

        if (!colon || !colon[1] || strlen(colon + 1) >= sizeof(options->port) ||
            strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
                return err_set(err, -EINVAL, "listen: '%s' is not of the form HOST:PORT", text);
        (void)strcpy(options->port, colon + 1);
        if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
                text++;
                length -= 2;
        }
        if (length >= sizeof(options->host))
                return err_set(err, -EINVAL, "listen: the host is too long");
        memcpy(options->host, text, length);
        options->host[length] = '\0';
        return 0;
}

static int options_complete(struct serve_options *options, struct err *err)
{
        char folder[sizeof(options->data_dir)];

        if (options->data_dir[0] != '/') {
                char here[PATH_MAX];
                if (!getcwd(here, sizeof(here)))
                        return err_errno(err, -errno, "finding the current folder");
                if (snprintf(folder, sizeof(folder), "%s/%s", here, options->data_dir) >=
                    (int)sizeof(folder))
                        return err_set(err, -ENAMETOOLONG, "data-dir: the path is too long");
                (void)strcpy(options->data_dir, folder);
        }
        if (options->gateway.thread_count > ROUND_THREADS_MAX)
                return err_set(err, -EINVAL, "threads: at most %d", ROUND_THREADS_MAX);
        options->gateway.data_dir = options->data_dir;
        options->images.insecure_registries = options->insecure_registries;
        options->images.registries = options->registries;
        return options_split_listen(options, err);
}

enum options_result serve_options_read(int argc, char **argv, struct serve_options *ret_options,
                                       struct err *err)
{
        const char *config = getenv("MAGPIE_CONFIG");
        enum options_result result;

        options_defaults(ret_options);
        result = options_from_flags(ret_options, argc, argv, &config, err);
        if (result != OPTIONS_RUN)
                return result;
        if ((config && options_from_file(ret_options, config, err) < 0) ||
            options_from_environment(ret_options, err) < 0)
                return OPTIONS_WRONG;
        result = options_from_flags(ret_options, argc, argv, NULL, err);
        if (result == OPTIONS_RUN && options_complete(ret_options, err) < 0)
                return OPTIONS_WRONG;
        return result;
}
