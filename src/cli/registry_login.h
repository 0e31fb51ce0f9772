/* Who one is to a container registry. */
#pragma once

#include "base/err.h"

struct registry_login {
        char *user, *password; /* NULL: nobody */
};

/* MAGPIE_REGISTRY_USER and MAGPIE_REGISTRY_PASSWORD, else what `docker login` left for this registry
 * in ~/.docker/config.json (or DOCKER_CONFIG's), where that is in the file itself and not with a
 * helper. 0, or -EINVAL and a sentence. */
int registry_login_find(const char *registry, struct registry_login *ret_login, struct err *err);
void registry_login_deinit(struct registry_login *login); /* also as AUTO(registry_login_deinit) */
