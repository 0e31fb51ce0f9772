/* What is different where the function is an image: no code is packed, and the node pulls it; see
 * deploy.h. */
#include "cli/deploy.h"

#include "base/auto.h"
#include "base/clock.h"
#include "cli/registry_login.h"
#include "cli/text.h"
#include "core/registry/function.h"
#include "wire/image_reference.h"

#include <errno.h>
#include <string.h>

#define LOOK_EVERY_MS 300
#define FUNCTION_NAME_SIZE 64

int deploy_image_prepare(struct deploy *deploy, struct err *err)
{
        struct manifest *manifest = &deploy->manifest;
        struct image_reference reference;
        char name[FUNCTION_NAME_SIZE];
        int r = image_reference_parse(slice_of(manifest->image), &reference, err);

        if (r < 0)
                return r;
        if (!manifest->name) {
                image_reference_name(&reference, 0, name, sizeof(name));
                if (function_name_is_reserved(slice_of(name))) /* as the node would */
                        image_reference_name(&reference, 1, name, sizeof(name));
                manifest->name = text_copy(name);
        }
        if (manifest->build)
                return err_set(err, -EINVAL,
                               "build is for code: an image has been built by somebody else");
        return 0;
}

int deploy_image_body(const struct deploy *deploy, struct buffer *body, struct err *err)
{
        AUTO(json_free) cJSON *settings = manifest_to_json(&deploy->manifest);
        AUTO(registry_login_deinit) struct registry_login login = {0};
        struct image_reference reference;
        char *text;
        int r = image_reference_parse(slice_of(deploy->manifest.image), &reference, err);

        if (r == 0)
                r = registry_login_find(reference.registry, &login, err);
        if (r < 0)
                return r;
        if (login.user) {
                (void)cJSON_AddStringToObject(settings, "registryUser", login.user);
                (void)cJSON_AddStringToObject(settings, "registryPassword", login.password);
        }
        text = cJSON_PrintUnformatted(settings);
        r = text ? buffer_append_text(body, text) : -ENOMEM;
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
        return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* The pull of our image among those that run. */
static const cJSON *find_pull(const cJSON *pulls, const char *image)
{
        for (const cJSON *pull = json_first(pulls); pull; pull = pull->next)
                if (strcmp(json_text(pull, "image"), image) == 0)
                        return pull;
        return NULL;
}

static void show_pull(struct deploy *deploy, const cJSON *pull)
{
        const cJSON *layers = cJSON_GetObjectItemCaseSensitive(pull, "layers");
        double size = json_number(pull, "size"), bytes = json_number(pull, "bytes");
        const char *state = json_text(pull, "state");
        unsigned there = 0;

        for (const cJSON *layer = json_first(layers); layer; layer = layer->next)
                there += strcmp(json_text(layer, "state"), "there") == 0;
        if (strcmp(state, "pulling") == 0 && size > 0)
                progress_show(&deploy->progress, "pulling %s: %.0f %% of %.1f MB, %d layers",
                              deploy->manifest.image, bytes * 100 / size, size / 1e6,
                              cJSON_GetArraySize(layers));
        else if (strcmp(state, "unpacking") == 0)
                progress_show(&deploy->progress, "unpacking %s: %u of %d layers",
                              deploy->manifest.image, there, cJSON_GetArraySize(layers));
        else
                progress_show(&deploy->progress, "%s %s ...", state, deploy->manifest.image);
}

void deploy_image_watch(struct deploy *deploy)
{
        const struct request request = {.method = "GET", .path = "/api/v1/pulls"};
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(json_free) cJSON *pulls = NULL;
        uint64_t now_ns = clock_now_ns();
        const cJSON *pull;

        if (!deploy->progress.lively || now_ns < deploy->look_again_ns)
                return;
        deploy->look_again_ns = now_ns + LOOK_EVERY_MS * NS_PER_MS;
        if (client_send(&deploy->watcher, &request, &reply, NULL) < 0 || reply.status != 200)
                return;
        pulls = cJSON_ParseWithLength(reply.body.data, reply.body.length);
        pull = find_pull(pulls, deploy->manifest.image);
        if (pull)
                show_pull(deploy, pull);
        else
                progress_show(&deploy->progress, "verifying %s: the node starts it once ...",
                              deploy->manifest.name);
}
