/* Answers' heads: cutting the bytes changes nothing, and what was parsed lies within them and holds
 * nothing that a header may not hold. */
#include "fuzzing.h"
#include "wire/http_answer.h"
#include "wire/http_bytes.h"

#define HEAD_MAX 4096

struct outcome {
        enum http_parse_result result;
        const char *fault;
        struct http_answer answer;
};

static void parse(struct slice bytes, size_t step, bool to_head_request, struct outcome *outcome)
{
        size_t scanned = 0, shown = step;

        outcome->result = HTTP_PARSE_MORE;
        outcome->fault = NULL;
        while (outcome->result == HTTP_PARSE_MORE && scanned < bytes.length) {
                char *piece;

                shown = shown < bytes.length ? shown : bytes.length;
                piece = fuzz_copy(bytes.data, shown);
                outcome->result =
                        http_answer_parse(piece, shown, scanned, HEAD_MAX, to_head_request,
                                          &outcome->answer, &outcome->fault);
                for (size_t i = 0;
                     outcome->result == HTTP_PARSE_DONE && i < outcome->answer.header_count; i++) {
                        struct slice name = outcome->answer.headers[i].name;
                        struct slice value = outcome->answer.headers[i].value;
                        FUZZ_EXPECT(name.data >= piece && http_is_token(name));
                        FUZZ_EXPECT(value.data + value.length <=
                                    piece + outcome->answer.head_length);
                        FUZZ_EXPECT(http_find_control(value.data, value.data + value.length) ==
                                    value.data + value.length);
                }
                free(piece);
                scanned = shown < HEAD_MAX ? shown : HEAD_MAX;
                shown += step;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct outcome whole, bytewise;
        struct slice bytes = slice_make((const char *)data, size);
        bool to_head_request = size % 2;

        if (size > 2 * HEAD_MAX)
                return 0;
        parse(bytes, size, to_head_request, &whole);
        parse(bytes, 1, to_head_request, &bytewise);
        FUZZ_EXPECT(whole.result == bytewise.result);
        if (whole.result != HTTP_PARSE_DONE)
                return 0;
        FUZZ_EXPECT(whole.answer.head_length == bytewise.answer.head_length);
        FUZZ_EXPECT(whole.answer.head_length <= HEAD_MAX);
        FUZZ_EXPECT(whole.answer.status >= 100 && whole.answer.status <= 599);
        FUZZ_EXPECT(whole.answer.body == bytewise.answer.body);
        FUZZ_EXPECT(whole.answer.content_length == bytewise.answer.content_length);
        FUZZ_EXPECT(whole.answer.keep_alive == bytewise.answer.keep_alive);
        FUZZ_EXPECT(whole.answer.header_count == bytewise.answer.header_count);
        return 0;
}
