/* A request as an event, meta and body parted by a NUL: whatever they are, it is JSON within its
 * limit. */
#include "fuzzing.h"
#include "wire/json_text.h"
#include "wire/lambda_event.h"

#include "base/text.h"

#include <errno.h>

#define EVENT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *copy = fuzz_copy(data, size);
        struct slice rest = slice_make(copy, size);
        struct lambda_request request = {.meta = fuzz_take_until(&rest, '\0'),
                                         .body = rest,
                                         .function_name = SLICE("f"),
                                         .now_ms = size * 1000000007ull};
        struct json_value value;
        struct buffer out;
        struct slice text;
        int r;

        buffer_init(&out, EVENT_MAX);
        r = lambda_event_write(&out, &request);
        FUZZ_EXPECT(r == 0 || r == -EPROTO || r == -ENOBUFS);
        FUZZ_EXPECT(out.length <= EVENT_MAX);
        text = buffer_slice(&out);
        if (r == 0) {
                FUZZ_EXPECT(text_is_utf8(text));
                FUZZ_EXPECT(json_take(&text, &value) && text.length == 0);
                FUZZ_EXPECT(value.kind == JSON_OBJECT);
        }
        buffer_deinit(&out);
        free(copy);
        return 0;
}
