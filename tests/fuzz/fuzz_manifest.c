/* function.yaml: whatever it holds, parsing ends; a refusal has a line number and a sentence; what
 * was taken is within bounds and can be sent. */
#include "cli/manifest.h"
#include "core/registry/function.h"
#include "fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct layer_reference layer;
        struct manifest manifest;
        struct err err = {0};
        uint64_t amount;
        int r;

        manifest_init(&manifest);
        r = manifest_parse(&manifest, slice_make((const char *)data, size), &err);
        if (r < 0) {
                FUZZ_EXPECT(strncmp(err.text, "line ", 5) == 0);
                FUZZ_EXPECT(err.code == r && strchr(err.text, ':'));
        } else {
                cJSON *object = manifest_to_json(&manifest);
                FUZZ_EXPECT(object);
                FUZZ_EXPECT(manifest.env.count <= ENV_MAX_COUNT);
                FUZZ_EXPECT(manifest.layers.count <= LAYERS_MAX);
                for (size_t i = 0; i < manifest.layers.count; i++)
                        FUZZ_EXPECT(layer_reference_parse(slice_of(manifest.layers.items[i]),
                                                          &layer, NULL) == 0);
                FUZZ_EXPECT(!manifest.name || name_validate(slice_of(manifest.name), NULL) == 0);
                FUZZ_EXPECT(!manifest.memory ||
                            size_parse(slice_of(manifest.memory), &amount, NULL) == 0);
                FUZZ_EXPECT(manifest.concurrency >= -1 && manifest.is_public <= 1);
                cJSON_Delete(object);
        }
        manifest_deinit(&manifest);
        return 0;
}
