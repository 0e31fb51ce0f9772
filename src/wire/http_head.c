/* The common part of heads; see http_head.h. */
#include "wire/http_head.h"

#include "wire/http_bytes.h"

struct http_head_scan http_head_scan(const char *begin, const char *at, const char *end)
{
        struct http_head_scan scan = {.at = at};

        while ((scan.at = at = http_find_control(at, end)) < end) {
                if (*at == '\n')
                        scan.fault = "A line ends with LF alone.";
                else if (*at != '\r')
                        scan.fault = "The head has a control character.";
                else if (at + 1 < end && at[1] != '\n')
                        scan.fault = "A CR is not followed by LF.";
                if (scan.fault || at + 1 == end)
                        return scan;

                scan.line_ended = true;
                scan.complete = at > begin && at[-1] == '\n';
                at += 2;
                if (scan.complete) {
                        scan.at = at;
                        return scan;
                }
        }
        return scan;
}

static const char *name_fault(const char *line, const char *name_end)
{
        if (*line == ' ' || *line == '\t')
                return "A header line begins with white space.";
        if (*name_end == ' ' || *name_end == '\t')
                return "White space stands before a header's colon.";
        if (*name_end == '\r')
                return "A header line has no colon.";
        if (*name_end == ':')
                return "A header has no name.";
        return "A header's name has a character it may not have.";
}

const char *http_head_next_header(const char **at, const char *end, struct http_header *ret_header)
{
        const char *name_end = http_skip(*at, end, HTTP_BYTE_TOKEN), *line_end;

        if (name_end == *at || *name_end != ':')
                return name_fault(*at, name_end);
        line_end = http_find_control(name_end, end);
        ret_header->name = slice_make(*at, (size_t)(name_end - *at));
        ret_header->value = http_trim(slice_make(name_end + 1, (size_t)(line_end - name_end) - 1));
        *at = line_end + 2;
        return NULL;
}

bool http_head_parse_length(struct slice text, uint64_t *ret_length)
{
        uint64_t length = 0;

        if (text.length == 0)
                return false;
        for (size_t i = 0; i < text.length; i++)
                if (!http_is_digit(text.data[i]) || __builtin_mul_overflow(length, 10, &length) ||
                    __builtin_add_overflow(length, (uint64_t)(text.data[i] - '0'), &length))
                        return false;
        *ret_length = length;
        return true;
}

enum http_head_coding http_head_coding(struct slice list)
{
        bool chunked = false, other = false;
        struct slice coding;

        while (http_list_next(&list, &coding)) {
                if (chunked || !http_is_token(coding))
                        return HTTP_HEAD_CODING_INVALID;
                chunked = slice_equal_fold(coding, SLICE("chunked"));
                other |= !chunked;
        }
        if (!chunked)
                return HTTP_HEAD_CODING_UNENDED;
        return other ? HTTP_HEAD_CODING_OTHER : HTTP_HEAD_CODING_CHUNKED;
}
