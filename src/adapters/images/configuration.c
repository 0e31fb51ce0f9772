/* Image configurations; see configuration.h. */
#include "adapters/images/configuration.h"

#include "adapters/images/document.h"
#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE(string) text_quote(slice_of(string)).text

static bool copy_text(const char *text, char ret_text[PLATFORM_TEXT_MAX + 1])
{
        if (strlen(text) > PLATFORM_TEXT_MAX)
                return false;
        memcpy(ret_text, text, strlen(text) + 1);
        return true;
}

static int read_layers(struct configuration *self, struct err *err)
{
        const cJSON *root = document_object(self->document, "rootfs");
        const cJSON *list = document_array(root, "diff_ids"), *item;
        int count = cJSON_GetArraySize(list);

        if (count < 1 || count > MANIFEST_LAYERS_MAX)
                return err_set(err, -EINVAL,
                               "the image's configuration names %d layers: 1 to %d are allowed",
                               count, MANIFEST_LAYERS_MAX);
        self->diff_ids = calloc((size_t)count, sizeof(*self->diff_ids));
        if (!self->diff_ids)
                return err_set(err, -ENOMEM, "no memory for the image's configuration");
        cJSON_ArrayForEach(item, list)
        {
                if (!cJSON_IsString(item) ||
                    !sha256_parse(slice_of(item->valuestring), self->diff_ids[self->layer_count]))
                        return err_set(err, -EINVAL,
                                       "the image's configuration has a layer without a digest by "
                                       "SHA-256");
                self->layer_count++;
        }
        return 0;
}

static int read_words(struct configuration *self, const cJSON *config, const char *name,
                      struct err *err)
{
        const cJSON *word;

        cJSON_ArrayForEach(word, document_array(config, name))
        {
                if (!cJSON_IsString(word))
                        return err_set(err, -EINVAL, "the image's %s is not a list of words", name);
                if (self->word_count == IMAGE_WORDS_MAX)
                        return err_set(err, -EINVAL,
                                       "the image's command line has more than %d words",
                                       IMAGE_WORDS_MAX);
                self->words[self->word_count++] = word->valuestring;
        }
        return 0;
}

static int read_env(struct configuration *self, const cJSON *config, struct err *err)
{
        const cJSON *item;

        cJSON_ArrayForEach(item, document_array(config, "Env"))
        {
                const char *text = cJSON_IsString(item) ? item->valuestring : "";
                const char *equals = strchr(text, '=');
                /* A name alone sets nothing, and these are the platform's own. */
                if (!equals || equals == text || strncmp(text, "MAGPIE_", 7) == 0)
                        continue;
                if (self->env_count == IMAGE_ENV_MAX)
                        return err_set(err, -EINVAL,
                                       "the image's environment has more than %d variables",
                                       IMAGE_ENV_MAX);
                self->env[self->env_count++] = text;
        }
        return 0;
}

/* A whole number from 1 to 65535, then `end`; else 0. */
static uint32_t read_number(const char *text, const char *end)
{
        char *rest;
        unsigned long port;

        if (*text < '0' || *text > '9')
                return 0;
        port = strtoul(text, &rest, 10);
        return strcmp(rest, end) == 0 && port <= UINT16_MAX ? (uint32_t)port : 0;
}

/* "8080/tcp", or "8080". Where there are several, nobody can tell which one answers. */
static uint32_t read_exposed_port(const cJSON *config)
{
        uint32_t found = 0;
        const cJSON *item;

        cJSON_ArrayForEach(item, document_object(config, "ExposedPorts"))
        {
                uint32_t port = read_number(item->string, "/tcp");
                if (port == 0)
                        port = read_number(item->string, "");
                if (port != 0 && found != 0)
                        return 0;
                if (port != 0)
                        found = port;
        }
        return found;
}

static int read_labels(struct configuration *self, const cJSON *config, struct err *err)
{
        const cJSON *labels = document_object(config, "Labels");
        const char *contract = document_text(labels, "magpie.contract");
        const char *port = document_text(labels, "magpie.port");

        if (!contract_parse(slice_of(contract), &self->labelled_contract))
                return err_set(err, -EINVAL,
                               "the image's label magpie.contract is '%s': it may be exec, http or "
                               "lambda",
                               QUOTE(contract));
        self->labelled_port = read_number(port, "");
        if (*port && self->labelled_port == 0)
                return err_set(err, -EINVAL,
                               "the image's label magpie.port is '%s': it may be 1 to 65535",
                               QUOTE(port));
        return 0;
}

static bool is_signal(const char *name, int number)
{
        char text[16];

        if (number >= SIGRTMIN)
                (void)snprintf(text, sizeof(text), number > SIGRTMIN ? "RTMIN+%d" : "RTMIN",
                               number - SIGRTMIN);
        else
                (void)snprintf(text, sizeof(text), "%s", sigabbrev_np(number));
        return strcmp(name, text) == 0;
}

/* "SIGTERM", "TERM", "15", "SIGRTMIN+3", as Docker's. The C library keeps two numbers to itself. */
static int read_stop_signal(struct configuration *self, const cJSON *config, struct err *err)
{
        const char *text = document_text(config, "StopSignal");
        const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
        uint32_t wanted = read_number(text, "");

        for (int number = 1; number <= SIGRTMAX; number++) {
                if (number < SIGRTMIN && !sigabbrev_np(number))
                        continue;
                if (wanted == (uint32_t)number || is_signal(name, number)) {
                        self->stop_signal = number;
                        return 0;
                }
        }
        if (*text == '\0')
                return 0;
        return err_set(err, -EINVAL, "the image's StopSignal '%s' is no signal", QUOTE(text));
}

static int read_config(struct configuration *self, const cJSON *config, struct err *err)
{
        int r = read_words(self, config, "Entrypoint", err);

        self->entry_word_count = self->word_count;
        if (r == 0)
                r = read_words(self, config, "Cmd", err);
        if (r == 0)
                r = read_env(self, config, err);
        if (r == 0)
                r = read_labels(self, config, err);
        if (r == 0)
                r = read_stop_signal(self, config, err);
        self->directory = document_text(config, "WorkingDir");
        self->user = document_text(config, "User");
        self->exposed_port = read_exposed_port(config);
        return r;
}

int configuration_parse(struct slice text, struct configuration *ret_configuration, struct err *err)
{
        struct configuration *self = ret_configuration;
        int r;

        *self = (struct configuration){.directory = "", .user = ""};
        r = document_parse(text, "the image's configuration", &self->document, err);
        if (r < 0)
                return r;
        if (!copy_text(document_text(self->document, "os"), self->platform.system) ||
            !copy_text(document_text(self->document, "architecture"),
                       self->platform.architecture) ||
            !copy_text(document_text(self->document, "variant"), self->platform.variant))
                return err_set(err, -EINVAL, "the image's configuration names no known machine");
        r = read_layers(self, err);
        return r < 0 ? r : read_config(self, document_object(self->document, "config"), err);
}

void configuration_deinit(struct configuration *configuration)
{
        document_free(&configuration->document);
        free(configuration->diff_ids);
        *configuration = (struct configuration){.directory = "", .user = ""};
}

const char *configuration_variable(const struct configuration *configuration, const char *name)
{
        size_t length = strlen(name);
        const char *value = NULL;

        for (size_t i = 0; i < configuration->env_count; i++)
                if (strncmp(configuration->env[i], name, length) == 0 &&
                    configuration->env[i][length] == '=')
                        value = configuration->env[i] + length + 1;
        return value;
}

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* AWS' base images begin with /lambda-entrypoint.sh; others with one of its clients, by name or as a
 * module of an interpreter; custom runtimes with a program called bootstrap. */
static bool is_lambda(const struct configuration *self)
{
        size_t count = self->entry_word_count ? self->entry_word_count : self->word_count;

        for (size_t i = 0; i < count; i++) {
                const char *name = base_name(self->words[i]);
                if (strcmp(name, "aws-lambda-ric") == 0 || strcmp(name, "awslambdaric") == 0 ||
                    strcmp(name, "lambda-entrypoint.sh") == 0)
                        return true;
        }
        return count > 0 && strcmp(base_name(self->words[0]), "bootstrap") == 0 &&
               configuration_variable(self, "LAMBDA_TASK_ROOT");
}

static uint32_t port_variable(const struct configuration *self)
{
        const char *port = configuration_variable(self, "PORT");

        return port ? read_number(port, "") : 0;
}

enum contract configuration_contract(const struct configuration *configuration)
{
        if (configuration->labelled_contract != CONTRACT_NONE)
                return configuration->labelled_contract;
        if (is_lambda(configuration))
                return CONTRACT_LAMBDA;
        if (configuration->exposed_port != 0 || port_variable(configuration) != 0 ||
            configuration->labelled_port != 0)
                return CONTRACT_HTTP;
        return CONTRACT_EXEC;
}

uint32_t configuration_port(const struct configuration *configuration)
{
        if (configuration->labelled_port != 0)
                return configuration->labelled_port;
        if (port_variable(configuration) != 0)
                return port_variable(configuration);
        return configuration->exposed_port ? configuration->exposed_port
                                           : CONFIGURATION_PORT_DEFAULT;
}
