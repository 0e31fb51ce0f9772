/* Prometheus' text from whatever server is under load. Input: the text; its first word is the name
 * that is looked for. */
#include "fuzzing.h"
#include "lab/metrics_text.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice text = slice_make((const char *)data, size), rest = text;
        struct slice name = fuzz_take_until(&rest, ' ');
        struct metric metric = metrics_text_find(text, name);

        FUZZ_EXPECT(metric.count <= size);
        if (metric.count == 0)
                FUZZ_EXPECT(metric.sum == 0 && metric.max == 0);
        else
                FUZZ_EXPECT(isfinite(metric.max));
        return 0;
}
