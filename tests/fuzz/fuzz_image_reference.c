/* References: what is taken is spelled in one way that is taken again, and gives a good name. */
#include "core/registry/function.h"
#include "fuzzing.h"
#include "wire/image_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size), location[IMAGE_LOCATION_SIZE],
             again[IMAGE_LOCATION_SIZE];
        char name[NAME_MAX_LENGTH + 1];
        struct image_reference reference, second;

        if (image_reference_parse(slice_make(copy, size), &reference, NULL) == 0) {
                image_reference_locate(&reference, NULL, location);
                FUZZ_EXPECT(image_reference_parse(slice_of(location), &second, NULL) == 0);
                image_reference_locate(&second, NULL, again);
                FUZZ_EXPECT(strcmp(location, again) == 0);
                for (unsigned attempt = 0; attempt < 3; attempt++) {
                        image_reference_name(&reference, attempt, name, sizeof(name));
                        FUZZ_EXPECT(name_validate(slice_of(name), NULL) == 0);
                }
                (void)image_registry_is_loopback(reference.registry);
        }
        free(copy);
        return 0;
}
