/* Command lines; see runtime.h. */
#include "agent/runtime.h"

#include <string.h>

void runtime_arguments(enum agent_runtime runtime, const char *program,
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
        }
        memcpy(ret_arguments, line, RUNTIME_ARGUMENTS_MAX * sizeof(*line));
        if (ret_arguments[2][0] == '\0')
                ret_arguments[2] = program;
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
