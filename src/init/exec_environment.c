/* Requests as environments; see exec_environment.h. */
#include "init/exec_environment.h"

#include "wire/http_request.h"
#include "wire/worker_protocol.h"

#include <errno.h>
#include <stdio.h>

static bool put(struct exec_environment *environment, const char *data, size_t length)
{
        if (length > sizeof(environment->text) - environment->used)
                return false;
        if (length > 0)
                memcpy(environment->text + environment->used, data, length);
        environment->used += length;
        return true;
}

/* Adds NAME=value; false where there is no room. */
static bool set(struct exec_environment *environment, const char *name, struct slice value)
{
        size_t start = environment->used;

        if (environment->count == EXEC_ENVIRONMENT_MAX || !put(environment, name, strlen(name)) ||
            !put(environment, "=", 1) || !put(environment, value.data, value.length) ||
            !put(environment, "", 1)) {
                environment->used = start;
                return false;
        }
        environment->variables[environment->count++] = environment->text + start;
        return true;
}

/* "x-my-header" becomes "HTTP_X_MY_HEADER". */
static bool header_variable(struct slice name, char *ret_variable, size_t capacity)
{
        size_t at = strlen("HTTP_");

        if (name.length + at + 1 > capacity)
                return false;
        memcpy(ret_variable, "HTTP_", at);
        for (size_t i = 0; i < name.length; i++) {
                char byte = name.data[i];
                if (byte >= 'a' && byte <= 'z')
                        byte = (char)(byte - 'a' + 'A');
                else if (!((byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9')))
                        byte = '_';
                ret_variable[at++] = byte;
        }
        ret_variable[at] = '\0';
        return true;
}

/* A header that comes twice becomes one list (RFC 3875, section 4.1.18). True where the variable is
 * there already: it now ends with ", value", as far as there is room for the longer copy. */
static bool extend(struct exec_environment *environment, size_t first, const char *variable,
                   struct slice value)
{
        size_t length = strlen(variable), start = environment->used;

        for (size_t i = first; i < environment->count; i++) {
                const char *old = environment->variables[i];
                if (strncmp(old, variable, length) != 0 || old[length] != '=')
                        continue;
                if (put(environment, old, strlen(old)) && put(environment, ", ", 2) &&
                    put(environment, value.data, value.length) && put(environment, "", 1))
                        environment->variables[i] = environment->text + start;
                else
                        environment->used = start;
                return true;
        }
        return false;
}

static int set_headers(struct exec_environment *environment, struct slice meta)
{
        struct slice name, value;
        size_t first = environment->count;
        int error;

        while (worker_meta_next_header(&meta, &name, &value, &error)) {
                char variable[256];
                /* HTTP_PROXY means something else to many programs (CVE-2016-5385, "httpoxy"). */
                if (slice_equal_fold(name, SLICE("proxy")) ||
                    !header_variable(name, variable, sizeof(variable)))
                        continue;
                if (!extend(environment, first, variable, value))
                        (void)set(environment, variable, value);
        }
        return error;
}

#define DOMAIN "MAGPIE_DOMAIN"

/* Takes the meta's next line as the value of `name`. */
static int set_line(struct exec_environment *environment, const char *name, struct slice *meta)
{
        struct slice line;

        if (!worker_meta_next_line(meta, &line) || memchr(line.data, '\0', line.length))
                return -EPROTO;
        if (strcmp(name, DOMAIN) == 0)
                line = http_host_name(line);
        return set(environment, name, line) ? 0 : -EPROTO;
}

int exec_environment_make(struct exec_environment *ret_environment, char *const *inherited,
                          struct slice meta, bool is_http, uint64_t deadline_ms)
{
        static const char *const lines[] = {
                "MAGPIE_INVOCATION_ID", "MAGPIE_USER",   "MAGPIE_METHOD", "MAGPIE_PATH",
                "MAGPIE_QUERY",         "MAGPIE_CLIENT", DOMAIN};
        struct exec_environment *environment = ret_environment;
        size_t line_count = is_http ? sizeof(lines) / sizeof(lines[0]) : 2;
        char deadline[24];
        int r = 0;

        environment->count = environment->used = 0;
        for (; *inherited && environment->count < EXEC_ENVIRONMENT_MAX / 2; inherited++)
                environment->variables[environment->count++] = *inherited;
        (void)snprintf(deadline, sizeof(deadline), "%llu", (unsigned long long)deadline_ms);
        if (!set(environment, "MAGPIE_DEADLINE_MS", slice_of(deadline)))
                return -EPROTO;
        for (size_t i = 0; i < line_count && r == 0; i++)
                r = set_line(environment, lines[i], &meta);
        if (r == 0 && is_http)
                r = set_headers(environment, meta);
        environment->variables[environment->count] = NULL;
        return r;
}
