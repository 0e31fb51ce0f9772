/* Environments; see environment.h. */
#include "agent/environment.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool same_name(const char *a, const char *b)
{
        size_t length = strcspn(a, "=");

        return length == strcspn(b, "=") && strncmp(a, b, length) == 0;
}

/* Replaces the variable of that name or adds it: getenv(3) would find the first of two. */
static void set(struct environment *environment, size_t *count, const char *assignment)
{
        for (size_t i = 0; i < *count; i++)
                if (same_name(environment->variables[i], assignment)) {
                        environment->variables[i] = assignment;
                        return;
                }
        environment->variables[(*count)++] = assignment;
}

static void set_common(struct environment *environment, size_t *count)
{
        set(environment, count, ENVIRONMENT_PATH);
        set(environment, count, "HOME=/tmp");
        set(environment, count, "LANG=C.UTF-8");
}

/* Docker's PATH; and the one folder that can be written to. */
static void set_image(struct environment *environment, size_t *count)
{
        set(environment, count,
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        set(environment, count, "HOME=/tmp");
}

void environment_make_early(struct environment *ret_environment, const char *const *early,
                            size_t early_count)
{
        size_t count = 0;

        set_common(ret_environment, &count);
        for (size_t i = 0; i < early_count; i++)
                set(ret_environment, &count, early[i]);
        ret_environment->variables[count] = NULL;
}

void environment_make(struct environment *ret_environment, const struct agent_spawn *request)
{
        struct environment *environment = ret_environment;
        size_t count = 0;

        (void)snprintf(environment->handler, sizeof(environment->handler), "MAGPIE_HANDLER=%s",
                       request->handler);
        if (request->runtime == AGENT_RUNTIME_IMAGE)
                set_image(environment, &count);
        else
                set_common(environment, &count);
        for (size_t i = 0; i < request->env_count; i++)
                set(environment, &count, request->env[i]);
        if (request->runtime != AGENT_RUNTIME_IMAGE || request->handler[0] != '\0')
                set(environment, &count, environment->handler);
        if (request->verify)
                set(environment, &count, "MAGPIE_VERIFY=1");
        environment->variables[count] = NULL;
}
