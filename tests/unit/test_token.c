/* Tokens: what we signed is ours, everything else is not, however close it comes. */
#include "adapters/openssl/hmac.h"
#include "core/auth/token.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

#define NOW 1700000000ull

static const struct token_claims jo = {
        .user_id = "01ARYZ6S41041061050R3GG28A",
        .issued_s = NOW,
        .expires_s = NOW + 3600,
        .epoch = 3,
};

static struct mac *mac;

static void set_up(void)
{
        mac = hmac_new(SLICE("0123456789abcdef0123456789abcdef"));
        ck_assert_ptr_nonnull(mac);
}

static void tear_down(void)
{
        hmac_free(mac);
        hmac_free(NULL);
}

static enum token_result verify(const char *token)
{
        struct token_claims claims;

        return token_verify(slice_of(token), mac, NOW, &claims);
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* base64url without padding. */
static void append_base64url(char *text, const void *data, size_t length)
{
        const uint8_t *bytes = data;
        size_t used = strlen(text);

        for (size_t bit = 0; bit < 8 * length; bit += 6) {
                unsigned next = bit / 8 + 1 < length ? bytes[bit / 8 + 1] : 0;
                unsigned pair = (unsigned)bytes[bit / 8] << 8 | next;
                text[used++] = digits[pair >> (10 - bit % 8) & 63];
        }
        text[used] = '\0';
}

/* What is given, and a good signature behind it. */
static const char *signed_by_us(const char *header_and_claims)
{
        static char token[TOKEN_MAX_LENGTH + 1];
        uint8_t tag[MAC_LENGTH];

        strcpy(token, header_and_claims);
        ck_assert_int_eq(mac->compute(mac, slice_of(token), tag), 0);
        strcat(token, ".");
        append_base64url(token, tag, sizeof(tag));
        return token;
}

TEST(the_mac_is_hmac_sha256)
{
        /* RFC 4231, test case 2. */
        struct mac *jefe = hmac_new(SLICE("Jefe"));
        static const uint8_t expected[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                           0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7};
        uint8_t tag[MAC_LENGTH];

        ck_assert_int_eq(jefe->compute(jefe, SLICE("what do ya want for nothing?"), tag), 0);
        ck_assert_mem_eq(tag, expected, sizeof(expected));
        hmac_free(jefe);
}
TEST_END

TEST(a_token_is_the_same_jwt_that_other_libraries_make)
{
        char token[TOKEN_MAX_LENGTH + 1];

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        /* By Python's hmac and base64 over
         * {"sub":"01ARYZ6S41041061050R3GG28A","iat":1700000000,"exp":1700003600,"epoch":3}. */
        ck_assert_str_eq(token,
                         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIwMUFSWVo2UzQxMDQxMDYxM"
                         "DUwUjNHRzI4QSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAzNjAwLCJlcG9jaCI"
                         "6M30.kEfvuF7cpnAglNsCUFqcaUwRseZ5n318N2VgfU-rJ2c");
        tear_down();
}
TEST_END

TEST(a_signed_token_tells_whose_it_is)
{
        char token[TOKEN_MAX_LENGTH + 1];
        struct token_claims claims = {0};

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        ck_assert_int_eq(token_verify(slice_of(token), mac, NOW, &claims), TOKEN_VALID);
        ck_assert_str_eq(claims.user_id, jo.user_id);
        ck_assert_uint_eq(claims.issued_s, jo.issued_s);
        ck_assert_uint_eq(claims.expires_s, jo.expires_s);
        ck_assert_uint_eq(claims.epoch, jo.epoch);
        tear_down();
}
TEST_END

TEST(the_largest_claims_fit)
{
        struct token_claims large = jo, claims;
        char token[TOKEN_MAX_LENGTH + 1];

        set_up();
        large.issued_s = large.expires_s = large.epoch = UINT64_MAX;
        ck_assert_int_eq(token_sign(&large, mac, token), 0);
        ck_assert_int_eq(token_verify(slice_of(token), mac, NOW, &claims), TOKEN_VALID);
        ck_assert_uint_eq(claims.epoch, UINT64_MAX);
        tear_down();
}
TEST_END

TEST(a_token_dies_in_the_second_it_names)
{
        char token[TOKEN_MAX_LENGTH + 1];
        struct token_claims claims;

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        ck_assert_int_eq(token_verify(slice_of(token), mac, jo.expires_s - 1, &claims),
                         TOKEN_VALID);
        ck_assert_int_eq(token_verify(slice_of(token), mac, jo.expires_s, &claims), TOKEN_EXPIRED);
        tear_down();
}
TEST_END

TEST(another_key_makes_a_forged_token)
{
        char token[TOKEN_MAX_LENGTH + 1];
        struct mac *other = hmac_new(SLICE("0123456789abcdef0123456789abcdeX"));

        set_up();
        ck_assert_int_eq(token_sign(&jo, other, token), 0);
        ck_assert_int_eq(verify(token), TOKEN_FORGED);
        hmac_free(other);
        tear_down();
}
TEST_END

TEST(no_single_changed_byte_goes_unnoticed)
{
        char token[TOKEN_MAX_LENGTH + 1];

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        for (size_t i = 0; token[i] != '\0'; i++) {
                for (int change = 1; change < 256; change++) {
                        token[i] = (char)(token[i] ^ change);
                        ck_assert_int_ne(verify(token), TOKEN_VALID);
                        token[i] = (char)(token[i] ^ change);
                }
        }
        ck_assert_int_eq(verify(token), TOKEN_VALID);
        tear_down();
}
TEST_END

TEST(a_cut_or_lengthened_token_is_none)
{
        char token[TOKEN_MAX_LENGTH + 1];
        struct token_claims claims;
        char longer[TOKEN_MAX_LENGTH + 8];

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        for (size_t length = 0; length < strlen(token); length++)
                ck_assert_int_ne(token_verify(slice_make(token, length), mac, NOW, &claims),
                                 TOKEN_VALID);
        (void)snprintf(longer, sizeof(longer), "%s=", token);
        ck_assert_int_eq(verify(longer), TOKEN_MALFORMED);
        memset(longer, 'A', sizeof(longer));
        ck_assert_int_eq(token_verify(slice_make(longer, TOKEN_MAX_LENGTH + 1), mac, NOW, &claims),
                         TOKEN_MALFORMED);
        tear_down();
}
TEST_END

TEST(no_other_algorithm_is_accepted_even_with_a_good_signature)
{
        set_up();
        /* {"alg":"none","typ":"JWT"} and {"typ":"JWT","alg":"HS256"} before the same claims. */
        ck_assert_int_eq(verify(signed_by_us("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIifQ")),
                         TOKEN_MALFORMED);
        ck_assert_int_eq(
                verify(signed_by_us("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIifQ")),
                TOKEN_MALFORMED);
        ck_assert_int_eq(verify("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIifQ."),
                         TOKEN_MALFORMED);
        tear_down();
}
TEST_END

#define ID "01ARYZ6S41041061050R3GG28A"

/* The result for a token of these claims with the right header and a good signature. */
static enum token_result verify_claims(const char *json)
{
        char text[TOKEN_MAX_LENGTH] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

        append_base64url(text, json, strlen(json));
        return verify(signed_by_us(text));
}

TEST(claims_of_any_other_form_are_refused_even_with_a_good_signature)
{
        static const char *const claims[] = {
                "",
                "{}",
                "{\"sub\":\"\"}",
                "{\"sub\":\"01aryz6s41041061050r3gg28a\",\"iat\":1,\"exp\":1700000001,\"epoch\":3}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":-3}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":03}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":18446744073709551616}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":3}}",
                "{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001}",
                "{\"sub\":\"" ID "\", \"iat\":1,\"exp\":1700000001,\"epoch\":3}",
                "{\"sub\":\"" ID "\",\"exp\":1700000001,\"iat\":1,\"epoch\":3}",
        };

        set_up();
        ck_assert_int_eq(
                verify_claims("{\"sub\":\"" ID "\",\"iat\":1,\"exp\":1700000001,\"epoch\":3}"),
                TOKEN_VALID);
        for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
                ck_assert_msg(verify_claims(claims[i]) == TOKEN_MALFORMED, "%s", claims[i]);
        tear_down();
}
TEST_END

TEST(claims_have_one_spelling_in_base64url)
{
        char token[TOKEN_MAX_LENGTH + 1], *last;

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        *strrchr(token, '.') = '\0';
        last = token + strlen(token) - 1;
        ck_assert_int_eq(verify(signed_by_us(token)), TOKEN_VALID);
        /* 80 bytes end two bits before their 107th digit does. */
        *last = digits[strchr(digits, *last) - digits + 1];
        ck_assert_int_eq(verify(signed_by_us(token)), TOKEN_MALFORMED);
        *last = '!';
        ck_assert_int_eq(verify(signed_by_us(token)), TOKEN_MALFORMED);
        tear_down();
}
TEST_END

static int mac_failing(const struct mac *self, struct slice text, uint8_t ret_tag[MAC_LENGTH])
{
        (void)self;
        (void)text;
        (void)ret_tag;
        return -ENOMEM;
}

TEST(a_mac_that_fails_makes_and_believes_nothing)
{
        const struct mac broken = {.compute = mac_failing};
        char token[TOKEN_MAX_LENGTH + 1], untouched[] = "untouched";
        struct token_claims claims;

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        ck_assert_int_eq(token_verify(slice_of(token), &broken, NOW, &claims), TOKEN_FAILED);
        ck_assert_int_eq(token_sign(&jo, &broken, untouched), -ENOMEM);
        ck_assert_str_eq(untouched, "untouched");
        tear_down();
}
TEST_END

TEST(only_an_id_can_be_signed)
{
        struct token_claims nobody = {.user_id = "\",\"epoch\":9}"};
        char token[TOKEN_MAX_LENGTH + 1];

        set_up();
        ck_assert_int_eq(token_sign(&nobody, mac, token), -EINVAL);
        tear_down();
}
TEST_END

TEST(a_token_is_worth_nothing_without_its_user_or_in_another_epoch)
{
        struct catalog *empty = catalog_new_empty(1), *catalog;
        struct user *user = user_new();
        struct catalog_change change = {.kind = CATALOG_USER_PUT, .user = user};

        strcpy(user->id, jo.user_id);
        user->token_epoch = 3;
        catalog = catalog_with(empty, &change, 1);
        ck_assert_ptr_null(token_user(empty, slice_of(jo.user_id), 3));
        ck_assert_ptr_eq(token_user(catalog, slice_of(jo.user_id), 3), user);
        ck_assert_ptr_null(token_user(catalog, slice_of(jo.user_id), 2));
        ck_assert_ptr_null(token_user(catalog, slice_of(jo.user_id), 4));
        catalog_free(catalog);
        catalog_free(empty);
        user_unref(user);
}
TEST_END

TEST(a_token_is_told_wherever_it_stands_and_whoever_signed_it)
{
        char token[TOKEN_MAX_LENGTH + 1], text[2 * TOKEN_MAX_LENGTH];
        static const char *const around[][2] = {
                {"", ""},
                {"Token ", ","},
                {"", " "},
                {"x", "y"},
                {"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x, ", ""}};

        set_up();
        ck_assert_int_eq(token_sign(&jo, mac, token), 0);
        for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
                (void)snprintf(text, sizeof(text), "%s%s%s", around[i][0], token, around[i][1]);
                ck_assert(token_stands_in(slice_of(text)));
        }
        *strrchr(token, '.') = '\0'; /* without its signature */
        ck_assert(token_stands_in(slice_of(token)));
        token[strlen(token) - 1] = '!';
        ck_assert(!token_stands_in(slice_of(token)));
        ck_assert(!token_stands_in(SLICE("")));
        ck_assert(!token_stands_in(SLICE("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")));
        ck_assert(!token_stands_in(
                SLICE("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x")));
        tear_down();
}
TEST_END

TEST_MAIN("token", the_mac_is_hmac_sha256, a_token_is_the_same_jwt_that_other_libraries_make,
          a_signed_token_tells_whose_it_is, the_largest_claims_fit,
          a_token_dies_in_the_second_it_names, another_key_makes_a_forged_token,
          no_single_changed_byte_goes_unnoticed, a_cut_or_lengthened_token_is_none,
          no_other_algorithm_is_accepted_even_with_a_good_signature,
          claims_of_any_other_form_are_refused_even_with_a_good_signature,
          claims_have_one_spelling_in_base64url, a_mac_that_fails_makes_and_believes_nothing,
          only_an_id_can_be_signed, a_token_is_told_wherever_it_stands_and_whoever_signed_it,
          a_token_is_worth_nothing_without_its_user_or_in_another_epoch)
