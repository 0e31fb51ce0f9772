/* GET /api/v1/pulls: the caller's images that are on their way just now. */
#include "gateway/api_call.h"

#include "ports/images.h"

static const char *pull_state_name(enum pull_state state)
{
        switch (state) {
        case PULL_RESOLVING:
                return "resolving";
        case PULL_PULLING:
                return "pulling";
        case PULL_UNPACKING:
                return "unpacking";
        case PULL_LINKING:
                return "linking";
        }
        return "";
}

static const char *layer_state_name(enum layer_state state)
{
        switch (state) {
        case LAYER_WAITING:
                return "waiting";
        case LAYER_PULLING:
                return "pulling";
        case LAYER_PULLED:
                return "pulled";
        case LAYER_UNPACKING:
                return "unpacking";
        case LAYER_THERE:
                return "there";
        }
        return "";
}

static void add_pull(const struct pull_progress *pull, void *context)
{
        cJSON *object = cJSON_CreateObject();
        cJSON *layers;
        uint64_t size = 0, bytes = 0;

        (void)cJSON_AddStringToObject(object, "image", pull->reference);
        (void)cJSON_AddStringToObject(object, "digest", pull->digest);
        (void)cJSON_AddStringToObject(object, "state", pull_state_name(pull->state));
        for (size_t i = 0; i < pull->layer_count; i++) {
                size += pull->layers[i].size;
                bytes += pull->layers[i].bytes;
        }
        (void)cJSON_AddNumberToObject(object, "size", (double)size);
        (void)cJSON_AddNumberToObject(object, "bytes", (double)bytes);
        layers = cJSON_AddArrayToObject(object, "layers");
        for (size_t i = 0; i < pull->layer_count; i++) {
                const struct layer_progress *layer = &pull->layers[i];
                cJSON *item = cJSON_CreateObject();
                (void)cJSON_AddStringToObject(item, "digest", layer->digest);
                (void)cJSON_AddStringToObject(item, "state", layer_state_name(layer->state));
                (void)cJSON_AddNumberToObject(item, "size", (double)layer->size);
                (void)cJSON_AddNumberToObject(item, "bytes", (double)layer->bytes);
                (void)cJSON_AddItemToArray(layers, item);
        }
        (void)cJSON_AddItemToArray(context, object);
}

void api_pull_list(struct api_call *call)
{
        struct images *images = api_gateway(call)->images;
        cJSON *list = cJSON_CreateArray();

        if (list && images)
                images->ops->each_pull(images, call->user->id, add_pull, list);
        api_answer(call, 200, list);
}
