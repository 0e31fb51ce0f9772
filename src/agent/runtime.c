/* Command lines; see runtime.h. */
#include "agent/runtime.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Fills magpie-init's arguments, NULL-terminated. `program` is "/code/<handler>", lent like the other
 * strings. */
static void runtime_arguments(enum agent_runtime runtime, const char *program,
                              const char *ret_arguments[RUNTIME_ARGUMENTS_MAX])
{
        /* -I -S: nothing of the environment or of site-packages decides what is imported. */
        static const char *const python3[RUNTIME_ARGUMENTS_MAX] = {
                "magpie-init", "shim", "/usr/bin/python3",  "-I",
                "-S",          "-X",   "frozen_modules=on", "/magpie/python/shim.py"};
        static const char *const node[RUNTIME_ARGUMENTS_MAX] = {
                "magpie-init", "shim", "/usr/bin/node", "/magpie/node/shim.js"};
        static const char *const native[RUNTIME_ARGUMENTS_MAX] = {"magpie-init", "shim", ""};
        static const char *const exec[RUNTIME_ARGUMENTS_MAX] = {"magpie-init", "exec", ""};
        static const char *const provided[RUNTIME_ARGUMENTS_MAX] = {"magpie-init", "lambda",
                                                                    "/code/bootstrap"};
        const char *const *line = NULL;

        switch (runtime) {
        case AGENT_RUNTIME_PYTHON3:
                line = python3;
                break;
        case AGENT_RUNTIME_NODE:
                line = node;
                break;
        case AGENT_RUNTIME_NATIVE:
                line = native;
                break;
        case AGENT_RUNTIME_EXEC:
                line = exec;
                break;
        case AGENT_RUNTIME_PROVIDED:
                line = provided;
                break;
        case AGENT_RUNTIME_IMAGE: /* has its own: make_image_command() */
                break;
        }
        assert(line);
        memcpy(ret_arguments, line, RUNTIME_ARGUMENTS_MAX * sizeof(*line));
        if (ret_arguments[2][0] == '\0')
                ret_arguments[2] = program;
}

static void make_image_command(struct runtime_command *command, const struct agent_spawn *request)
{
        size_t count = 0;

        command->words[count++] = "in";
        command->words[count++] = request->directory;
        switch (request->contract) {
        case AGENT_CONTRACT_NONE: /* agent_spawn_decode() lets none pass */
                break;
        case AGENT_CONTRACT_EXEC:
                command->words[count++] = "exec";
                break;
        case AGENT_CONTRACT_HTTP:
                (void)snprintf(command->port, sizeof(command->port), "%" PRIu32, request->port);
                command->words[count++] = "http";
                command->words[count++] = command->port;
                break;
        case AGENT_CONTRACT_LAMBDA:
                command->words[count++] = "lambda";
                break;
        }
        memcpy(command->words + count, request->words, request->word_count * sizeof(char *));
        command->words[count + request->word_count] = NULL;
}

void runtime_command_make(struct runtime_command *ret_command, const struct agent_spawn *request,
                          bool has_interpreter)
{
        const char *arguments[RUNTIME_ARGUMENTS_MAX];

        ret_command->words[0] = NULL;
        if (request->runtime == AGENT_RUNTIME_IMAGE) {
                make_image_command(ret_command, request);
        } else if (!has_interpreter) {
                (void)snprintf(ret_command->program, sizeof(ret_command->program), "/code/%s",
                               request->handler);
                runtime_arguments(request->runtime, ret_command->program, arguments);
                /* The first word, magpie-init's own name, has been said. */
                memcpy(ret_command->words, arguments + 1,
                       (RUNTIME_ARGUMENTS_MAX - 1) * sizeof(*arguments));
        }
}

enum agent_runtime runtime_parked(enum agent_runtime runtime, bool adopts)
{
        return adopts || runtime == AGENT_RUNTIME_IMAGE ? runtime : 0;
}

struct slot_ids runtime_ids(const struct agent_spawn *request)
{
        if (request->runtime == AGENT_RUNTIME_IMAGE)
                return (struct slot_ids){request->user, request->user_group};
        return (struct slot_ids){SLOT_UID_INSIDE, SLOT_UID_INSIDE};
}

bool runtime_can_park(enum agent_runtime runtime)
{
        return runtime == AGENT_RUNTIME_PYTHON3 || runtime == AGENT_RUNTIME_NODE;
}

/* The dynamic linker, the C library, locales, V8 and OpenSSL read these when a process starts. */
bool runtime_is_early(const char *assignment)
{
        static const char *const early[] = {
                "LD_", "GLIBC_", "MALLOC_",  "LANG=",     "LANGUAGE=", "LC_",
                "TZ=", "NODE_",  "OPENSSL_", "SSL_CERT_", "UV_"};

        for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
                if (strncmp(assignment, early[i], strlen(early[i])) == 0)
                        return true;
        return false;
}

void runtime_parked_arguments(enum agent_runtime runtime,
                              const char *ret_arguments[RUNTIME_ARGUMENTS_MAX])
{
        size_t count = 0;

        if (!runtime_can_park(runtime)) {
                ret_arguments[0] = "magpie-init";
                ret_arguments[1] = "park";
                ret_arguments[2] = NULL;
                return;
        }
        runtime_arguments(runtime, NULL, ret_arguments);
        while (ret_arguments[count])
                count++;
        ret_arguments[count] = "parked";
        ret_arguments[count + 1] = NULL;
}

void runtime_adopting_arguments(const char *ret_arguments[RUNTIME_ARGUMENTS_MAX])
{
        ret_arguments[0] = "magpie-init";
        ret_arguments[1] = "adopt";
        ret_arguments[2] = NULL;
}
