/* URLs taken apart, requests put together, thresholds, and figures in metrics. */
#include "base/auto.h"
#include "lab/metrics_text.h"
#include "lab/request.h"
#include "lab/thresholds.h"
#include "testing.h"

#include <math.h>
#include <string.h>

static struct url url;
static struct err err;

static void expect_slice(struct slice found, const char *expected)
{
        ck_assert_msg(slice_equal(found, slice_of(expected)), "'%.*s' is not '%s'",
                      (int)found.length, found.data, expected);
}

static void expect_url(const char *text, bool is_tls, const char *host, unsigned port,
                       const char *target)
{
        ck_assert_msg(url_parse(slice_of(text), &url, &err) == 0, "%s: %s", text, err.text);
        ck_assert(url.is_tls == is_tls);
        expect_slice(url.host, host);
        ck_assert_uint_eq(url.port, port);
        expect_slice(url.target, target);
}

TEST(a_url_says_where_and_what)
{
        expect_url("http://127.0.0.1:8080/f/echo?x=1#there", false, "127.0.0.1", 8080,
                   "/f/echo?x=1");
        expect_url("https://example.org", true, "example.org", 443, "");
        expect_url("example.org/a", false, "example.org", 80, "/a");
        expect_url("HTTP://[::1]:81?q", false, "::1", 81, "?q");
        expect_slice(url.authority, "[::1]:81");
}
TEST_END

TEST(what_is_no_url_is_refused_with_a_sentence)
{
        static const char *const cases[] = {"",
                                            "http://",
                                            "ftp://example.org",
                                            "http://u:p@example.org/",
                                            "http://example.org:0/",
                                            "http://example.org:65536/",
                                            "http://example.org:/",
                                            "http://[::1/",
                                            "http://[x]/",
                                            "http://example.org/a b",
                                            "http://exa mple.org/",
                                            "http://example.org/\r\nX: y"};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_msg(url_parse(slice_of(cases[i]), &url, &err) < 0, "%s", cases[i]);
}
TEST_END

static int write_request(struct buffer *buffer, const char *method, const char *header,
                         const char *body, bool keep_alive)
{
        struct request_form form = {.url = &url,
                                    .method = slice_of(method),
                                    .has_body = body != NULL,
                                    .body = slice_of(body ? body : ""),
                                    .keep_alive = keep_alive};

        if (header)
                form.headers[form.header_count++] = slice_of(header);
        buffer_init(buffer, 4096);
        return request_write(buffer, &form, &err);
}

TEST(a_request_has_host_length_and_what_was_said)
{
        AUTO(buffer_deinit) struct buffer buffer;

        expect_url("http://h:81?q", false, "h", 81, "?q");
        ck_assert_int_eq(write_request(&buffer, "POST", "user-agent:  me ", "abc", false), 0);
        expect_slice(buffer_slice(&buffer),
                     "POST /?q HTTP/1.1\r\nHost: h:81\r\nuser-agent: me\r\nAccept: */*\r\n"
                     "Content-Type: application/octet-stream\r\nContent-Length: 3\r\n"
                     "Connection: close\r\n\r\nabc");
}
TEST_END

TEST(a_host_that_was_said_is_the_only_one)
{
        AUTO(buffer_deinit) struct buffer buffer;

        expect_url("http://h/", false, "h", 80, "/");
        ck_assert_int_eq(write_request(&buffer, "GET", "Host: other", NULL, true), 0);
        ck_assert_ptr_nonnull(memmem(buffer.data, buffer.length, "Host: other\r\n", 13));
        ck_assert_ptr_null(memmem(buffer.data, buffer.length, "Host: h\r\n", 9));
}
TEST_END

TEST(a_request_that_could_be_two_is_refused)
{
        static const char *const headers[] = {
                "no colon", ": empty",           "a b: c",        "a: b\r\nc: d",
                "a: b\001", "Content-Length: 5", "connection: x", "Transfer-Encoding: chunked"};

        expect_url("http://h/", false, "h", 80, "/");
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
                AUTO(buffer_deinit) struct buffer buffer;
                ck_assert_msg(write_request(&buffer, "GET", headers[i], NULL, true) < 0, "%s",
                              headers[i]);
        }
        for (size_t i = 0; i < 2; i++) {
                AUTO(buffer_deinit) struct buffer buffer;
                ck_assert_int_lt(write_request(&buffer, i ? "" : "GET /x", NULL, NULL, true), 0);
        }
}
TEST_END

TEST(thresholds_are_read_with_their_units)
{
        struct thresholds thresholds = {0};

        ck_assert_int_eq(thresholds_parse(&thresholds,
                                          SLICE("p99>50ms, errors >= 0.1%,throughput<1000,"
                                                "p99_9>1.5s,p99.9<800us,mean>5ms"),
                                          &err),
                         0);
        ck_assert_uint_eq(thresholds.count, 6);
        ck_assert_double_eq(thresholds.items[0].bound, 50e6);
        ck_assert_double_eq(thresholds.items[0].share, 0.99);
        ck_assert(thresholds.items[1].or_equal && !thresholds.items[1].is_below);
        ck_assert_double_eq_tol(thresholds.items[1].bound, 0.001, 1e-12);
        ck_assert(thresholds.items[2].is_below);
        ck_assert_double_eq_tol(thresholds.items[3].share, 0.999, 1e-12);
        ck_assert_double_eq_tol(thresholds.items[4].share, 0.999, 1e-12);
        ck_assert_double_eq_tol(thresholds.items[4].bound, 800e3, 1e-6);
        ck_assert_str_eq(thresholds.items[1].text, "errors >= 0.1%");
}
TEST_END

TEST(what_is_no_threshold_is_refused)
{
        static const char *const cases[] = {
                "",       "p99",       "p99>",           "p99>50",    "p99>50 %",
                "p0>1ms", "p101>1ms",  "errors>1",       "q99>1ms",   "errors>%",
                ">5ms",   "p99>1ms,,", "throughput<5ms", "goodput<5%"};

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct thresholds thresholds = {0};
                ck_assert_msg(thresholds_parse(&thresholds, slice_of(cases[i]), &err) < 0, "%s",
                              cases[i]);
        }
}
TEST_END

static bool is_met(const char *text, const struct tally *tally)
{
        struct thresholds thresholds = {0};
        double value;

        ck_assert_int_eq(thresholds_parse(&thresholds, slice_of(text), &err), 0);
        return threshold_is_met(&thresholds.items[0], tally, 2, &value);
}

TEST(thresholds_hold_of_what_was_counted)
{
        static struct tally tally;

        tally_init(&tally);
        for (uint64_t i = 1; i <= 100; i++)
                histogram_record(&tally.latency, i * 1000000, 1);
        tally.good = 100;
        tally.failures[FAILURE_TIMEOUT] = 25;
        ck_assert(is_met("p99>98ms", &tally) && !is_met("p99>100ms", &tally));
        ck_assert(is_met("max>=100ms", &tally) && !is_met("max>100ms", &tally));
        ck_assert(is_met("errors>19%", &tally) && !is_met("errors>20%", &tally));
        ck_assert(is_met("throughput<51", &tally) && !is_met("throughput<50", &tally));
        ck_assert(is_met("goodput<51", &tally) && !is_met("goodput<50", &tally));
        ck_assert(is_met("mean>50ms", &tally) && is_met("min<2ms", &tally));
        tally.failures[FAILURE_STATUS] = 300;
        tally.after_end = 30;
        tally.good_after_end = 20;
        ck_assert(is_met("throughput<186", &tally) && !is_met("throughput<185", &tally));
        ck_assert(is_met("goodput<41", &tally) && !is_met("goodput<40", &tally));
        tally_clear(&tally);
        ck_assert_msg(is_met("p99>1s", &tally), "no answer at all is slower than any bound");
}
TEST_END

TEST(a_metric_is_found_by_its_whole_name_whatever_its_labels)
{
        struct slice text = SLICE("# HELP lag ...\nlag{thread=\"0\"} 0.5\nlag{t=\"}\\\" 9\"} 1.5 "
                                  "1700000000\nlag_total 7\nlag NaN\nlag +Inf\nlag{ 4\nlag 0.25");
        struct metric metric = metrics_text_find(text, SLICE("lag"));

        ck_assert_uint_eq(metric.count, 3);
        ck_assert_double_eq(metric.max, 1.5);
        ck_assert_double_eq(metric.sum, 2.25);
        ck_assert_uint_eq(metrics_text_find(text, SLICE("la")).count, 0);
        ck_assert_uint_eq(metrics_text_find((struct slice){0}, SLICE("lag")).count, 0);
}
TEST_END

TEST_MAIN("lab_request", a_url_says_where_and_what, what_is_no_url_is_refused_with_a_sentence,
          a_request_has_host_length_and_what_was_said, a_host_that_was_said_is_the_only_one,
          a_request_that_could_be_two_is_refused, thresholds_are_read_with_their_units,
          what_is_no_threshold_is_refused, thresholds_hold_of_what_was_counted,
          a_metric_is_found_by_its_whole_name_whatever_its_labels)
