/* What magpie's parser makes of the bytes of one connection, for the comparison with other parsers.
 *
 *     http_verdict < bytes
 *
 * Prints a line for each message, `message METHOD TARGET BODY` (the body in hexadecimal digits after
 * an 'x'), and at the end one of
 *     refused STATUS SENTENCE
 *     incomplete     the bytes end inside a message
 *     closed         after this message the server closes the connection
 *     end            the bytes end with a message
 */
#include "base/auto.h"
#include "base/buffer.h"
#include "wire/http_chunked.h"
#include "wire/http_request.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

enum verdict { VERDICT_MESSAGE, VERDICT_INCOMPLETE, VERDICT_REFUSED };

static void append(struct buffer *body, struct slice bytes)
{
        if (buffer_append(body, bytes.data, bytes.length) < 0)
                abort();
}

/* Takes the body off `rest`. */
static enum verdict take_body(const struct http_request *request, struct slice *rest,
                              struct buffer *body, struct http_refusal *refusal)
{
        struct http_chunked chunked;
        struct slice payload;

        switch (request->body) {
        case HTTP_BODY_NONE:
                break;
        case HTTP_BODY_LENGTH:
                if (request->content_length > rest->length)
                        return VERDICT_INCOMPLETE;
                append(body, slice_make(rest->data, (size_t)request->content_length));
                *rest = slice_skip(*rest, (size_t)request->content_length);
                break;
        case HTTP_BODY_CHUNKED:
                http_chunked_init(&chunked, UINT64_MAX);
                for (;;) {
                        switch (http_chunked_next(&chunked, rest, &payload, refusal)) {
                        case HTTP_CHUNKED_DATA:
                                append(body, payload);
                                break;
                        case HTTP_CHUNKED_MORE:
                                return VERDICT_INCOMPLETE;
                        case HTTP_CHUNKED_REFUSED:
                                return VERDICT_REFUSED;
                        case HTTP_CHUNKED_DONE:
                                return VERDICT_MESSAGE;
                        }
                }
        }
        return VERDICT_MESSAGE;
}

static enum verdict take_message(struct slice *rest, bool *ret_keep_alive,
                                 struct http_refusal *refusal)
{
        static struct http_request request;
        const struct http_limits limits = HTTP_LIMITS_DEFAULT;
        AUTO(buffer_deinit) struct buffer body;
        enum verdict verdict;

        buffer_init(&body, INPUT_MAX);
        switch (http_request_parse(rest->data, rest->length, 0, &limits, &request, refusal)) {
        case HTTP_PARSE_MORE:
                return VERDICT_INCOMPLETE;
        case HTTP_PARSE_REFUSED:
                return VERDICT_REFUSED;
        case HTTP_PARSE_DONE:
                break;
        }
        *rest = slice_skip(*rest, request.head_length);
        verdict = take_body(&request, rest, &body, refusal);
        if (verdict != VERDICT_MESSAGE)
                return verdict;

        printf("message %.*s %.*s x", (int)request.method_text.length, request.method_text.data,
               (int)request.target.length, request.target.data);
        for (size_t i = 0; i < body.length; i++)
                printf("%02x", (unsigned char)body.data[i]);
        printf("\n");
        *ret_keep_alive = request.keep_alive;
        return VERDICT_MESSAGE;
}

int main(void)
{
        static char bytes[INPUT_MAX];
        struct slice rest = {.data = bytes};
        struct http_refusal refusal;
        bool keep_alive = true;

        rest.length = fread(bytes, 1, sizeof(bytes), stdin);
        while (rest.length > 0 && keep_alive) {
                switch (take_message(&rest, &keep_alive, &refusal)) {
                case VERDICT_MESSAGE:
                        break;
                case VERDICT_INCOMPLETE:
                        printf("incomplete\n");
                        return EXIT_SUCCESS;
                case VERDICT_REFUSED:
                        printf("refused %d %s\n", refusal.status, refusal.reason);
                        return EXIT_SUCCESS;
                }
        }
        printf("%s\n", keep_alive ? "end" : "closed");
        return EXIT_SUCCESS;
}
