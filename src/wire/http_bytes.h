/* Which bytes HTTP allows where, and the scan for those it allows nowhere. */
#pragma once

#include "base/slice.h"

enum http_byte_class {
        HTTP_BYTE_TOKEN = 1, /* RFC 9110, section 5.6.2 */
        HTTP_BYTE_TARGET =
                2,          /* visible ASCII without '#'; browsers send more than RFC 3986 allows */
        HTTP_BYTE_HOST = 4, /* letters, digits, "-._~": a DNS name or an IPv4 address */
};

extern const unsigned char http_byte_classes[256];

static inline bool http_byte_is(char byte, enum http_byte_class class)
{
        return http_byte_classes[(unsigned char)byte] & class;
}

static inline bool http_is_digit(char byte)
{
        return byte >= '0' && byte <= '9';
}

static inline bool http_is_hex_digit(char byte)
{
        return http_is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

/* HTAB is not among them: it may stand in a field value. */
static inline bool http_is_control(char byte)
{
        unsigned char value = (unsigned char)byte;
        return (value < 0x20 && value != '\t') || value == 0x7f;
}

/* The first byte of [at, end) that is not of the class, or end. */
static inline const char *http_skip(const char *at, const char *end, enum http_byte_class class)
{
        while (at < end && http_byte_is(*at, class))
                at++;
        return at;
}

static inline bool http_is_token(struct slice text)
{
        return text.length > 0 && http_skip(text.data, text.data + text.length, HTTP_BYTE_TOKEN) ==
                                          text.data + text.length;
}

/* The first control byte of [at, end), CR and LF among them but not HTAB, or end. What lies before
 * it may stand in a field value (RFC 9110, section 5.5). */
const char *http_find_control(const char *at, const char *end);

/* Without SP and HTAB at both ends. */
struct slice http_trim(struct slice text);

/* Takes one member off a comma-separated list, trimmed, perhaps empty; commas in quotes do not
 * count. False when all are taken (list->data is NULL then, as it is for an absent header). */
bool http_list_next(struct slice *list, struct slice *ret_member);
