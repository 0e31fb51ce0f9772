/* The chunked transfer coding (RFC 9112, section 7.1): a strict incremental decoder that copies
 * nothing, and the encoder's few bytes.
 *
 *     while ((result = http_chunked_next(&chunked, &input, &payload, &refusal)) ==
 *            HTTP_CHUNKED_DATA)
 *             use(payload);
 *
 * The decoder takes every byte it has seen off `input`, so nothing need be kept between calls.
 * Chunk extensions and trailers are checked, bounded and dropped, unless http_chunked_keep_trailers()
 * asks for the trailers; one that speaks of framing or routing (RFC 9110, section 6.5.1) is refused,
 * lest somebody behind us believes it.
 */
#pragma once

#include "base/slice.h"
#include "wire/http_request.h"

#include <stdint.h>

#define HTTP_CHUNK_EXTENSIONS_MAX 4096 /* bytes in all chunks of one body together */
#define HTTP_TRAILERS_MAX 8192         /* bytes */
#define HTTP_TRAILER_NAME_KEPT 20      /* longer than any name that is looked for */

struct http_chunked {
        int state;           /* http_chunked.c's own */
        int digits;          /* of the size so far */
        uint64_t chunk_left; /* bytes of this chunk that have not been given out */
        uint64_t body_left;  /* what all further chunks may announce together */
        uint64_t body_max;   /* of that, to tell whoever sends too much */
        size_t extension_left, trailer_left;
        size_t name_length;                /* of the trailer being read */
        char name[HTTP_TRAILER_NAME_KEPT]; /* its beginning */
        char *trailers;                    /* the caller's; NULL: they are dropped */
        size_t trailers_length;
};

enum http_chunked_result {
        HTTP_CHUNKED_DATA,    /* *ret_payload holds at least one byte; call again */
        HTTP_CHUNKED_MORE,    /* input is used up */
        HTTP_CHUNKED_DONE,    /* input begins with what follows the body */
        HTTP_CHUNKED_REFUSED, /* 400, 413 beyond body_max, 431 for trailers; close */
};

/* A body of more than `body_max` bytes is refused (413) when the chunk beyond it is announced. */
void http_chunked_init(struct http_chunked *chunked, uint64_t body_max);

/* Instead of dropping them, writes the trailers to `trailers` as "name:value\n" each, white space
 * around the value as it was sent: `capacity` bytes at most, or the body is refused. After
 * HTTP_CHUNKED_DONE chunked->trailers_length of them are there. */
void http_chunked_keep_trailers(struct http_chunked *chunked, char *trailers, size_t capacity);

enum http_chunked_result http_chunked_next(struct http_chunked *chunked, struct slice *input,
                                           struct slice *ret_payload,
                                           struct http_refusal *ret_refusal);

/* Sending: a head, `size` bytes, HTTP_CHUNK_TAIL, and so on; after the last one HTTP_CHUNK_LAST. */
#define HTTP_CHUNK_HEAD_MAX 18 /* 16 digits, CR, LF */
#define HTTP_CHUNK_TAIL SLICE("\r\n")
#define HTTP_CHUNK_LAST SLICE("0\r\n\r\n")

/* `size` must not be 0 (that would end the body). Returns the bytes written. */
size_t http_chunk_head(uint64_t size, char ret_head[HTTP_CHUNK_HEAD_MAX]);
