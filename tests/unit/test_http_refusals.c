/* What the request parser refuses, and with which status: each rule of RFC 9112 that keeps two
 * parsers from reading one message in two ways. */
#include "wire/http_request.h"

#include "http_pieces.h"
#include "testing.h"

static struct http_limits limits = HTTP_LIMITS_DEFAULT;

static void expect_refusal(int status, struct slice bytes)
{
        struct http_outcome whole, pieces;

        http_parse_pieces(bytes, SIZE_MAX, 1, &limits, &whole);
        ck_assert_msg(whole.result == HTTP_PARSE_REFUSED, "%s: %.*s",
                      whole.result == HTTP_PARSE_DONE ? "accepted" : "wants more",
                      (int)bytes.length, bytes.data);
        ck_assert_msg(whole.refusal.status == status, "%d %s: %.*s", whole.refusal.status,
                      whole.refusal.reason, (int)bytes.length, bytes.data);
        http_parse_pieces(bytes, 0, 1, &limits, &pieces);
        ck_assert(http_outcomes_agree(&whole, &pieces));
        http_outcome_deinit(&whole);
        http_outcome_deinit(&pieces);
}

/* Literals, because some have a NUL inside. */
#define REFUSED(status, text) expect_refusal((status), SLICE(text))
#define REFUSED_LINE(status, line)                                                                 \
        expect_refusal((status), SLICE("POST / HTTP/1.1\r\nHost: a\r\n" line "\r\n\r\n"))
#define REFUSED_TARGET(status, target)                                                             \
        expect_refusal((status), SLICE("GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"))
#define REFUSED_HOST(host) expect_refusal(400, SLICE("GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"))

TEST(a_second_content_length_is_refused_even_if_it_is_the_same)
{
        REFUSED_LINE(400, "Content-Length: 5\r\nContent-Length: 5");
        REFUSED_LINE(400, "Content-Length: 5\r\ncontent-length: 6");
        REFUSED_LINE(400, "Content-Length: 5, 5");
        REFUSED_LINE(400, "Content-Length: 5,6");
}
TEST_END

TEST(a_content_length_that_is_not_plain_digits_is_refused)
{
        REFUSED_LINE(400, "Content-Length: +5");
        REFUSED_LINE(400, "Content-Length: -5");
        REFUSED_LINE(400, "Content-Length: 0x5");
        REFUSED_LINE(400, "Content-Length: 5 5");
        REFUSED_LINE(400, "Content-Length: 5.0");
        REFUSED_LINE(400, "Content-Length: 5;");
        REFUSED_LINE(400, "Content-Length: \"5\"");
        REFUSED_LINE(400, "Content-Length: \xd9\xa5");
        REFUSED_LINE(400, "Content-Length:");
        REFUSED_LINE(400, "Content-Length: ,5");
}
TEST_END

TEST(a_content_length_beyond_64_bits_is_refused)
{
        REFUSED_LINE(400, "Content-Length: 18446744073709551616");
        REFUSED_LINE(400, "Content-Length: 99999999999999999999");
        REFUSED_LINE(400, "Content-Length: 184467440737095516150");
}
TEST_END

TEST(content_length_together_with_transfer_encoding_is_refused)
{
        REFUSED_LINE(400, "Content-Length: 5\r\nTransfer-Encoding: chunked");
        REFUSED_LINE(400, "Transfer-Encoding: chunked\r\nContent-Length: 5");
        REFUSED_LINE(400, "Transfer-Encoding: chunked\r\nContent-Length: 0");
}
TEST_END

TEST(a_transfer_encoding_that_does_not_end_with_one_chunked_is_refused)
{
        REFUSED_LINE(400, "Transfer-Encoding:");
        REFUSED_LINE(400, "Transfer-Encoding: ,");
        REFUSED_LINE(400, "Transfer-Encoding: chunked,");
        REFUSED_LINE(400, "Transfer-Encoding: ,chunked");
        REFUSED_LINE(400, "Transfer-Encoding: chunked, chunked");
        REFUSED_LINE(400, "Transfer-Encoding: chunked, gzip");
        REFUSED_LINE(400, "Transfer-Encoding: gzip");
        REFUSED_LINE(400, "Transfer-Encoding: identity");
        REFUSED_LINE(400, "Transfer-Encoding: xchunked");
        REFUSED_LINE(400, "Transfer-Encoding: chunkedx");
        REFUSED_LINE(400, "Transfer-Encoding: chunked;q=1");
        REFUSED_LINE(400, "Transfer-Encoding: chunked chunked");
        REFUSED_LINE(400, "Transfer-Encoding: \"chunked\"");
        REFUSED_LINE(400, "Transfer-Encoding: chunk\xc3\xa9"
                          "d");
        REFUSED_LINE(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
        REFUSED_LINE(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity");
}
TEST_END

TEST(another_coding_before_chunked_is_not_implemented)
{
        REFUSED_LINE(501, "Transfer-Encoding: gzip, chunked");
        REFUSED_LINE(501, "Transfer-Encoding: identity, chunked");
}
TEST_END

TEST(http_1_0_has_no_transfer_encoding)
{
        REFUSED(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
}
TEST_END

TEST(a_line_that_ends_with_lf_alone_is_refused_at_once)
{
        REFUSED(400, "GET / HTTP/1.1\n");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\n");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\n");
        REFUSED(400, "\nGET / HTTP/1.1\r\n");
}
TEST_END

TEST(a_cr_without_lf_is_refused_at_once)
{
        REFUSED(400, "GET / HTTP/1.1\rH");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\rX: y");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\r");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\rX");
        REFUSED(400, "\rG");
}
TEST_END

TEST(control_characters_are_refused_at_once)
{
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x0b");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x1f");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789abcdef0123456\0"
                     "789abcdef");
        REFUSED(400, "GET /\0");
        REFUSED(400, "\x16\x03\x01");
}
TEST_END

TEST(every_control_byte_is_found_at_every_place)
{
        for (size_t place = 0; place < 70; place++) {
                for (int byte = 0; byte < 256; byte++) {
                        char text[128] = "GET / HTTP/1.0\r\nX:";
                        size_t from = strlen(text);
                        struct http_outcome outcome;
                        bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;

                        memset(text + from, 'v', 70);
                        text[from + place] = (char)byte;
                        memcpy(text + from + 70, "\r\n\r\n", 4);
                        http_parse_pieces(slice_make(text, from + 74), SIZE_MAX, 1, &limits,
                                          &outcome);
                        ck_assert_msg((outcome.result == HTTP_PARSE_REFUSED) == control,
                                      "byte %d at %zu", byte, place);
                        http_outcome_deinit(&outcome);
                }
        }
}
TEST_END

TEST(a_folded_header_line_is_refused)
{
        REFUSED_LINE(400, "X: a\r\n b");
        REFUSED_LINE(400, "X: a\r\n\tb: c");
        REFUSED(400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n");
        REFUSED_LINE(400, "X: a\r\n ");
}
TEST_END

TEST(white_space_before_the_colon_is_refused)
{
        REFUSED_LINE(400, "Content-Length : 5");
        REFUSED_LINE(400, "Transfer-Encoding\t: chunked");
        REFUSED_LINE(400, "X Y: z");
}
TEST_END

TEST(a_header_name_must_be_a_token)
{
        REFUSED_LINE(400, ": value");
        REFUSED_LINE(400, "no colon");
        REFUSED_LINE(400, "nocolon");
        REFUSED_LINE(400, "X(Y): z");
        REFUSED_LINE(400, "\"X\": z");
        REFUSED_LINE(400, "X\xc3\xa9: z");
        REFUSED_LINE(400, "X/Y: z");
}
TEST_END

TEST(http_1_1_without_exactly_one_host_is_refused)
{
        REFUSED(400, "GET / HTTP/1.1\r\n\r\n");
        REFUSED(400, "GET http://a/ HTTP/1.1\r\n\r\n");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
        REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n");
        REFUSED(400, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n");
}
TEST_END

TEST(a_host_that_is_no_name_or_address_is_refused)
{
        REFUSED_HOST("");
        REFUSED_HOST(":80");
        REFUSED_HOST("a b");
        REFUSED_HOST("a,b");
        REFUSED_HOST("a/b");
        REFUSED_HOST("user@a");
        REFUSED_HOST("a:b");
        REFUSED_HOST("a:80:80");
        REFUSED_HOST("a:65536");
        REFUSED_HOST("a:000080");
        REFUSED_HOST("caf\xc3\xa9");
        REFUSED_HOST("[]");
        REFUSED_HOST("[::1");
        REFUSED_HOST("[::g]");
        REFUSED_HOST("[::1]x");
        REFUSED(400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n");
        REFUSED(400, "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n");
}
TEST_END

TEST(a_method_that_is_no_token_is_refused)
{
        REFUSED(400, " GET / HTTP/1.1\r\n");
        REFUSED(400, "G(T / HTTP/1.1\r\n");
        REFUSED(400, "GET\r\n");
        REFUSED(400, "GET\t/ HTTP/1.1\r\n");
        REFUSED(400, "\r\n\r\n");
        REFUSED(400, "\r\n\r\nGET / HTTP/1.1\r\n");
        REFUSED(400, "\xef\xbb\xbfGET / HTTP/1.1\r\n");
}
TEST_END

TEST(a_method_that_is_not_known_is_refused)
{
        REFUSED(501, "CONNECT a:80 HTTP/1.1\r\n");
        REFUSED(501, "CONNECT / HTTP/1.1\r\n");
        REFUSED(501, "get / HTTP/1.1\r\n");
        REFUSED(501, "GETX / HTTP/1.1\r\n");
        REFUSED(501, "!!!GET / HTTP/1.1\r\n");
        REFUSED(501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n");
}
TEST_END

TEST(a_target_in_no_known_form_is_refused)
{
        REFUSED_TARGET(400, "*");
        REFUSED_TARGET(400, "a");
        REFUSED_TARGET(400, "example.org:80");
        REFUSED_TARGET(400, "ftp://a/");
        REFUSED_TARGET(400, "http:/a");
        REFUSED_TARGET(400, "http://");
        REFUSED_TARGET(400, "http:///a");
        REFUSED_TARGET(400, "http://user@a/");
        REFUSED_TARGET(400, "http://a:x/");
        REFUSED_TARGET(400, "?a");
}
TEST_END

TEST(a_target_with_a_space_a_fragment_or_raw_bytes_is_refused)
{
        REFUSED_TARGET(400, "/a b");
        REFUSED_TARGET(400, "/a#b");
        REFUSED_TARGET(400, "/caf\xc3\xa9");
        REFUSED_TARGET(400, "/a\tb");
        REFUSED(400, "GET  / HTTP/1.1\r\n");
        REFUSED(400, "GET  HTTP/1.1\r\n");
}
TEST_END

TEST(http_0_9_is_refused_at_once)
{
        REFUSED(400, "GET /\r\n");
        REFUSED(400, "GET / \r\n");
}
TEST_END

TEST(a_misspelt_version_is_refused)
{
        REFUSED(400, "GET / http/1.1\r\n");
        REFUSED(400, "GET / HTTP/1\r\n");
        REFUSED(400, "GET / HTTP/1.\r\n");
        REFUSED(400, "GET / HTTP/1.11\r\n");
        REFUSED(400, "GET / HTTP/1.1 \r\n");
        REFUSED(400, "GET / HTTP/1,1\r\n");
        REFUSED(400, "GET / HTTP/+.1\r\n");
        REFUSED(400, "GET /  HTTP/1.1\r\n");
        REFUSED(400, "GET / ICY/1.1\r\n");
}
TEST_END

TEST(other_versions_of_http_are_not_supported)
{
        REFUSED(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        REFUSED(505, "GET / HTTP/1.2\r\n");
        REFUSED(505, "GET / HTTP/0.9\r\n");
        REFUSED(505, "GET / HTTP/3.0\r\n");
}
TEST_END

TEST(an_unknown_expectation_fails)
{
        REFUSED_LINE(417, "Expect: 200-ok");
        REFUSED_LINE(417, "Expect:");
        REFUSED_LINE(417, "Expect: 100-continue, x");
}
TEST_END

TEST(a_second_credential_content_type_or_expectation_is_refused)
{
        REFUSED_LINE(400, "Authorization: Bearer a\r\nAuthorization: Bearer b");
        REFUSED_LINE(400, "Content-Type: a/b\r\ncontent-type: a/b");
        REFUSED_LINE(400, "Expect: 100-continue\r\nExpect: 100-continue");
}
TEST_END

TEST(a_target_beyond_its_limit_is_too_long)
{
        limits = (struct http_limits){.head_max = 100, .target_max = 5, .header_max = 9};
        REFUSED(414, "GET /45678 HTTP/1.1\r\n");
        limits.target_max = 1000;
        REFUSED(414, "GET /0123456789012345678901234567890123456789012345678901234567890123456789"
                     "012345678901234567890123456789");
}
TEST_END

TEST(a_head_beyond_its_limit_is_too_large)
{
        limits = (struct http_limits){.head_max = 40, .target_max = 5, .header_max = 9};
        REFUSED(431, "GET / HTTP/1.1\r\nHost: a\r\nX: 345678901234");
        REFUSED(431, "GET / HTTP/1.1\r\nHost: a\r\nX: 345678901\r\n\r\n");
}
TEST_END

TEST(more_headers_than_the_limit_are_too_many)
{
        limits.header_max = 2;
        REFUSED(431, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n");
}
TEST_END

TEST_MAIN("http_refusals", a_second_content_length_is_refused_even_if_it_is_the_same,
          a_content_length_that_is_not_plain_digits_is_refused,
          a_content_length_beyond_64_bits_is_refused,
          content_length_together_with_transfer_encoding_is_refused,
          a_transfer_encoding_that_does_not_end_with_one_chunked_is_refused,
          another_coding_before_chunked_is_not_implemented, http_1_0_has_no_transfer_encoding,
          a_line_that_ends_with_lf_alone_is_refused_at_once, a_cr_without_lf_is_refused_at_once,
          control_characters_are_refused_at_once, every_control_byte_is_found_at_every_place,
          a_folded_header_line_is_refused, white_space_before_the_colon_is_refused,
          a_header_name_must_be_a_token, http_1_1_without_exactly_one_host_is_refused,
          a_host_that_is_no_name_or_address_is_refused, a_method_that_is_no_token_is_refused,
          a_method_that_is_not_known_is_refused, a_target_in_no_known_form_is_refused,
          a_target_with_a_space_a_fragment_or_raw_bytes_is_refused, http_0_9_is_refused_at_once,
          a_misspelt_version_is_refused, other_versions_of_http_are_not_supported,
          an_unknown_expectation_fails, a_second_credential_content_type_or_expectation_is_refused,
          a_target_beyond_its_limit_is_too_long, a_head_beyond_its_limit_is_too_large,
          more_headers_than_the_limit_are_too_many)
