/* Credentials for registries; see registry_login.h. */
#include "cli/registry_login.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/output.h"
#include "cli/text.h"
#include "wire/base64.h"

#include <errno.h>
#include <string.h>

#define CONFIG_MAX (1u << 20)
#define DOCKER_HUB "docker.io"

static void wipe(char *text)
{
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
}

void registry_login_deinit(struct registry_login *login)
{
        free(login->user);
        wipe(login->password);
        *login = (struct registry_login){0};
}

/* "user:password" in base64. False for anything else. */
static bool read_auth(const char *text, struct registry_login *login)
{
        size_t length = strlen(text);
        AUTO(memory_free) char *plain = text_copy(text);
        const char *colon;

        if (base64_decode(BASE64_STANDARD, slice_make(text, length), plain, &length) < 0)
                return false;
        colon = memchr(plain, ':', length);
        if (!colon || colon == plain || memchr(plain, '\0', length))
                return false;
        login->user = text_copy_span(plain, (size_t)(colon - plain));
        login->password = text_copy_span(colon + 1, length - (size_t)(colon + 1 - plain));
        explicit_bzero(plain, length);
        return true;
}

/* Docker's own registry has had several names; others may be written as URLs. */
static const cJSON *find_entry(const cJSON *auths, const char *registry)
{
        AUTO(memory_free) char *url = text_format("https://%s", registry);
        const char *const names[] = {registry, url, NULL};
        const char *const hub[] = {"https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB,
                                   NULL};
        const char *const *at = strcmp(registry, DOCKER_HUB) == 0 ? hub : names;

        for (; *at; at++) {
                const cJSON *entry = cJSON_GetObjectItemCaseSensitive(auths, *at);
                if (entry)
                        return entry;
        }
        return NULL;
}

static void find_in_docker_config(const char *registry, struct registry_login *login)
{
        const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
        AUTO(memory_free)
        char *path = folder && *folder ? text_format("%s/config.json", folder)
                                       : text_format("%s/.docker/config.json", home ? home : "");
        AUTO(buffer_deinit) struct buffer text;
        AUTO(json_free) cJSON *config = NULL;
        const cJSON *entry;

        buffer_init(&text, CONFIG_MAX);
        if (file_read(path, &text, NULL) < 0 || text.length == 0)
                return;
        config = cJSON_ParseWithLength(text.data, text.length);
        entry = find_entry(cJSON_GetObjectItemCaseSensitive(config, "auths"), registry);
        if (entry)
                (void)read_auth(json_text(entry, "auth"), login);
        explicit_bzero(text.data, text.length);
}

int registry_login_find(const char *registry, struct registry_login *ret_login, struct err *err)
{
        const char *user = getenv("MAGPIE_REGISTRY_USER");
        const char *password = getenv("MAGPIE_REGISTRY_PASSWORD");

        *ret_login = (struct registry_login){0};
        if (user && *user) {
                ret_login->user = text_copy(user);
                ret_login->password = text_copy(password ? password : "");
        } else if (password && *password) {
                return err_set(err, -EINVAL,
                               "MAGPIE_REGISTRY_PASSWORD is set, and MAGPIE_REGISTRY_USER is not");
        } else {
                find_in_docker_config(registry, ret_login);
        }
        return 0;
}
