/* Parses a request head in pieces, as a network delivers it, for unit tests and fuzzing. Every
 * piece lies in memory of its own and exact size, so that a sanitizer sees each byte too far. */
#pragma once

#include "wire/http_request.h"

#include <stdlib.h>

struct http_outcome {
        enum http_parse_result result;
        struct http_refusal refusal;
        struct http_request request; /* slices point into `memory` */
        size_t fed;                  /* bytes that the parser had been shown */
        char *memory;
};

static inline void http_outcome_deinit(struct http_outcome *outcome)
{
        free(outcome->memory);
        outcome->memory = NULL;
}

/* Shows the first `first` bytes, then `step` more at a time (at least 1), until the parser decides
 * or all were shown. */
static inline void http_parse_pieces(struct slice bytes, size_t first, size_t step,
                                     const struct http_limits *limits,
                                     struct http_outcome *ret_outcome)
{
        size_t scanned = 0, shown = first;

        ret_outcome->memory = NULL;
        for (;;) {
                shown = shown < bytes.length ? shown : bytes.length;
                free(ret_outcome->memory);
                ret_outcome->memory = malloc(shown ? shown : 1);
                if (!ret_outcome->memory)
                        abort();
                if (shown > 0)
                        memcpy(ret_outcome->memory, bytes.data, shown);
                ret_outcome->fed = shown;
                ret_outcome->result =
                        http_request_parse(ret_outcome->memory, shown, scanned, limits,
                                           &ret_outcome->request, &ret_outcome->refusal);
                if (ret_outcome->result != HTTP_PARSE_MORE || shown == bytes.length)
                        return;
                scanned = shown;
                shown += step;
        }
}

static inline bool http_slices_agree(struct slice a, struct slice b)
{
        return !a.data == !b.data && slice_equal(a, b);
}

static inline bool http_requests_agree(const struct http_request *a, const struct http_request *b)
{
        if (a->head_length != b->head_length || a->method != b->method ||
            a->minor_version != b->minor_version || a->has_query != b->has_query ||
            a->keep_alive != b->keep_alive || a->expect_continue != b->expect_continue ||
            a->body != b->body || a->content_length != b->content_length ||
            a->header_count != b->header_count)
                return false;
        if (!http_slices_agree(a->method_text, b->method_text) ||
            !http_slices_agree(a->target, b->target) || !http_slices_agree(a->path, b->path) ||
            !http_slices_agree(a->query, b->query) || !http_slices_agree(a->host, b->host) ||
            !http_slices_agree(a->authorization, b->authorization) ||
            !http_slices_agree(a->content_type, b->content_type) ||
            !http_slices_agree(a->prefer, b->prefer))
                return false;
        for (size_t i = 0; i < a->header_count; i++)
                if (!http_slices_agree(a->headers[i].name, b->headers[i].name) ||
                    !http_slices_agree(a->headers[i].value, b->headers[i].value))
                        return false;
        return true;
}

static inline bool http_outcomes_agree(const struct http_outcome *a, const struct http_outcome *b)
{
        if (a->result != b->result)
                return false;
        switch (a->result) {
        case HTTP_PARSE_MORE:
                return true;
        case HTTP_PARSE_REFUSED:
                return a->refusal.status == b->refusal.status &&
                       a->refusal.reason == b->refusal.reason;
        case HTTP_PARSE_DONE:
                return http_requests_agree(&a->request, &b->request);
        }
        return false;
}
