/* What a Lambda runtime sends: an answer's headers are such that the gateway takes them, its body
 * lies within what came, and an error's JSON is JSON. */
#include "fuzzing.h"
#include "wire/json_text.h"
#include "wire/lambda_answer.h"
#include "wire/worker_protocol.h"

#define META_CAPACITY 512

static void expect_headers(const char *meta, const struct lambda_answer *answer)
{
        struct slice rest = slice_make(meta, answer->meta_length), name, value;
        int error;

        FUZZ_EXPECT(answer->meta_length <= META_CAPACITY);
        FUZZ_EXPECT(answer->status == 0 || (answer->status >= 200 && answer->status <= 599));
        while (worker_meta_next_header(&rest, &name, &value, &error))
                ;
        FUZZ_EXPECT(error == 0 && rest.length == 0);
}

static void expect_error(char *bytes, size_t size)
{
        char *json = malloc(LAMBDA_ERROR_MIN);
        struct lambda_error error;
        struct json_value value;
        struct slice text;

        FUZZ_EXPECT(json);
        lambda_error_read(bytes, size, SLICE(""), &error);
        FUZZ_EXPECT(error.type.length > 0);
        text = slice_make(json, lambda_error_write(&error, json, LAMBDA_ERROR_MIN));
        FUZZ_EXPECT(text.length <= LAMBDA_ERROR_MIN);
        FUZZ_EXPECT(json_take(&text, &value) && text.length == 0 && value.kind == JSON_OBJECT);
        free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *meta = malloc(META_CAPACITY), *bytes = fuzz_copy(data, size);
        struct lambda_answer answer;

        FUZZ_EXPECT(meta);
        if (!lambda_answer_read(bytes, size, meta, META_CAPACITY, &answer)) {
                expect_headers(meta, &answer);
                FUZZ_EXPECT(answer.body.length <= size);
                FUZZ_EXPECT(answer.body.length == 0 ||
                            (answer.body.data >= bytes &&
                             answer.body.data + answer.body.length <= bytes + size));
        }
        free(bytes);
        bytes = fuzz_copy(data, size);
        if (!lambda_prelude_read(bytes, size, meta, META_CAPACITY, &answer))
                expect_headers(meta, &answer);
        free(bytes);
        bytes = fuzz_copy(data, size);
        expect_error(bytes, size);
        free(bytes);
        free(meta);
        return 0;
}
