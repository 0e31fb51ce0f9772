/* How long the request parser takes for a head that lies in memory whole: its share of a warm
 * request.
 *
 *     bench_http_parse [ROUNDS]
 *
 * Prints a line for each sample: its bytes, nanoseconds a parse (the best of five runs, so that
 * what else the machine does counts little) and megabytes a second.
 */
#include "base/clock.h"
#include "wire/http_request.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS 5

#define TOKEN                                                                                      \
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIwMUhaWTNLOVBSNFg4RjVNMkQ3UTlUNlZXQSIsIm"  \
        "VtYWlsIjoiYWRhQGV4YW1wbGUub3JnIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwODY0MDB9.s5cHJz0F"  \
        "Yb2vK8hT4nQ1wLx6eUoRgMdA"

static const struct sample {
        const char *name;
        const char *head;
} samples[] = {
        {"1 header", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"},
        {"4 headers", "POST /f/01HZY3K9PR4X8F5M2D7Q9T6VWA HTTP/1.1\r\n"
                      "Host: 127.0.0.1:8080\r\n"
                      "Accept: */*\r\n"
                      "Content-Type: application/json\r\n"
                      "Content-Length: 17\r\n\r\n"},
        {"8 headers, bearer token", "POST /api/v1/functions/execute/01HZY3K9PR4X8F5M2D7Q9T6VWA"
                                    " HTTP/1.1\r\n"
                                    "Host: magpie.example.org:8080\r\n"
                                    "User-Agent: curl/7.88.1\r\n"
                                    "Accept: */*\r\n"
                                    "Accept-Encoding: gzip, deflate\r\n"
                                    "Authorization: Bearer " TOKEN "\r\n"
                                    "Content-Type: application/json\r\n"
                                    "Connection: keep-alive\r\n"
                                    "Content-Length: 17\r\n\r\n"},
};

static uint64_t time_rounds(struct slice head, unsigned long rounds)
{
        static struct http_request request;
        const struct http_limits limits = HTTP_LIMITS_DEFAULT;
        struct http_refusal refusal;
        uint64_t started_ns = clock_now_ns();

        for (unsigned long i = 0; i < rounds; i++)
                if (http_request_parse(head.data, head.length, 0, &limits, &request, &refusal) !=
                    HTTP_PARSE_DONE)
                        abort();
        return clock_now_ns() - started_ns;
}

int main(int argc, char **argv)
{
        unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;

        if (rounds == 0) {
                fprintf(stderr, "usage: bench_http_parse [ROUNDS]\n");
                return 2;
        }
        for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
                struct slice head = slice_of(samples[i].head);
                uint64_t best_ns = UINT64_MAX;

                for (int run = 0; run < RUNS; run++) {
                        uint64_t taken_ns = time_rounds(head, rounds);
                        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
                }
                printf("%-24s %4zu bytes %8.1f ns %8.0f MB/s\n", samples[i].name, head.length,
                       (double)best_ns / (double)rounds,
                       (double)(head.length * rounds) * 1e3 / (double)best_ns);
        }
        return 0;
}
