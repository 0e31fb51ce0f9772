/* Manifests, indexes and configurations: what is taken is within its bounds. */
#include "adapters/images/configuration.h"
#include "fuzzing.h"

static void try_manifest(struct slice text)
{
        struct image_manifest manifest;
        struct err err = {0};
        int r = image_manifest_parse(text, &manifest, &err);

        FUZZ_EXPECT((r < 0) == (err.code < 0));
        if (r == 0 && manifest.is_index) {
                const struct manifest_entry *entry = image_manifest_choose(&manifest, &err);
                FUZZ_EXPECT(manifest.entry_count <= MANIFEST_ENTRIES_MAX);
                FUZZ_EXPECT(entry ? platform_runs_here(&entry->platform) : err.code < 0);
        } else if (r == 0) {
                FUZZ_EXPECT(manifest.layer_count >= 1 &&
                            manifest.layer_count <= MANIFEST_LAYERS_MAX);
        }
        image_manifest_deinit(&manifest);
}

static void try_configuration(struct slice text)
{
        struct configuration configuration;
        struct err err = {0};
        int r = configuration_parse(text, &configuration, &err);

        FUZZ_EXPECT((r < 0) == (err.code < 0));
        if (r == 0) {
                uint32_t port = configuration_port(&configuration);
                FUZZ_EXPECT(port >= 1 && port <= UINT16_MAX);
                FUZZ_EXPECT(configuration_contract(&configuration) != CONTRACT_NONE);
                FUZZ_EXPECT(configuration.word_count <= IMAGE_WORDS_MAX);
                FUZZ_EXPECT(configuration.env_count <= IMAGE_ENV_MAX);
                for (size_t i = 0; i < configuration.env_count; i++)
                        FUZZ_EXPECT(strchr(configuration.env[i], '='));
        }
        configuration_deinit(&configuration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size);

        try_manifest(slice_make(copy, size));
        try_configuration(slice_make(copy, size));
        free(copy);
        return 0;
}
