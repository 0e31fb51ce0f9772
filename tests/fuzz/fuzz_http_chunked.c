/* The chunked decoder: cutting the input changes nothing, the payload is never larger than allowed,
 * and what was decoded can be encoded and decoded again. */
#include "fuzzing.h"
#include "wire/http_chunked.h"

#define BODY_MAX 4096

struct body {
        enum http_chunked_result result;
        struct http_refusal refusal;
        size_t length, left;
        char payload[BODY_MAX];
};

static void decode(struct slice bytes, size_t step, struct body *ret_body)
{
        struct http_chunked chunked;

        http_chunked_init(&chunked, BODY_MAX);
        ret_body->result = HTTP_CHUNKED_MORE;
        ret_body->length = 0;
        while (ret_body->result == HTTP_CHUNKED_MORE && bytes.length > 0) {
                size_t length = bytes.length < step ? bytes.length : step;
                char *piece = fuzz_copy(bytes.data, length);
                struct slice input = slice_make(piece, length), payload;

                while ((ret_body->result = http_chunked_next(&chunked, &input, &payload,
                                                             &ret_body->refusal)) ==
                       HTTP_CHUNKED_DATA) {
                        FUZZ_EXPECT(payload.length > 0 && payload.data >= piece);
                        FUZZ_EXPECT(payload.data + payload.length == input.data);
                        FUZZ_EXPECT(payload.length <= BODY_MAX - ret_body->length);
                        memcpy(ret_body->payload + ret_body->length, payload.data, payload.length);
                        ret_body->length += payload.length;
                }
                FUZZ_EXPECT(input.data + input.length == piece + length);
                bytes = slice_skip(bytes, length - input.length);
                free(piece);
        }
        ret_body->left = bytes.length;
}

static void expect_agreement(const struct body *a, const struct body *b)
{
        FUZZ_EXPECT(a->result == b->result && a->length == b->length);
        FUZZ_EXPECT(memcmp(a->payload, b->payload, a->length) == 0);
        if (a->result == HTTP_CHUNKED_REFUSED)
                FUZZ_EXPECT(a->refusal.status == b->refusal.status);
        if (a->result == HTTP_CHUNKED_DONE)
                FUZZ_EXPECT(a->left == b->left);
}

/* Encodes the payload as chunks of 1, 2, 3 ... bytes. */
static void expect_round_trip(const struct body *body)
{
        static char text[BODY_MAX * 8];
        static struct body again;
        size_t used = 0;

        for (size_t at = 0, size = 1; at < body->length; at += size, size++) {
                if (size > body->length - at)
                        size = body->length - at;
                used += http_chunk_head(size, text + used);
                memcpy(text + used, body->payload + at, size);
                used += size;
                memcpy(text + used, HTTP_CHUNK_TAIL.data, HTTP_CHUNK_TAIL.length);
                used += HTTP_CHUNK_TAIL.length;
        }
        memcpy(text + used, HTTP_CHUNK_LAST.data, HTTP_CHUNK_LAST.length);
        used += HTTP_CHUNK_LAST.length;
        decode(slice_make(text, used), used, &again);
        FUZZ_EXPECT(again.result == HTTP_CHUNKED_DONE && again.left == 0);
        FUZZ_EXPECT(again.length == body->length);
        FUZZ_EXPECT(memcmp(again.payload, body->payload, again.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct body whole, bytewise;
        struct slice bytes = slice_make((const char *)data, size);

        decode(bytes, size, &whole);
        decode(bytes, 1, &bytewise);
        expect_agreement(&whole, &bytewise);
        if (whole.result == HTTP_CHUNKED_DONE)
                expect_round_trip(&whole);
        return 0;
}
