/* Names in Lambda's shapes; see lambda_identity.h. */
#include "init/lambda_identity.h"

#include "base/hash.h"

#include <ctype.h>
#include <stdio.h>

#define ULID_LENGTH 26

/* Crockford's base 32; negative for what is no digit of it. */
static int digit_of(char letter)
{
        static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        const char *found = letter != '\0' ? strchr(digits, letter) : NULL;

        return found ? (int)(found - digits) : -1;
}

static bool decode_ulid(struct slice text, unsigned char ret_bytes[16])
{
        unsigned __int128 value = 0;

        /* The first digit has three bits. */
        if (text.length != ULID_LENGTH || digit_of(text.data[0]) > 7)
                return false;
        for (size_t i = 0; i < ULID_LENGTH; i++) {
                int digit = digit_of(text.data[i]);
                if (digit < 0)
                        return false;
                value = value << 5 | (unsigned)digit;
        }
        for (int i = 15; i >= 0; i--, value >>= 8)
                ret_bytes[i] = (unsigned char)value;
        return true;
}

void lambda_request_id(struct slice invocation, char ret_id[LAMBDA_ID_MAX])
{
        unsigned char bytes[16];
        char hex[33];

        if (!decode_ulid(invocation, bytes)) {
                (void)snprintf(ret_id, LAMBDA_ID_MAX, "%.*s", (int)invocation.length,
                               invocation.data);
                return;
        }
        hex_encode(bytes, sizeof(bytes), hex);
        (void)snprintf(ret_id, LAMBDA_ID_MAX, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                       hex + 16, hex + 20);
}

void lambda_trace_id(const char *request_id, uint64_t now_ms, char ret_trace[LAMBDA_TRACE_MAX])
{
        char hex[41] = "0000000000000000000000000000000000000000";
        size_t length = 0;

        for (; *request_id != '\0' && length < 32; request_id++)
                if (isxdigit((unsigned char)*request_id))
                        hex[length++] = (char)tolower((unsigned char)*request_id);
        (void)snprintf(ret_trace, LAMBDA_TRACE_MAX, "Root=1-%08x-%.24s;Parent=%.16s;Sampled=0",
                       (unsigned)(now_ms / 1000), hex + 8, hex + 16);
}
