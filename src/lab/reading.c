/* One answer, piece by piece; see reading.h. */
#include "lab/reading.h"

#include <stdlib.h>

#define BODY_MAX (1ull << 60)

static struct spill *spill_take(struct spill_pool *pool)
{
        struct spill *spill = pool->free;

        if (!spill)
                return malloc(sizeof(*spill));
        pool->free = spill->next;
        return spill;
}

void spill_pool_deinit(struct spill_pool *pool)
{
        while (pool->free) {
                struct spill *spill = pool->free;
                pool->free = spill->next;
                free(spill);
        }
}

void reading_drop(struct reading *reading, struct spill_pool *pool)
{
        if (reading->spill) {
                reading->spill->next = pool->free;
                pool->free = reading->spill;
        }
        reading->spill = NULL;
        reading->kept = reading->scanned = 0;
}

void reading_begin(struct reading *reading, bool to_head)
{
        reading->state = READING_HEAD;
        reading->to_head = to_head;
        reading->begun = false;
        reading->keep_alive = false;
        reading->status = 0;
}

static void reading_take_head(struct reading *reading, const struct http_answer *answer)
{
        if (answer->status < 200)
                return; /* another head follows: 100 Continue and the like */
        reading->status = answer->status;
        reading->keep_alive = answer->keep_alive;
        switch (answer->body) {
        case HTTP_ANSWER_NONE:
                reading->state = READING_COMPLETE;
                break;
        case HTTP_ANSWER_LENGTH:
                reading->body_left = answer->content_length;
                reading->state = reading->body_left > 0 ? READING_BODY_LENGTH : READING_COMPLETE;
                break;
        case HTTP_ANSWER_CHUNKED:
                http_chunked_init(&reading->chunked, BODY_MAX);
                reading->state = READING_BODY_CHUNKED;
                break;
        case HTTP_ANSWER_UNTIL_CLOSE:
                reading->state = READING_BODY_CLOSE;
                break;
        }
}

/* Takes bytes of the body off. False where they are none. */
static bool reading_take_body(struct reading *reading, struct slice *bytes)
{
        enum http_chunked_result result;
        struct http_refusal refusal;
        struct slice payload;

        switch (reading->state) {
        case READING_BODY_LENGTH:
                if (bytes->length < reading->body_left) {
                        reading->body_left -= bytes->length;
                        bytes->length = 0;
                } else {
                        *bytes = slice_skip(*bytes, (size_t)reading->body_left);
                        reading->state = READING_COMPLETE;
                }
                return true;
        case READING_BODY_CHUNKED:
                do
                        result = http_chunked_next(&reading->chunked, bytes, &payload, &refusal);
                while (result == HTTP_CHUNKED_DATA);
                if (result == HTTP_CHUNKED_DONE)
                        reading->state = READING_COMPLETE;
                return result != HTTP_CHUNKED_REFUSED;
        case READING_BODY_CLOSE:
                bytes->length = 0;
                return true;
        case READING_HEAD:
        case READING_COMPLETE:
                break;
        }
        return true;
}

/* Puts the bytes behind those that were kept. False where they do not fit. */
static bool reading_keep(struct reading *reading, struct spill_pool *pool, struct slice bytes)
{
        if (!reading->spill)
                reading->spill = spill_take(pool);
        if (!reading->spill || bytes.length > READING_HEAD_MAX - reading->kept)
                return false;
        memcpy(reading->spill->bytes + reading->kept, bytes.data, bytes.length);
        reading->kept += bytes.length;
        return true;
}

/* Heads and bodies, until the bytes are used up or the answer is complete. READING_MORE with bytes
 * left: they are the beginning of a head. */
static enum reading_result reading_scan(struct reading *reading, struct spill_pool *pool,
                                        struct slice *bytes)
{
        struct http_answer *answer = &pool->answer;
        const char *reason;

        while (reading->state != READING_COMPLETE && bytes->length > 0) {
                if (reading->state != READING_HEAD) {
                        if (!reading_take_body(reading, bytes))
                                return READING_BROKEN;
                        continue;
                }
                switch (http_answer_parse(bytes->data, bytes->length, reading->scanned,
                                          READING_HEAD_MAX, reading->to_head, answer, &reason)) {
                case HTTP_PARSE_DONE:
                        /* 101 means that HTTP ends here, which nobody asked for. */
                        if (answer->status == 101)
                                return READING_BROKEN;
                        *bytes = slice_skip(*bytes, answer->head_length);
                        reading->scanned = 0;
                        reading_take_head(reading, answer);
                        break;
                case HTTP_PARSE_MORE:
                        return READING_MORE;
                case HTTP_PARSE_REFUSED:
                        return READING_BROKEN;
                }
        }
        if (reading->state != READING_COMPLETE)
                return READING_MORE;
        return bytes->length > 0 ? READING_BROKEN : READING_DONE;
}

enum reading_result reading_feed(struct reading *reading, struct spill_pool *pool,
                                 struct slice bytes)
{
        enum reading_result result;
        size_t more;

        reading->begun = reading->begun || bytes.length > 0;
        while (reading->kept > 0 && bytes.length > 0) {
                struct slice all;
                more = READING_HEAD_MAX - reading->kept;
                more = bytes.length < more ? bytes.length : more;
                if (!reading_keep(reading, pool, slice_make(bytes.data, more)))
                        return READING_BROKEN;
                bytes = slice_skip(bytes, more);
                all = slice_make(reading->spill->bytes, reading->kept);
                result = reading_scan(reading, pool, &all);
                if (result != READING_MORE)
                        return bytes.length > 0 ? READING_BROKEN : result;
                /* What is left is the beginning of the next head; it stays. */
                memmove(reading->spill->bytes, all.data, all.length);
                reading->kept = reading->scanned = all.length;
        }
        if (bytes.length == 0)
                return READING_MORE;
        result = reading_scan(reading, pool, &bytes);
        if (result == READING_MORE && bytes.length > 0) {
                if (!reading_keep(reading, pool, bytes))
                        return READING_BROKEN;
                reading->scanned = reading->kept;
        }
        return result;
}

enum reading_result reading_end(struct reading *reading)
{
        if (reading->state == READING_BODY_CLOSE) {
                reading->state = READING_COMPLETE;
                return READING_DONE;
        }
        if (reading->state == READING_COMPLETE)
                return READING_DONE;
        return reading->begun ? READING_SHORT : READING_EMPTY;
}
