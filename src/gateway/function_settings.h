/* A function's settings as JSON members, in both directions. */
#pragma once

#include "core/registry/function.h"

#include <cjson/cJSON.h>

struct gateway;

/* What a deployment says: the function's fields, and the code. */
struct deployment {
        struct function *function;
        const char *code;  /* base64, borrowed from the document; NULL where there is none */
        const char *image; /* a reference, borrowed likewise; NULL where there is none */
        const char *registry_user, *registry_password; /* likewise */
        bool has_name, has_runtime;
};

/* Reads all members of a new function. 0, or -EINVAL and a sentence that names the member. `known`: what
 * `reach` may name. */
int deployment_read(const cJSON *object, const struct reach_names *known,
                    struct deployment *deployment, struct err *err);
/* Reads the members that may be changed afterwards. */
int settings_read(const cJSON *object, const struct reach_names *known, struct function *function,
                  struct err *err);

/* The object that GET /api/v1/functions/{id} shows. NULL without memory. */
cJSON *function_document(const struct function *function);
