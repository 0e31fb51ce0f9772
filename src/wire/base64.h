/* Base64 (RFC 4648): standard with padding, and the URL alphabet without it (as JWT uses it).
 * Decoding is strict: one text for each run of bytes, so no white space, no missing or superfluous
 * padding, no stray bits at the end. */
#pragma once

#include "base/slice.h"

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Room that is always enough. */
#define BASE64_ENCODED_MAX(length) (((length) + 2) / 3 * 4)
#define BASE64_DECODED_MAX(length) (((length) + 3) / 4 * 3)

/* Writes no NUL. Returns the bytes written. */
size_t base64_encode(enum base64_alphabet alphabet, const void *data, size_t length,
                     char *ret_text);

/* 0 or -EINVAL. Needs BASE64_DECODED_MAX(text.length) bytes; may be text.data itself. */
int base64_decode(enum base64_alphabet alphabet, struct slice text, void *ret_data,
                  size_t *ret_length);
