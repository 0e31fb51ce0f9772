/* The response writer; see http_response.h. */
#include "wire/http_response.h"

#include "wire/http_bytes.h"
#include "wire/http_head.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define NUMBER_DIGITS_MAX 20
#define LAST_SECOND 253402300799ull /* of the year 9999: HTTP's dates have four digits for it */

/* RFC 9110, section 15, and the IANA registry for 103, 207, 208, 226, 423 to 431, 451, 506 to 511.
 */
static const char *const phrases[600] = {
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [203] = "Non-Authoritative Information",
        [204] = "No Content",
        [205] = "Reset Content",
        [206] = "Partial Content",
        [207] = "Multi-Status",
        [208] = "Already Reported",
        [226] = "IM Used",
        [300] = "Multiple Choices",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [305] = "Use Proxy",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [402] = "Payment Required",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [407] = "Proxy Authentication Required",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [421] = "Misdirected Request",
        [422] = "Unprocessable Content",
        [423] = "Locked",
        [424] = "Failed Dependency",
        [425] = "Too Early",
        [426] = "Upgrade Required",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [451] = "Unavailable For Legal Reasons",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [506] = "Variant Also Negotiates",
        [507] = "Insufficient Storage",
        [508] = "Loop Detected",
        [511] = "Network Authentication Required",
};

bool http_status_is_final(int64_t status)
{
        return status >= 200 && status <= 599;
}

const char *http_status_phrase(int status)
{
        const char *phrase = http_status_is_final(status) ? phrases[status] : NULL;

        return phrase ? phrase : "Unknown";
}

struct http_framing http_framing_choose(const struct http_terms *terms, int status,
                                        bool length_known, uint64_t length)
{
        struct http_framing framing = {
                .send_body = terms->method != HTTP_METHOD_HEAD,
                .keep_alive = terms->keep_alive,
                .say_keep_alive = terms->minor_version == 0,
        };

        if (status == 204 || status == 304) {
                framing.kind = HTTP_FRAMING_NONE;
                framing.send_body = false;
        } else if (status == 205) {
                /* RFC 9110, section 15.3.6: no content, and that must be said. */
                framing.kind = HTTP_FRAMING_LENGTH;
                framing.send_body = false;
        } else if (length_known) {
                framing.kind = HTTP_FRAMING_LENGTH;
                framing.length = length;
        } else if (terms->minor_version == 1) {
                framing.kind = HTTP_FRAMING_CHUNKED;
        } else {
                framing.kind = HTTP_FRAMING_CLOSE;
                framing.keep_alive = false;
        }
        return framing;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Room for `count` bytes, or NULL; a lack of room is remembered. */
static char *take_room(struct http_response *response, size_t count)
{
        char *room = response->data + response->length;

        if (response->overflow || count > response->capacity - response->length) {
                response->overflow = true;
                return NULL;
        }
        response->length += count;
        return room;
}

static void put(struct http_response *response, struct slice text)
{
        char *room = take_room(response, text.length);

        if (room)
                memcpy(room, text.data, text.length);
}

static struct slice format_number(uint64_t value, char text[NUMBER_DIGITS_MAX])
{
        size_t at = NUMBER_DIGITS_MAX;

        do {
                text[--at] = (char)('0' + value % 10);
                value /= 10;
        } while (value > 0);
        return slice_make(text + at, NUMBER_DIGITS_MAX - at);
}

void http_response_begin(struct http_response *response, char *data, size_t capacity, int status)
{
        char digits[NUMBER_DIGITS_MAX];

        assert(http_status_is_final(status));
        *response = (struct http_response){.data = data, .capacity = capacity};
        put(response, SLICE("HTTP/1.1 "));
        put(response, format_number((uint64_t)status, digits));
        put(response, SLICE(" "));
        put(response, slice_of(http_status_phrase(status)));
        put(response, SLICE("\r\n"));
}

static bool value_is_valid(struct slice value)
{
        return value.length == 0 || http_find_control(value.data, value.data + value.length) ==
                                            value.data + value.length;
}

int http_response_header(struct http_response *response, struct slice name, struct slice value)
{
        char *room;

        if (!http_is_token(name) || !value_is_valid(value))
                return -EINVAL;

        room = take_room(response, name.length + value.length + 4);
        if (!room)
                return 0;
        memcpy(room, name.data, name.length);
        room += name.length;
        *room++ = ':';
        *room++ = ' ';
        if (value.length > 0)
                memcpy(room, value.data, value.length);
        room += value.length;
        *room++ = '\r';
        *room = '\n';
        return 0;
}

int http_response_header_number(struct http_response *response, struct slice name, uint64_t value)
{
        char digits[NUMBER_DIGITS_MAX];

        return http_response_header(response, name, format_number(value, digits));
}

int http_response_forward(struct http_response *response, struct slice name, struct slice value)
{
        if (slice_equal_fold(name, SLICE("content-length"))) {
                response->tells_length = http_head_parse_length(value, &response->told_length);
                return 0;
        }
        if (http_header_is_hop_by_hop(name) || slice_equal_fold(name, SLICE("date")))
                return 0;
        return http_response_header(response, name, value);
}

void http_framing_for_head(struct http_framing *framing, const struct http_response *response)
{
        if (framing->kind == HTTP_FRAMING_NONE)
                return;
        if (response->tells_length)
                *framing = (struct http_framing){.kind = HTTP_FRAMING_LENGTH,
                                                 .length = response->told_length,
                                                 .keep_alive = framing->keep_alive,
                                                 .say_keep_alive = framing->say_keep_alive};
        else if (framing->kind == HTTP_FRAMING_LENGTH && framing->length == 0)
                framing->kind = HTTP_FRAMING_NONE;
}

int http_response_end(struct http_response *response, const struct http_framing *framing)
{
        switch (framing->kind) {
        case HTTP_FRAMING_LENGTH:
                (void)http_response_header_number(response, SLICE("Content-Length"),
                                                  framing->length);
                break;
        case HTTP_FRAMING_CHUNKED:
                put(response, SLICE("Transfer-Encoding: chunked\r\n"));
                break;
        case HTTP_FRAMING_NONE:
        case HTTP_FRAMING_CLOSE:
                break;
        }
        if (!framing->keep_alive)
                put(response, SLICE("Connection: close\r\n"));
        else if (framing->say_keep_alive)
                put(response, SLICE("Connection: keep-alive\r\n"));
        put(response, SLICE("\r\n"));
        return response->overflow ? -ENOBUFS : (int)response->length;
}

/* --- date ------------------------------------------------------------------------------------ */

struct slice http_date_at(struct http_date *date, uint64_t unix_s)
{
        if (date->text[0] == '\0' || date->unix_s != unix_s) {
                time_t seconds = (time_t)(unix_s < LAST_SECOND ? unix_s : LAST_SECOND);
                struct tm tm;

                (void)gmtime_r(&seconds, &tm);
                /* English names: no part of magpie calls setlocale(3). */
                (void)strftime(date->text, sizeof(date->text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
                date->unix_s = unix_s;
        }
        return slice_make(date->text, HTTP_DATE_LENGTH);
}
