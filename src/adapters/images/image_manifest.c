/* Manifests and indexes; see image_manifest.h. */
#include "adapters/images/image_manifest.h"

#include "adapters/images/document.h"
#include "base/auto.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE(string) text_quote(slice_of(string)).text

#if defined(__x86_64__)
#define ARCHITECTURE_HERE "amd64"
#define VARIANT_HERE "v1"
#elif defined(__aarch64__)
#define ARCHITECTURE_HERE "arm64"
#define VARIANT_HERE "v8"
#else
#error "this machine has no name for images"
#endif

static const struct platform here = {.system = "linux", .architecture = ARCHITECTURE_HERE};

const struct platform *platform_here(void)
{
        return &here;
}

bool platform_runs_here(const struct platform *platform)
{
        return strcmp(platform->system, here.system) == 0 &&
               strcmp(platform->architecture, here.architecture) == 0;
}

static int read_blob(const cJSON *descriptor, const char *what, struct blob_reference *ret_blob,
                     struct err *err)
{
        if (!sha256_parse(slice_of(document_text(descriptor, "digest")), ret_blob->digest))
                return err_set(err, -EINVAL, "%s of the image's manifest has no digest by SHA-256",
                               what);
        if (!document_size(descriptor, "size", &ret_blob->size))
                return err_set(err, -EINVAL, "%s of the image's manifest has no size", what);
        return 0;
}

/* Layers that lie elsewhere would have us ask whomever the image names. */
static int check_layer(const cJSON *layer, struct err *err)
{
        const char *type = document_text(layer, "mediaType");

        if (strstr(type, "nondistributable") || strstr(type, "foreign") ||
            cJSON_GetArraySize(document_array(layer, "urls")) > 0)
                return err_set(err, -ENOTSUP,
                               "the image has a layer that is not in its registry ('%s')",
                               QUOTE(type));
        if (strstr(type, "encrypted"))
                return err_set(err, -ENOTSUP, "the image has an encrypted layer");
        return 0;
}

static int read_image(const cJSON *document, struct image_manifest *manifest, struct err *err)
{
        const cJSON *layers = document_array(document, "layers"), *layer;
        int count = cJSON_GetArraySize(layers), r;

        r = read_blob(document_object(document, "config"), "the configuration",
                      &manifest->configuration, err);
        if (r < 0)
                return r;
        if (count < 1 || count > MANIFEST_LAYERS_MAX)
                return err_set(err, -EINVAL, "the image has %d layers: 1 to %d are allowed", count,
                               MANIFEST_LAYERS_MAX);
        manifest->layers = calloc((size_t)count, sizeof(*manifest->layers));
        if (!manifest->layers)
                return err_set(err, -ENOMEM, "no memory for the image's manifest");
        cJSON_ArrayForEach(layer, layers)
        {
                r = check_layer(layer, err);
                if (r == 0)
                        r = read_blob(layer, "a layer", &manifest->layers[manifest->layer_count],
                                      err);
                if (r < 0)
                        return r;
                manifest->layer_count++;
        }
        return 0;
}

static bool copy_text(const char *text, char ret_text[PLATFORM_TEXT_MAX + 1])
{
        if (strlen(text) > PLATFORM_TEXT_MAX)
                return false;
        memcpy(ret_text, text, strlen(text) + 1);
        return true;
}

static int read_index(const cJSON *document, struct image_manifest *manifest, struct err *err)
{
        const cJSON *entries = document_array(document, "manifests"), *item;
        int count = cJSON_GetArraySize(entries), r;

        manifest->is_index = true;
        if (count < 1 || count > MANIFEST_ENTRIES_MAX)
                return err_set(err, -EINVAL, "the index has %d images: 1 to %d are allowed", count,
                               MANIFEST_ENTRIES_MAX);
        manifest->entries = calloc((size_t)count, sizeof(*manifest->entries));
        if (!manifest->entries)
                return err_set(err, -ENOMEM, "no memory for the image's index");
        cJSON_ArrayForEach(item, entries)
        {
                struct manifest_entry *entry = &manifest->entries[manifest->entry_count];
                const cJSON *platform = document_object(item, "platform");

                r = read_blob(item, "an image", &entry->manifest, err);
                if (r < 0)
                        return r;
                /* What has no platform, or a curious one, is for nobody: attestations, for instance. */
                if (copy_text(document_text(platform, "os"), entry->platform.system) &&
                    copy_text(document_text(platform, "architecture"),
                              entry->platform.architecture) &&
                    copy_text(document_text(platform, "variant"), entry->platform.variant))
                        manifest->entry_count++;
        }
        return 0;
}

int image_manifest_parse(struct slice text, struct image_manifest *ret_manifest, struct err *err)
{
        AUTO(document_free) cJSON *document = NULL;
        bool is_image, is_index;
        uint64_t version = 0;
        int r;

        *ret_manifest = (struct image_manifest){0};
        r = document_parse(text, "the image's manifest", &document, err);
        if (r < 0)
                return r;
        is_image = document_array(document, "layers") != NULL;
        is_index = document_array(document, "manifests") != NULL;
        if (!document_size(document, "schemaVersion", &version) || version != 2)
                return err_set(err, -ENOTSUP,
                               "the image's manifest is of an old kind (version %u): push it again "
                               "with a builder of today",
                               (unsigned)version);
        /* What could be read both ways would be one thing to us and another to somebody else. */
        if (is_image == is_index)
                return err_set(err, -EINVAL, "the image's manifest names %s",
                               is_image ? "layers and images" : "neither layers nor images");
        return is_image ? read_image(document, ret_manifest, err)
                        : read_index(document, ret_manifest, err);
}

void image_manifest_deinit(struct image_manifest *manifest)
{
        free(manifest->layers);
        free(manifest->entries);
        *manifest = (struct image_manifest){0};
}

/* "linux/amd64, linux/arm64/v8" */
static void list_platforms(const struct image_manifest *index, char *ret_text, size_t size)
{
        size_t used = 0;

        ret_text[0] = '\0';
        for (size_t i = 0; i < index->entry_count && used < size; i++) {
                const struct platform *platform = &index->entries[i].platform;
                if (platform->system[0] == '\0' || strcmp(platform->system, "unknown") == 0)
                        continue;
                used += (size_t)snprintf(ret_text + used, size - used, "%s%s/%s%s%s",
                                         used ? ", " : "", platform->system, platform->architecture,
                                         platform->variant[0] ? "/" : "", platform->variant);
        }
}

const struct manifest_entry *image_manifest_choose(const struct image_manifest *index,
                                                   struct err *err)
{
        const struct manifest_entry *found = NULL;
        char list[300];

        for (size_t i = 0; i < index->entry_count; i++) {
                const struct manifest_entry *entry = &index->entries[i];
                const char *variant = entry->platform.variant;
                if (!platform_runs_here(&entry->platform))
                        continue;
                /* The plainest runs on every machine of the kind. */
                if (variant[0] == '\0' || strcmp(variant, VARIANT_HERE) == 0)
                        return entry;
                if (!found)
                        found = entry;
        }
        if (found)
                return found;
        list_platforms(index, list, sizeof(list));
        (void)err_set(err, -ENOENT, "the image is not for this machine, %s/%s; it is for %s",
                      here.system, here.architecture, list[0] ? QUOTE(list) : "no machine at all");
        return NULL;
}
