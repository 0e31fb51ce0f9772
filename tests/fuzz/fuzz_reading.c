/* The client's answer parser and reader: cutting the input changes nothing but what a connection's
 * next answer is blamed on, and no byte is read beyond it. */
#include "fuzzing.h"
#include "lab/reading.h"

struct outcome {
        enum reading_result result;
        int status;
        bool keep_alive;
};

static struct spill_pool pool;

static struct outcome read_in_pieces(struct slice bytes, size_t step, bool to_head)
{
        struct reading reading = {0};
        struct outcome outcome = {.result = READING_MORE};

        reading_begin(&reading, to_head);
        while (outcome.result == READING_MORE && bytes.length > 0) {
                size_t length = bytes.length < step ? bytes.length : step;
                char *piece = fuzz_copy(bytes.data, length);
                outcome.result = reading_feed(&reading, &pool, slice_make(piece, length));
                bytes = slice_skip(bytes, length);
                free(piece);
        }
        /* What follows a whole answer is one too many, whenever it comes. */
        if (outcome.result == READING_DONE && bytes.length > 0)
                outcome.result = READING_BROKEN;
        if (outcome.result == READING_MORE)
                outcome.result = reading_end(&reading);
        FUZZ_EXPECT(outcome.result != READING_MORE);
        outcome.status = reading.status;
        outcome.keep_alive = reading.keep_alive;
        reading_drop(&reading, &pool);
        if (outcome.result == READING_DONE)
                FUZZ_EXPECT(outcome.status >= 200 && outcome.status <= 599);
        return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice bytes = slice_make((const char *)data, size);
        struct outcome whole, pieces;

        if (size == 0)
                return 0;
        bytes = slice_skip(bytes, 1);
        whole = read_in_pieces(bytes, bytes.length, data[0] & 1);
        pieces = read_in_pieces(bytes, 1 + data[0] / 2, data[0] & 1);
        FUZZ_EXPECT(whole.result == pieces.result);
        if (whole.result == READING_DONE)
                FUZZ_EXPECT(whole.status == pieces.status && whole.keep_alive == pieces.keep_alive);
        return 0;
}
