/* What the request parser accepts, and what it says about it. Refusals: test_http_refusals.c. */
#include "wire/http_request.h"

#include "http_pieces.h"
#include "testing.h"

#include <stdio.h>

static const struct http_limits limits = HTTP_LIMITS_DEFAULT;
static struct http_outcome outcome;

#define EXPECT_SLICE(slice, text)                                                                  \
        ck_assert_msg(slice_equal((slice), slice_of(text)), "'%.*s' is not '%s'",                  \
                      (int)(slice).length, (slice).data, (text))

static const struct http_request *parse(const char *text)
{
        http_outcome_deinit(&outcome);
        http_parse_pieces(slice_of(text), SIZE_MAX, 1, &limits, &outcome);
        if (outcome.result == HTTP_PARSE_REFUSED)
                ck_abort_msg("refused: %d %s", outcome.refusal.status, outcome.refusal.reason);
        ck_assert_int_eq(outcome.result, HTTP_PARSE_DONE);
        return &outcome.request;
}

TEST(a_plain_request_is_taken_apart)
{
        const char text[] = "POST /f/abc/x%20y?a=1&b=?/ HTTP/1.1\r\n"
                            "Host: example.org:8080\r\n"
                            "content-TYPE:application/json \t\r\n"
                            "AUTHORIZATION:\t Bearer abc\r\n"
                            "X-Empty:\r\n"
                            "X-Tab: a\tb\r\n"
                            "X-Beyond-Ascii: caf\xc3\xa9\r\n"
                            "Content-Length: 0017\r\n"
                            "\r\n";
        const struct http_request *request = parse(text);

        ck_assert_uint_eq(request->head_length, sizeof(text) - 1);
        ck_assert_int_eq(request->method, HTTP_METHOD_POST);
        EXPECT_SLICE(request->method_text, "POST");
        ck_assert_int_eq(request->minor_version, 1);
        EXPECT_SLICE(request->target, "/f/abc/x%20y?a=1&b=?/");
        EXPECT_SLICE(request->path, "/f/abc/x%20y");
        ck_assert(request->has_query);
        EXPECT_SLICE(request->query, "a=1&b=?/");
        EXPECT_SLICE(request->host, "example.org:8080");
        EXPECT_SLICE(request->content_type, "application/json");
        EXPECT_SLICE(request->authorization, "Bearer abc");
        ck_assert_ptr_null(request->prefer.data);
        ck_assert_int_eq(request->body, HTTP_BODY_LENGTH);
        ck_assert_uint_eq(request->content_length, 17);
        ck_assert(request->keep_alive);
        ck_assert(!request->expect_continue);
        ck_assert_uint_eq(request->header_count, 7);
        EXPECT_SLICE(request->headers[1].name, "content-TYPE");
        EXPECT_SLICE(request->headers[3].name, "X-Empty");
        EXPECT_SLICE(request->headers[3].value, "");
        EXPECT_SLICE(request->headers[4].value, "a\tb");
        EXPECT_SLICE(request->headers[5].value, "caf\xc3\xa9");
}
TEST_END

TEST(every_method_has_its_number)
{
        static const struct {
                const char *text;
                enum http_method method;
        } methods[] = {
                {"GET", HTTP_METHOD_GET},         {"HEAD", HTTP_METHOD_HEAD},
                {"POST", HTTP_METHOD_POST},       {"PUT", HTTP_METHOD_PUT},
                {"DELETE", HTTP_METHOD_DELETE},   {"PATCH", HTTP_METHOD_PATCH},
                {"OPTIONS", HTTP_METHOD_OPTIONS}, {"TRACE", HTTP_METHOD_TRACE},
        };

        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
                char text[100];
                (void)snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n",
                               methods[i].text);
                ck_assert_int_eq(parse(text)->method, methods[i].method);
                EXPECT_SLICE(outcome.request.method_text, methods[i].text);
        }
}
TEST_END

TEST(the_result_is_the_same_wherever_the_bytes_are_cut)
{
        static const char *const texts[] = {
                "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Long: 0123456789 0123456789 0123456789\r\n\r\n",
                "\r\nPOST / HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabcGET",
                "GET http://a:1 HTTP/1.1\r\nHost: b\r\nPrefer: wait=1\r\nPrefer: x\r\n\r\nGET / HT",
                "GET / HTTP/1.1\r\nHost: x\r\nBad : y\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: x\r\nBare: lf\nX: y\r\n\r\n",
                "GET / HTTP/1.1\rX\r\n\r\n",
                "GET / HTTP/2.0\r\nHost: x\n\r\n",
                "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: x\r\nNever: ending",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct slice text = slice_of(texts[i]);
                struct http_outcome pieces;

                http_parse_pieces(text, SIZE_MAX, 1, &limits, &outcome);
                http_parse_pieces(text, 0, 1, &limits, &pieces);
                ck_assert(http_outcomes_agree(&outcome, &pieces));
                if (pieces.result == HTTP_PARSE_DONE)
                        ck_assert_uint_eq(pieces.fed, pieces.request.head_length);
                http_outcome_deinit(&pieces);
                for (size_t cut = 0; cut < text.length; cut++) {
                        http_parse_pieces(text, cut, SIZE_MAX / 2, &limits, &pieces);
                        ck_assert_msg(http_outcomes_agree(&outcome, &pieces), "text %zu cut at %zu",
                                      i, cut);
                        http_outcome_deinit(&pieces);
                }
                http_outcome_deinit(&outcome);
        }
}
TEST_END

TEST(pipelined_requests_are_parsed_one_after_another)
{
        const char text[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                            "GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"
                            "GET /3 HTTP/1.1\r\nHost: c\r\n\r\n";
        struct slice rest = slice_of(text);
        struct http_request request;
        struct http_refusal refusal;

        for (char number = '1'; number <= '3'; number++) {
                ck_assert_int_eq(
                        http_request_parse(rest.data, rest.length, 0, &limits, &request, &refusal),
                        HTTP_PARSE_DONE);
                ck_assert_int_eq(request.path.data[1], number);
                rest = slice_skip(rest, request.head_length);
        }
        ck_assert_uint_eq(rest.length, 0);
        ck_assert_int_eq(http_request_parse(rest.data, 0, 0, &limits, &request, &refusal),
                         HTTP_PARSE_MORE);
}
TEST_END

TEST(a_head_that_arrives_byte_by_byte_is_scanned_once)
{
        /* Re-scanning 32 KiB for each of its bytes would look at half a gigabyte; once is 32 KiB.
         * What the parser may not look at again is poisoned: a second look would refuse it. */
        static char text[32000];
        const size_t length = sizeof(text);
        const char line[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        struct http_request request;
        struct http_refusal refusal;

        memset(text, 'x', length);
        memcpy(text, line, sizeof(line) - 1);
        for (size_t shown = 1; shown < length; shown++) {
                ck_assert_int_eq(
                        http_request_parse(text, shown, shown - 1, &limits, &request, &refusal),
                        HTTP_PARSE_MORE);
                if (shown >= sizeof(line))
                        text[shown - 1] = '\0';
        }
}
TEST_END

TEST(an_absolute_target_gives_the_host_and_the_path)
{
        const struct http_request *request =
                parse("GET HTTP://Example.org:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n");

        EXPECT_SLICE(request->host, "Example.org:81");
        EXPECT_SLICE(request->path, "/a");
        EXPECT_SLICE(request->query, "b");
        request = parse("GET https://[::1]:443 HTTP/1.1\r\nHost: other\r\n\r\n");
        EXPECT_SLICE(request->host, "[::1]:443");
        EXPECT_SLICE(request->path, "/");
        ck_assert(!request->has_query);
        request = parse("GET http://h?q HTTP/1.0\r\n\r\n");
        EXPECT_SLICE(request->host, "h");
        EXPECT_SLICE(request->path, "/");
        EXPECT_SLICE(request->query, "q");
}
TEST_END

TEST(an_asterisk_asks_for_the_options_of_the_server)
{
        EXPECT_SLICE(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")->path, "*");
}
TEST_END

TEST(an_empty_query_is_a_query)
{
        const struct http_request *request = parse("GET /? HTTP/1.1\r\nHost: a\r\n\r\n");

        ck_assert(request->has_query);
        EXPECT_SLICE(request->query, "");
        EXPECT_SLICE(request->path, "/");
}
TEST_END

TEST(what_browsers_leave_unescaped_in_a_target_is_taken)
{
        EXPECT_SLICE(parse("GET /a|b?c[]={d}^\\`\"<> HTTP/1.1\r\nHost: a\r\n\r\n")->query,
                     "c[]={d}^\\`\"<>");
}
TEST_END

TEST(hosts_are_names_and_addresses_with_or_without_a_port)
{
        static const char *const hosts[] = {
                "a", "a.b-c_d~e", "127.0.0.1:8080", "a:", "a:65535", "[::1]", "[fe80::1.2.3.4]:1"};

        for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
                char text[100];
                (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
                EXPECT_SLICE(parse(text)->host, hosts[i]);
        }
}
TEST_END

TEST(the_name_of_a_host_is_what_stands_before_the_port)
{
        static const char *const hosts[][2] = {
                {"", ""},          {"a", "a"},         {"a:", "a"},
                {"a.b:80", "a.b"}, {"[::1]", "[::1]"}, {"[fe80::1.2.3.4]:1", "[fe80::1.2.3.4]"},
        };

        for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
                EXPECT_SLICE(http_host_name(slice_of(hosts[i][0])), hosts[i][1]);
        ck_assert_uint_eq(http_host_name((struct slice){0}).length, 0);
}
TEST_END

TEST(http_1_0_needs_no_host)
{
        ck_assert_ptr_null(parse("GET / HTTP/1.0\r\n\r\n")->host.data);
}
TEST_END

TEST(keep_alive_follows_the_version_and_the_connection_header)
{
        static const struct {
                const char *text;
                bool keep_alive;
        } cases[] = {
                {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade ,\tclose\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n", true},
                {"GET / HTTP/1.0\r\n\r\n", false},
                {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
                {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(parse(cases[i].text)->keep_alive == cases[i].keep_alive, "%s",
                              cases[i].text);
}
TEST_END

TEST(the_body_is_framed_by_its_length_or_in_chunks)
{
        ck_assert_int_eq(parse("GET / HTTP/1.0\r\n\r\n")->body, HTTP_BODY_NONE);
        ck_assert_int_eq(parse("PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")->body,
                         HTTP_BODY_LENGTH);
        ck_assert_uint_eq(parse("PUT / HTTP/1.0\r\nContent-Length: 18446744073709551615\r\n\r\n")
                                  ->content_length,
                          UINT64_MAX);
        ck_assert_int_eq(
                parse("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n")->body,
                HTTP_BODY_CHUNKED);
}
TEST_END

TEST(an_expectation_counts_where_a_body_follows_in_http_1_1)
{
        ck_assert(parse("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                        "Expect: 100-Continue\r\n\r\n")
                          ->expect_continue);
        ck_assert(parse("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                        "Expect: 100-continue\r\n\r\n")
                          ->expect_continue);
        ck_assert(!parse("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
                           ->expect_continue);
        ck_assert(!parse("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
                           ->expect_continue);
        ck_assert(!parse("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\n")
                           ->expect_continue);
}
TEST_END

TEST(a_head_may_be_exactly_as_large_as_the_limits_say)
{
        const char text[] = "GET /4567 HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
        const struct http_limits exact = {
                .head_max = sizeof(text) - 1, .target_max = 5, .header_max = 2};

        http_parse_pieces(slice_of(text), 0, 1, &exact, &outcome);
        ck_assert_int_eq(outcome.result, HTTP_PARSE_DONE);
        http_outcome_deinit(&outcome);
        http_parse_pieces(slice_of("GET /4567 HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\nmore bytes"),
                          SIZE_MAX, 1, &exact, &outcome);
        ck_assert_int_eq(outcome.result, HTTP_PARSE_DONE);
}
TEST_END

TEST(a_hundred_headers_are_kept)
{
        char text[4096] = "GET / HTTP/1.0\r\n";
        const struct http_request *request;

        for (int i = 0; i < HTTP_HEADERS_MAX; i++) {
                size_t used = strlen(text);
                (void)snprintf(text + used, sizeof(text) - used, "X-%d: %d\r\n", i, i * i);
        }
        request = parse(strcat(text, "\r\n"));
        ck_assert_uint_eq(request->header_count, HTTP_HEADERS_MAX);
        EXPECT_SLICE(request->headers[99].name, "X-99");
        EXPECT_SLICE(request->headers[99].value, "9801");
}
TEST_END

TEST(a_header_is_found_by_its_name_in_any_case)
{
        const struct http_request *request =
                parse("GET / HTTP/1.0\r\nX-Trace: 1\r\nx-trace: 2\r\n\r\n");

        EXPECT_SLICE(http_request_find(request, SLICE("X-TRACE"))->value, "1");
        ck_assert_ptr_null(http_request_find(request, SLICE("X-Trac")));
        ck_assert_ptr_null(http_request_find(request, SLICE("X-Trace\0")));
}
TEST_END

TEST(a_member_of_a_list_header_is_found_in_any_of_its_lines)
{
        const struct http_request *request =
                parse("GET / HTTP/1.0\r\nPrefer: wait=10, foo; bar\r\n"
                      "Prefer: a=\"x\\\", hidden, y\" , , Respond-Async;x=1\r\nPrefer:\r\n\r\n");

        EXPECT_SLICE(request->prefer, "wait=10, foo; bar");
        ck_assert(http_request_lists(request, SLICE("prefer"), SLICE("respond-async")));
        ck_assert(http_request_lists(request, SLICE("prefer"), SLICE("foo")));
        ck_assert(!http_request_lists(request, SLICE("prefer"), SLICE("hidden")));
        ck_assert(!http_request_lists(request, SLICE("prefer"), SLICE("respond")));
        ck_assert(!http_request_lists(request, SLICE("accept"), SLICE("foo")));
}
TEST_END

TEST(a_name_reads_as_another_where_only_case_and_underscores_differ)
{
        const struct slice known = SLICE("magpie-user");

        ck_assert(http_header_reads_as(SLICE("Magpie-User"), known));
        ck_assert(http_header_reads_as(SLICE("MAGPIE_user"), known));
        ck_assert(!http_header_reads_as(SLICE("magpie+user"), known));
        ck_assert(!http_header_reads_as(SLICE("magpie-users"), known));
        ck_assert(!http_header_reads_as(SLICE("magpie-use"), known));
        ck_assert(!http_header_reads_as(SLICE("magpie-user"), SLICE("magpie_user")));
}
TEST_END

TEST(hop_by_hop_headers_are_known_in_any_case)
{
        static const char *const mine[] = {"Connection",
                                           "KEEP-ALIVE",
                                           "TE",
                                           "Trailer",
                                           "transfer-encoding",
                                           "Upgrade",
                                           "Proxy-Authenticate",
                                           "Transfer_Encoding",
                                           "proxy_x"};
        static const char *const others[] = {"Content-Length", "Connections", "T", "Proxy", ""};

        for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
                ck_assert(http_header_is_hop_by_hop(slice_of(mine[i])));
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                ck_assert(!http_header_is_hop_by_hop(slice_of(others[i])));
}
TEST_END

TEST(it_is_noted_where_connection_names_other_headers)
{
        static const struct {
                const char *text;
                bool names;
        } cases[] = {
                {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Keep-Alive\r\n\r\n", false},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-A\r\n\r\n", true},
                {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: X-A\r\n\r\n", true},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const struct http_request *request = parse(cases[i].text);
                ck_assert_msg(request->names_headers == cases[i].names, "%s", cases[i].text);
                ck_assert(http_request_lists(request, SLICE("connection"), SLICE("x-a")) ==
                          cases[i].names);
        }
}
TEST_END

TEST_MAIN("http_request", a_plain_request_is_taken_apart, every_method_has_its_number,
          the_result_is_the_same_wherever_the_bytes_are_cut,
          pipelined_requests_are_parsed_one_after_another,
          a_head_that_arrives_byte_by_byte_is_scanned_once,
          an_absolute_target_gives_the_host_and_the_path,
          an_asterisk_asks_for_the_options_of_the_server, an_empty_query_is_a_query,
          what_browsers_leave_unescaped_in_a_target_is_taken,
          hosts_are_names_and_addresses_with_or_without_a_port,
          the_name_of_a_host_is_what_stands_before_the_port, http_1_0_needs_no_host,
          keep_alive_follows_the_version_and_the_connection_header,
          the_body_is_framed_by_its_length_or_in_chunks,
          an_expectation_counts_where_a_body_follows_in_http_1_1,
          a_head_may_be_exactly_as_large_as_the_limits_say, a_hundred_headers_are_kept,
          a_header_is_found_by_its_name_in_any_case,
          a_member_of_a_list_header_is_found_in_any_of_its_lines,
          a_name_reads_as_another_where_only_case_and_underscores_differ,
          hop_by_hop_headers_are_known_in_any_case,
          it_is_noted_where_connection_names_other_headers)
