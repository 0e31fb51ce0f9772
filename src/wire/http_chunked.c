/* The chunked coding as a table of what may follow what, a byte a step but for the payload; see
 * http_chunked.h. The grammar is that of RFC 9112, section 7.1, without the white space that it
 * calls bad. */
#include "wire/http_chunked.h"

#include "wire/http_bytes.h"

#define SIZE_DIGITS_MAX 16 /* of 64 bits; leading zeros count too */
#define RULES_MAX 4

enum state {
        STATE_SIZE_FIRST,
        STATE_SIZE,
        STATE_EXTENSION,
        STATE_EXTENSION_NAME,
        STATE_EXTENSION_EQUALS,
        STATE_EXTENSION_VALUE,
        STATE_QUOTED,
        STATE_QUOTED_ESCAPE,
        STATE_QUOTED_END,
        STATE_SIZE_LF,
        STATE_DATA, /* the only state without rules: its bytes are payload */
        STATE_DATA_END,
        STATE_DATA_LF,
        STATE_TRAILER,
        STATE_TRAILER_NAME,
        STATE_TRAILER_VALUE,
        STATE_TRAILER_LF,
        STATE_LAST_LF,
        STATE_DONE,
        STATE_REFUSED,
        STATE_COUNT,
};

/* A byte, or one of these kinds of bytes. */
enum { HEX = 256, TOKEN, TEXT };

struct rule {
        int input; /* 0: no further rule */
        enum state next;
};

/* What a state allows; the first rule that fits counts, and where none fits the body is refused. */
static const struct rule rules[STATE_COUNT][RULES_MAX] = {
        [STATE_SIZE_FIRST] = {{HEX, STATE_SIZE}},
        [STATE_SIZE] = {{HEX, STATE_SIZE}, {'\r', STATE_SIZE_LF}, {';', STATE_EXTENSION}},
        [STATE_SIZE_LF] = {{'\n', STATE_DATA}},

        [STATE_EXTENSION] = {{TOKEN, STATE_EXTENSION_NAME}},
        [STATE_EXTENSION_NAME] = {{TOKEN, STATE_EXTENSION_NAME},
                                  {'=', STATE_EXTENSION_EQUALS},
                                  {';', STATE_EXTENSION},
                                  {'\r', STATE_SIZE_LF}},
        [STATE_EXTENSION_EQUALS] = {{'"', STATE_QUOTED}, {TOKEN, STATE_EXTENSION_VALUE}},
        [STATE_EXTENSION_VALUE] = {{TOKEN, STATE_EXTENSION_VALUE},
                                   {';', STATE_EXTENSION},
                                   {'\r', STATE_SIZE_LF}},
        [STATE_QUOTED] = {{'"', STATE_QUOTED_END},
                          {'\\', STATE_QUOTED_ESCAPE},
                          {TEXT, STATE_QUOTED}},
        [STATE_QUOTED_ESCAPE] = {{TEXT, STATE_QUOTED}},
        [STATE_QUOTED_END] = {{';', STATE_EXTENSION}, {'\r', STATE_SIZE_LF}},

        [STATE_DATA_END] = {{'\r', STATE_DATA_LF}},
        [STATE_DATA_LF] = {{'\n', STATE_SIZE_FIRST}},

        [STATE_TRAILER] = {{TOKEN, STATE_TRAILER_NAME}, {'\r', STATE_LAST_LF}},
        [STATE_TRAILER_NAME] = {{TOKEN, STATE_TRAILER_NAME}, {':', STATE_TRAILER_VALUE}},
        [STATE_TRAILER_VALUE] = {{TEXT, STATE_TRAILER_VALUE}, {'\r', STATE_TRAILER_LF}},
        [STATE_TRAILER_LF] = {{'\n', STATE_TRAILER}},
        [STATE_LAST_LF] = {{'\n', STATE_DONE}},
};

void http_chunked_init(struct http_chunked *chunked, uint64_t body_max)
{
        *chunked = (struct http_chunked){
                .state = STATE_SIZE_FIRST,
                .body_left = body_max,
                .body_max = body_max,
                .extension_left = HTTP_CHUNK_EXTENSIONS_MAX,
                .trailer_left = HTTP_TRAILERS_MAX,
        };
}

void http_chunked_keep_trailers(struct http_chunked *chunked, char *trailers, size_t capacity)
{
        chunked->trailers = trailers;
        chunked->trailer_left = capacity;
}

static bool refuse(struct http_refusal *refusal, int status, const char *reason)
{
        *refusal = (struct http_refusal){.status = status, .reason = reason};
        return false;
}

static bool fits(char byte, int input)
{
        switch (input) {
        case HEX:
                return http_is_hex_digit(byte);
        case TOKEN:
                return http_byte_is(byte, HTTP_BYTE_TOKEN);
        case TEXT:
                return !http_is_control(byte);
        default:
                return byte == input;
        }
}

static const struct rule *rule_for(int state, char byte)
{
        for (const struct rule *rule = rules[state]; rule < rules[state] + RULES_MAX; rule++) {
                if (rule->input == 0)
                        break;
                if (fits(byte, rule->input))
                        return rule;
        }
        return NULL;
}

static const char *fault_of(int state)
{
        if (state <= STATE_SIZE)
                return "A chunk's size is not a hexadecimal number.";
        if (state <= STATE_QUOTED_END)
                return "A chunk extension is not valid.";
        if (state == STATE_SIZE_LF)
                return "A chunk's size does not end with CRLF.";
        if (state <= STATE_DATA_LF)
                return "A chunk does not end with CRLF.";
        return "The trailers are not valid.";
}

static bool add_digit(struct http_chunked *chunked, char digit, struct http_refusal *refusal)
{
        int value = http_is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;

        if (chunked->digits++ == SIZE_DIGITS_MAX)
                return refuse(refusal, 400, "A chunk's size has too many digits.");
        chunked->chunk_left = chunked->chunk_left << 4 | (uint64_t)value;
        return true;
}

/* The line of a chunk's size is complete. */
static bool begin_chunk(struct http_chunked *chunked, struct http_refusal *refusal)
{
        if (chunked->chunk_left > chunked->body_left)
                return refuse(refusal, 413, "The body is too large.");
        chunked->body_left -= chunked->chunk_left;
        chunked->digits = 0;
        if (chunked->chunk_left == 0)
                chunked->state = STATE_TRAILER;
        return true;
}

/* A byte of a trailer's name, or the colon behind it. */
static bool note_trailer_name(struct http_chunked *chunked, char byte, struct http_refusal *refusal)
{
        struct slice name = slice_make(chunked->name, chunked->name_length);

        if (byte != ':') {
                if (chunked->name_length < sizeof(chunked->name))
                        chunked->name[chunked->name_length++] = byte;
                return true;
        }
        chunked->name_length = 0;
        if (slice_equal_fold(name, SLICE("content-length")) ||
            slice_equal_fold(name, SLICE("transfer-encoding")) ||
            slice_equal_fold(name, SLICE("host")))
                return refuse(refusal, 400, "A trailer may not speak of framing or host.");
        return true;
}

/* What of a trailer line led to `next`. Every byte that is written was counted in trailer_left. */
static void keep_trailer(struct http_chunked *chunked, char byte, enum state next)
{
        chunked->trailers[chunked->trailers_length++] = next == STATE_TRAILER_LF ? '\n' : byte;
}

static bool step(struct http_chunked *chunked, char byte, struct http_refusal *refusal)
{
        int before = chunked->state;
        const struct rule *rule = rule_for(before, byte);

        if (!rule)
                return refuse(refusal, 400, fault_of(before));
        chunked->state = (int)rule->next;
        if (rule->next == STATE_SIZE)
                return add_digit(chunked, byte, refusal);
        if (rule->next == STATE_DATA)
                return begin_chunk(chunked, refusal);
        if (rule->next >= STATE_EXTENSION && rule->next <= STATE_QUOTED_END &&
            chunked->extension_left-- == 0)
                return refuse(refusal, 400, "The chunk extensions are too long.");
        if (rule->next >= STATE_TRAILER_NAME && rule->next <= STATE_TRAILER_LF) {
                if (chunked->trailer_left-- == 0)
                        return refuse(refusal, 431, "The trailers are too long.");
                if (chunked->trailers)
                        keep_trailer(chunked, byte, rule->next);
        }
        if (before == STATE_TRAILER_NAME || rule->next == STATE_TRAILER_NAME)
                return note_trailer_name(chunked, byte, refusal);
        return true;
}

enum http_chunked_result http_chunked_next(struct http_chunked *chunked, struct slice *input,
                                           struct slice *ret_payload,
                                           struct http_refusal *ret_refusal)
{
        while (chunked->state != STATE_DONE && input->length > 0) {
                if (chunked->state == STATE_DATA) {
                        size_t length = input->length < chunked->chunk_left
                                                ? input->length
                                                : (size_t)chunked->chunk_left;
                        *ret_payload = slice_make(input->data, length);
                        *input = slice_skip(*input, length);
                        chunked->chunk_left -= length;
                        if (chunked->chunk_left == 0)
                                chunked->state = STATE_DATA_END;
                        return HTTP_CHUNKED_DATA;
                }
                if (!step(chunked, input->data[0], ret_refusal)) {
                        chunked->state = STATE_REFUSED;
                        return HTTP_CHUNKED_REFUSED;
                }
                *input = slice_skip(*input, 1);
        }
        return chunked->state == STATE_DONE ? HTTP_CHUNKED_DONE : HTTP_CHUNKED_MORE;
}

size_t http_chunk_head(uint64_t size, char ret_head[HTTP_CHUNK_HEAD_MAX])
{
        static const char digits[] = "0123456789abcdef";
        size_t length = 1, at;

        for (uint64_t rest = size >> 4; rest > 0; rest >>= 4)
                length++;
        for (at = length; at > 0; size >>= 4)
                ret_head[--at] = digits[size & 15];
        ret_head[length] = '\r';
        ret_head[length + 1] = '\n';
        return length + 2;
}
