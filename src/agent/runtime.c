/* Command lines; see runtime.h. The first word names the contract to magpie-init: "shim" runs one
 * process that speaks the worker protocol, "exec" runs one process an invocation. */
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
