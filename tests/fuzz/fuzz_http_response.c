/* The response writer against a hostile function: whatever its headers are, the head has exactly
 * the lines that were accepted, ends once, and never leaves its memory.
 *
 * Input: a byte of capacity, a byte of framing, then "name:value" pairs, each ended by 0xff. */
#include "fuzzing.h"
#include "wire/http_bytes.h"
#include "wire/http_response.h"

/* The number of lines of a head that is well formed in every byte. */
static size_t count_lines(const char *at, const char *end)
{
        size_t lines = 0;

        while ((at = http_find_control(at, end)) < end) {
                FUZZ_EXPECT(end - at >= 2 && at[0] == '\r' && at[1] == '\n');
                /* The empty line is the last. */
                FUZZ_EXPECT((at[-1] == '\n') == (end - at == 2));
                lines++;
                at += 2;
        }
        return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice input = slice_make((const char *)data, size);
        struct http_terms terms = {0};
        struct http_framing framing;
        struct http_response response;
        size_t capacity, accepted = 0;
        int choice, status, length;
        char *room;

        if (size < 2)
                return 0;
        capacity = (size_t)data[0] * 8;
        choice = data[1];
        input = slice_skip(input, 2);

        terms.minor_version = choice & 1;
        terms.keep_alive = choice & 2;
        terms.method = choice & 4 ? HTTP_METHOD_HEAD : HTTP_METHOD_GET;
        status = 200 + choice / 16 * 20 + choice % 8;
        framing = http_framing_choose(&terms, status, choice & 8, capacity);

        room = malloc(capacity ? capacity : 1);
        FUZZ_EXPECT(room);
        http_response_begin(&response, room, capacity, status);
        while (input.length > 0) {
                struct slice value = fuzz_take_until(&input, (char)0xff);
                struct slice name = fuzz_take_until(&value, ':');
                size_t before = response.length;

                if (http_response_forward(&response, name, value) < 0)
                        FUZZ_EXPECT(response.length == before);
                accepted += response.length > before;
        }
        length = http_response_end(&response, &framing);
        FUZZ_EXPECT(response.length <= capacity);
        if (length >= 0) {
                size_t lines = count_lines(room, room + length);
                size_t framing_lines = 0;

                if (framing.kind == HTTP_FRAMING_LENGTH || framing.kind == HTTP_FRAMING_CHUNKED)
                        framing_lines++;
                if (!framing.keep_alive || framing.say_keep_alive)
                        framing_lines++;
                FUZZ_EXPECT(lines == 1 + accepted + framing_lines + 1);
                FUZZ_EXPECT(memcmp(room, "HTTP/1.1 ", 9) == 0);
        }
        free(room);
        return 0;
}
