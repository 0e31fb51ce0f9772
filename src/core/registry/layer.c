/* Layers and the functions that name them; see layer.h and function.h. */
#include "core/registry/layer.h"

#include "base/text.h"
#include "core/registry/catalog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct layer *layer_new(void)
{
        struct layer *layer = calloc(1, sizeof(*layer));

        if (layer)
                atomic_init(&layer->references, 1);
        return layer;
}

struct layer *layer_ref(struct layer *layer)
{
        atomic_fetch_add_explicit(&layer->references, 1, memory_order_relaxed);
        return layer;
}

void layer_unref(struct layer *layer)
{
        if (layer && atomic_fetch_sub_explicit(&layer->references, 1, memory_order_acq_rel) == 1)
                free(layer);
}

void layer_format(const struct layer *layer, char *ret_text)
{
        (void)snprintf(ret_text, LAYER_TEXT_SIZE, "%s:%" PRIu32, layer->name, layer->version);
}

bool function_has_layer(const struct function *function, const struct layer *layer)
{
        for (size_t i = 0; i < function->layer_count; i++)
                if (strcmp(function->layers[i].id, layer->id) == 0)
                        return true;
        return false;
}

/* A version as it is written: digits, no zero in front. */
static bool version_parse(struct slice text, uint32_t *ret_version)
{
        uint64_t version = 0;

        if (text.length < 1 || text.length > 10 || text.data[0] == '0')
                return false;
        for (size_t i = 0; i < text.length; i++) {
                if (text.data[i] < '0' || text.data[i] > '9')
                        return false;
                version = version * 10 + (uint64_t)(text.data[i] - '0');
        }
        *ret_version = (uint32_t)version;
        return version <= LAYER_VERSION_MAX;
}

int layer_reference_parse(struct slice text, struct layer_reference *ret_layer, struct err *err)
{
        const char *colon = text.length > 0 ? memchr(text.data, ':', text.length) : NULL;
        struct slice name =
                slice_make(text.data, colon ? (size_t)(colon - text.data) : text.length);
        struct layer_reference layer = {0};
        int r = name_validate(name, err);

        if (r < 0) {
                (void)err_prefix(err, "layer");
                return r;
        }
        if (colon && !version_parse(slice_skip(text, name.length + 1), &layer.version))
                return err_set(err, -EINVAL,
                               "layer '%s' is not of the form NAME or NAME:VERSION, such as "
                               "tools or tools:3",
                               text_quote(text).text);
        memcpy(layer.name, name.data, name.length);
        *ret_layer = layer;
        return 0;
}

void layer_reference_format(const struct layer_reference *layer, char *ret_text)
{
        if (layer->version == 0)
                (void)snprintf(ret_text, LAYER_TEXT_SIZE, "%s", layer->name);
        else
                (void)snprintf(ret_text, LAYER_TEXT_SIZE, "%s:%" PRIu32, layer->name,
                               layer->version);
}

int function_add_layer(struct function *function, const struct layer_reference *layer,
                       struct err *err)
{
        if (function->layer_count == LAYERS_MAX)
                return err_set(err, -EINVAL, "a function has at most %d layers", LAYERS_MAX);
        for (size_t i = 0; i < function->layer_count; i++)
                if (strcmp(function->layers[i].name, layer->name) == 0)
                        return err_set(err, -EINVAL, "layer '%s' is named twice", layer->name);
        function->layers[function->layer_count++] = *layer;
        return 0;
}

int layers_resolve(const struct catalog *catalog, struct function *function,
                   char ret_digests[LAYERS_MAX][DIGEST_LENGTH + 1], struct err *err)
{
        for (size_t i = 0; i < function->layer_count; i++) {
                struct layer_reference *wanted = &function->layers[i];
                const struct layer *layer =
                        catalog_find_layer_by_name(catalog, slice_of(function->owner_id),
                                                   slice_of(wanted->name), wanted->version);
                char text[LAYER_TEXT_SIZE];

                if (!layer) {
                        layer_reference_format(wanted, text);
                        return err_set(err, -ENOENT, "There is no layer '%s'.", text);
                }
                memcpy(wanted->id, layer->id, sizeof(wanted->id));
                wanted->version = layer->version;
                memcpy(ret_digests[i], layer->digest, DIGEST_LENGTH + 1);
        }
        return 0;
}
