/* The parser of answers' heads; see http_answer.h. */
#include "wire/http_answer.h"

#include "wire/http_bytes.h"
#include "wire/http_head.h"

#include <assert.h>
#include <stddef.h>

#define PROTOCOL "HTTP/1."
#define STATUS_LINE_MIN 12 /* "HTTP/1.1 200" */
#define NOT_HTTP "The answer does not begin with HTTP/1.1 or HTTP/1.0."

static bool refuse(const char **ret_fault, const char *fault)
{
        *ret_fault = fault;
        return false;
}

/* `line` begins with PROTOCOL. RFC 9112, section 4; many servers leave out the space behind the status
 * with the reason. */
static bool parse_status_line(struct slice line, struct http_answer *answer, const char **ret_fault)
{
        const char *at = line.data;

        if (line.length < STATUS_LINE_MIN || (at[7] != '0' && at[7] != '1') || at[8] != ' ')
                return refuse(ret_fault, NOT_HTTP);
        if (!http_is_digit(at[9]) || !http_is_digit(at[10]) || !http_is_digit(at[11]) ||
            (line.length > STATUS_LINE_MIN && at[12] != ' '))
                return refuse(ret_fault, "The status is not a number of three digits.");
        answer->minor_version = at[7] - '0';
        answer->status = (at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0');
        if (answer->status < 100 || answer->status > 599)
                return refuse(ret_fault, "The status is not between 100 and 599.");
        return true;
}

struct notes {
        struct slice content_length, transfer_encoding;
        bool close, keep_alive;
};

static bool note_header(struct notes *notes, const struct http_header *header,
                        const char **ret_fault)
{
        struct slice *slot = NULL, list = header->value, member;

        if (slice_equal_fold(header->name, SLICE("content-length")))
                slot = &notes->content_length;
        else if (slice_equal_fold(header->name, SLICE("transfer-encoding")))
                slot = &notes->transfer_encoding;
        if (slot) {
                if (slot->data)
                        return refuse(ret_fault, "A header that may stand once stands twice.");
                *slot = header->value;
        } else if (slice_equal_fold(header->name, SLICE("connection"))) {
                while (http_list_next(&list, &member)) {
                        notes->close |= slice_equal_fold(member, SLICE("close"));
                        notes->keep_alive |= slice_equal_fold(member, SLICE("keep-alive"));
                }
        }
        return true;
}

/* RFC 9112, section 6.3. */
static bool judge_body(struct http_answer *answer, const struct notes *notes, bool to_head_request,
                       const char **ret_fault)
{
        answer->body = HTTP_ANSWER_UNTIL_CLOSE;
        if (notes->transfer_encoding.data) {
                if (answer->minor_version == 0)
                        return refuse(ret_fault, "HTTP/1.0 has no Transfer-Encoding.");
                if (notes->content_length.data)
                        return refuse(ret_fault,
                                      "Content-Length and Transfer-Encoding exclude each other.");
                if (http_head_coding(notes->transfer_encoding) != HTTP_HEAD_CODING_CHUNKED)
                        return refuse(ret_fault,
                                      "Only the transfer coding 'chunked' is understood.");
                answer->body = HTTP_ANSWER_CHUNKED;
        } else if (notes->content_length.data) {
                if (!http_head_parse_length(notes->content_length, &answer->content_length))
                        return refuse(ret_fault, "The Content-Length is not a number.");
                answer->body = HTTP_ANSWER_LENGTH;
        }
        if (to_head_request || answer->status < 200 || answer->status == 204 ||
            answer->status == 304) {
                answer->body = HTTP_ANSWER_NONE;
                answer->content_length = 0;
        }
        return true;
}

/* [at, end) are the header lines, each with its CRLF. */
static bool parse_headers(const char *at, const char *end, bool to_head_request,
                          struct http_answer *answer, const char **ret_fault)
{
        struct notes notes = {0};

        while (at < end) {
                struct http_header header;
                const char *fault = http_head_next_header(&at, end, &header);

                if (fault)
                        return refuse(ret_fault, fault);
                if (answer->header_count == HTTP_HEADERS_MAX)
                        return refuse(ret_fault, "The answer has too many headers.");
                answer->headers[answer->header_count++] = header;
                if (!note_header(&notes, &header, ret_fault))
                        return false;
        }
        if (!judge_body(answer, &notes, to_head_request, ret_fault))
                return false;
        answer->keep_alive = !notes.close && (answer->minor_version == 1 || notes.keep_alive) &&
                             answer->body != HTTP_ANSWER_UNTIL_CLOSE;
        return true;
}

enum http_parse_result http_answer_parse(const char *data, size_t length, size_t scanned,
                                         size_t head_max, bool to_head_request,
                                         struct http_answer *ret_answer, const char **ret_fault)
{
        size_t visible = length < head_max ? length : head_max;
        struct http_head_scan scan;
        const char *line_feed;

        assert(scanned <= visible);
        /* Nonsense is told from the first byte: it may never come to an end. */
        if (memcmp(data, PROTOCOL, visible < strlen(PROTOCOL) ? visible : strlen(PROTOCOL)) != 0) {
                *ret_fault = NOT_HTTP;
                return HTTP_PARSE_REFUSED;
        }
        scan = http_head_scan(data, http_head_resume(data, scanned), data + visible);
        if (scan.fault) {
                *ret_fault = scan.fault;
                return HTTP_PARSE_REFUSED;
        }
        if (!scan.complete) {
                if (visible < head_max)
                        return HTTP_PARSE_MORE;
                *ret_fault = "The answer's head is too large.";
                return HTTP_PARSE_REFUSED;
        }
        memset(ret_answer, 0, offsetof(struct http_answer, headers));
        ret_answer->head_length = (size_t)(scan.at - data);
        line_feed = memchr(data, '\n', ret_answer->head_length);
        assert(line_feed);
        if (!parse_status_line(slice_make(data, (size_t)(line_feed - data) - 1), ret_answer,
                               ret_fault) ||
            !parse_headers(line_feed + 1, scan.at - 2, to_head_request, ret_answer, ret_fault))
                return HTTP_PARSE_REFUSED;
        return HTTP_PARSE_DONE;
}
