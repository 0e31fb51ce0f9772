/* Signing and verifying tokens; see token.h.
 *
 * The signature is checked first, over the text as it came; only what this program wrote itself is
 * ever decoded and read. That, and the single spelling, is why a scanner of thirty lines will do
 * where a JSON parser would be expected.
 */
#include "core/auth/token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* {"alg":"HS256","typ":"JWT"} */
#define HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
#define HEADER_LENGTH (sizeof(HEADER) - 1)
#define SIGNATURE_LENGTH 43 /* 32 bytes in base64url */
#define CLAIMS_MAX_LENGTH 128

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Without padding, RFC 4648 section 5. Returns the length; writes no NUL. */
static size_t base64url_encode(const void *data, size_t length, char *ret_text)
{
        const uint8_t *bytes = data;
        uint32_t bits = 0, bit_count = 0;
        size_t used = 0;

        for (size_t i = 0; i < length; i++) {
                bits = bits << 8 | bytes[i];
                for (bit_count += 8; bit_count >= 6; bit_count -= 6)
                        ret_text[used++] = base64url[bits >> (bit_count - 6) & 63];
        }
        if (bit_count > 0)
                ret_text[used++] = base64url[bits << (6 - bit_count) & 63];
        return used;
}

/* The length of what was decoded, or -EINVAL. `ret_data` holds text.length bytes. */
static ssize_t base64url_decode(struct slice text, char *ret_data)
{
        uint32_t bits = 0, bit_count = 0;
        size_t used = 0;

        for (size_t i = 0; i < text.length; i++) {
                const char *digit = memchr(base64url, text.data[i], sizeof(base64url) - 1);
                if (!digit)
                        return -EINVAL;
                bits = bits << 6 | (uint32_t)(digit - base64url);
                bit_count += 6;
                if (bit_count >= 8) {
                        bit_count -= 8;
                        ret_data[used++] = (char)(bits >> bit_count & 255);
                }
        }
        /* Bits of the last digit that belong to no byte are 0, or there would be other spellings. */
        return bit_count < 6 && (bits & ((1u << bit_count) - 1)) == 0 ? (ssize_t)used : -EINVAL;
}

/* The time it takes tells nothing of where the texts differ. */
static bool is_equal_in_constant_time(const char *a, const char *b, size_t length)
{
        volatile uint8_t difference = 0;

        for (size_t i = 0; i < length; i++)
                difference = difference | (uint8_t)(a[i] ^ b[i]);
        return difference == 0;
}

/* The signature of `text` as it stands behind the second dot. */
static int signature_make(struct slice text, const struct mac *mac,
                          char ret_signature[SIGNATURE_LENGTH])
{
        uint8_t tag[MAC_LENGTH];
        int r = mac->compute(mac, text, tag);

        if (r == 0)
                (void)base64url_encode(tag, sizeof(tag), ret_signature);
        return r;
}

int token_sign(const struct token_claims *claims, const struct mac *mac, char *ret_token)
{
        char json[CLAIMS_MAX_LENGTH];
        char token[TOKEN_MAX_LENGTH + 1] = HEADER;
        size_t length = HEADER_LENGTH;
        int r;

        if (!id_is_valid(slice_of(claims->user_id)))
                return -EINVAL;
        r = snprintf(json, sizeof(json),
                     "{\"sub\":\"%s\",\"iat\":%" PRIu64 ",\"exp\":%" PRIu64 ",\"epoch\":%" PRIu64
                     "}",
                     claims->user_id, claims->issued_s, claims->expires_s, claims->epoch);
        length += base64url_encode(json, (size_t)r, token + length);
        r = signature_make(slice_make(token, length), mac, token + length + 1);
        if (r < 0)
                return r;
        token[length] = '.';
        length += 1 + SIGNATURE_LENGTH;
        token[length] = '\0';
        memcpy(ret_token, token, length + 1);
        return 0;
}

static bool take_literal(struct slice *text, struct slice literal)
{
        if (!slice_starts_with(*text, literal))
                return false;
        *text = slice_skip(*text, literal.length);
        return true;
}

/* Decimal, no sign, no leading zero. */
static bool take_number(struct slice *text, uint64_t *ret_number)
{
        uint64_t number = 0;
        size_t digits = 0;

        for (; digits < text->length; digits++) {
                char c = text->data[digits];
                if (c < '0' || c > '9')
                        break;
                if (__builtin_mul_overflow(number, 10, &number) ||
                    __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
                        return false;
        }
        if (digits == 0 || (digits > 1 && text->data[0] == '0'))
                return false;
        *text = slice_skip(*text, digits);
        *ret_number = number;
        return true;
}

static bool claims_parse(struct slice json, struct token_claims *ret_claims)
{
        struct token_claims claims = {0};

        if (!take_literal(&json, SLICE("{\"sub\":\"")) || json.length < ID_LENGTH ||
            !id_is_valid(slice_make(json.data, ID_LENGTH)))
                return false;
        memcpy(claims.user_id, json.data, ID_LENGTH);
        json = slice_skip(json, ID_LENGTH);
        if (!take_literal(&json, SLICE("\",\"iat\":")) || !take_number(&json, &claims.issued_s) ||
            !take_literal(&json, SLICE(",\"exp\":")) || !take_number(&json, &claims.expires_s) ||
            !take_literal(&json, SLICE(",\"epoch\":")) || !take_number(&json, &claims.epoch) ||
            !slice_equal(json, SLICE("}")))
                return false;
        *ret_claims = claims;
        return true;
}

enum token_result token_verify(struct slice token, const struct mac *mac, uint64_t now_s,
                               struct token_claims *ret_claims)
{
        char signature[SIGNATURE_LENGTH], json[TOKEN_MAX_LENGTH];
        struct token_claims claims;
        struct slice body;
        ssize_t json_length;

        if (token.length > TOKEN_MAX_LENGTH ||
            token.length < HEADER_LENGTH + 1 + SIGNATURE_LENGTH ||
            !slice_starts_with(token, SLICE(HEADER)) ||
            token.data[token.length - SIGNATURE_LENGTH - 1] != '.')
                return TOKEN_MALFORMED;

        body = slice_make(token.data, token.length - SIGNATURE_LENGTH - 1);
        if (signature_make(body, mac, signature) < 0)
                return TOKEN_FAILED;
        if (!is_equal_in_constant_time(signature, body.data + body.length + 1, SIGNATURE_LENGTH))
                return TOKEN_FORGED;

        json_length = base64url_decode(slice_skip(body, HEADER_LENGTH), json);
        if (json_length < 0 || !claims_parse(slice_make(json, (size_t)json_length), &claims))
                return TOKEN_MALFORMED;
        if (now_s >= claims.expires_s)
                return TOKEN_EXPIRED;
        *ret_claims = claims;
        return TOKEN_VALID;
}

/* Our claims, up to a dot? */
static bool begins_with_claims(struct slice text)
{
        const char *end = memchr(text.data, '.', text.length);
        char json[TOKEN_MAX_LENGTH];
        struct token_claims claims;
        ssize_t length;

        if (end)
                text.length = (size_t)(end - text.data);
        if (text.length > sizeof(json))
                return false;
        length = base64url_decode(text, json);
        return length >= 0 && claims_parse(slice_make(json, (size_t)length), &claims);
}

bool token_stands_in(struct slice text)
{
        const char *header;

        while ((header = memmem(text.data, text.length, HEADER, HEADER_LENGTH))) {
                text = slice_skip(text, (size_t)(header - text.data) + HEADER_LENGTH);
                if (begins_with_claims(text))
                        return true;
        }
        return false;
}

struct user *token_user(const struct catalog *catalog, struct slice user_id, uint64_t epoch)
{
        struct user *user = catalog_find_user(catalog, user_id);

        return user && user->token_epoch == epoch ? user : NULL;
}
