/* A function's layers on their way to /opt; see function_layers.h. */
#include "gateway/function_layers.h"

#include <string.h>

bool function_wants_tree(const struct function *function)
{
        return function->layer_count > 0 && function->layers_digest[0] == '\0';
}

enum stage_result function_make_tree(struct bundles *bundles, struct function *function,
                                     const char digests[LAYERS_MAX][DIGEST_LENGTH + 1],
                                     struct err *err)
{
        const char *list[LAYERS_MAX];

        for (size_t i = 0; i < function->layer_count; i++)
                list[i] = digests[i];
        return bundles->ops->merge(bundles, function->layer_count, list, function->layers_digest,
                                   err);
}

void function_take_layers(struct function *function, const struct function *other)
{
        function->layer_count = other->layer_count;
        memcpy(function->layers, other->layers, sizeof(function->layers));
        memcpy(function->layers_digest, other->layers_digest, sizeof(function->layers_digest));
}
