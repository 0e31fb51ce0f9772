/* The transport's complaints, which are partly a registry's words. */
#include "adapters/images/skopeo_words.h"
#include "fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size), sentence[SKOPEO_SENTENCE_MAX + 1];
        struct slice output = slice_make(copy, size);

        skopeo_sentence(output, sentence);
        FUZZ_EXPECT(strlen(sentence) <= SKOPEO_SENTENCE_MAX);
        for (const char *c = sentence; *c; c++)
                FUZZ_EXPECT((unsigned char)*c >= 0x20 && *c != 0x7f);
        FUZZ_EXPECT(skopeo_meaning(output) != IMAGE_READY);
        free(copy);
        return 0;
}
