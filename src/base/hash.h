/* A seeded hash for tables and the hexadecimal spelling of bytes. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* For hash tables only. Keys that come from outside need a random `seed` (wyhash-style mixing of
 * 8 bytes at a time; not cryptographic). */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
        __uint128_t product = (__uint128_t)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(const void *data, size_t length, uint64_t seed)
{
        const unsigned char *at = data;
        uint64_t hash = seed ^ (length * 0x9e3779b97f4a7c15ull), word;

        for (; length >= 8; at += 8, length -= 8) {
                memcpy(&word, at, 8);
                hash = hash_mix(hash ^ word, 0xa0761d6478bd642full);
        }
        word = 0;
        if (length > 0)
                memcpy(&word, at, length);
        return hash_mix(hash ^ word, 0xe7037ed1a0b428dbull);
}

/* Writes 2 * length lower-case digits and a NUL. */
static inline void hex_encode(const void *data, size_t length, char *ret_text)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *bytes = data;

        for (size_t i = 0; i < length; i++) {
                ret_text[2 * i] = digits[bytes[i] >> 4];
                ret_text[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret_text[2 * length] = '\0';
}

/* True for exactly `length` lower-case hexadecimal digits. */
static inline bool hex_is_valid(const char *text, size_t length)
{
        for (size_t i = 0; i < length; i++)
                if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
                        return false;
        return true;
}
