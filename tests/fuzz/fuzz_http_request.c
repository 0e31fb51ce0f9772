/* The request parser: whatever the bytes and however they are cut, the result is one and the same,
 * and everything it points to lies inside the head. */
#include "fuzzing.h"
#include "http_pieces.h"
#include "wire/http_bytes.h"

/* Beyond this, one byte at a time would make a slow harness. */
#define BYTEWISE_MAX 600

static void expect_inside(const struct http_outcome *outcome, struct slice text)
{
        const char *begin = outcome->memory, *end = begin + outcome->request.head_length;

        if (text.data && !(text.length == 1 && text.data[0] == '/'))
                FUZZ_EXPECT(text.data >= begin && text.data + text.length <= end);
}

static void expect_sound(const struct http_outcome *outcome)
{
        const struct http_request *request = &outcome->request;

        FUZZ_EXPECT(request->head_length > 0 && request->head_length <= outcome->fed);
        FUZZ_EXPECT(memcmp(outcome->memory + request->head_length - 4, "\r\n\r\n", 4) == 0);
        FUZZ_EXPECT(request->path.data[0] == '/' || request->path.data[0] == '*');
        FUZZ_EXPECT(request->minor_version == 0 || request->host.length > 0);
        FUZZ_EXPECT(request->has_query == (request->query.data != NULL));
        FUZZ_EXPECT(request->content_length == 0 || request->body == HTTP_BODY_LENGTH);
        FUZZ_EXPECT(request->minor_version == 1 || request->body != HTTP_BODY_CHUNKED);
        FUZZ_EXPECT(request->header_count <= HTTP_HEADERS_MAX);
        expect_inside(outcome, request->method_text);
        expect_inside(outcome, request->target);
        expect_inside(outcome, request->path);
        expect_inside(outcome, request->query);
        expect_inside(outcome, request->host);
        expect_inside(outcome, request->authorization);
        expect_inside(outcome, request->content_type);
        expect_inside(outcome, request->prefer);
        for (size_t i = 0; i < request->header_count; i++) {
                struct slice name = request->headers[i].name, value = request->headers[i].value;

                expect_inside(outcome, name);
                expect_inside(outcome, value);
                FUZZ_EXPECT(http_is_token(name));
                FUZZ_EXPECT(http_find_control(value.data, value.data + value.length) ==
                            value.data + value.length);
        }
        (void)http_request_lists(request, SLICE("prefer"), SLICE("respond-async"));
}

static void expect_agreement(struct slice bytes, const struct http_limits *limits)
{
        static struct http_outcome whole, pieces;
        size_t step = bytes.length <= BYTEWISE_MAX ? 1 : bytes.length / BYTEWISE_MAX + 1;

        http_parse_pieces(bytes, SIZE_MAX, 1, limits, &whole);
        http_parse_pieces(bytes, 0, step, limits, &pieces);
        FUZZ_EXPECT(http_outcomes_agree(&whole, &pieces));
        if (whole.result == HTTP_PARSE_DONE) {
                expect_sound(&whole);
                expect_sound(&pieces);
        }
        if (whole.result == HTTP_PARSE_REFUSED)
                FUZZ_EXPECT(whole.refusal.status >= 400 && whole.refusal.reason[0]);
        http_outcome_deinit(&whole);
        http_outcome_deinit(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice bytes = slice_make((const char *)data, size);
        const struct http_limits usual = HTTP_LIMITS_DEFAULT;
        const struct http_limits small = {.head_max = 64, .target_max = 16, .header_max = 2};

        expect_agreement(bytes, &usual);
        expect_agreement(bytes, &small);
        return 0;
}
