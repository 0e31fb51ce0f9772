/* Identifiers: ULIDs (github.com/ulid/spec), in function.h. */
#include "core/registry/function.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_make(uint64_t unix_ms, const uint8_t chance[10], char *ret_id)
{
        uint32_t bits = 0, bit_count = 0;
        size_t at = 10;

        for (size_t i = 0; i < 10; i++)
                ret_id[i] = alphabet[(unix_ms >> (45 - 5 * i)) & 31];
        for (size_t i = 0; i < 10; i++) {
                bits = bits << 8 | chance[i];
                for (bit_count += 8; bit_count >= 5; bit_count -= 5)
                        ret_id[at++] = alphabet[(bits >> (bit_count - 5)) & 31];
        }
        ret_id[ID_LENGTH] = '\0';
}

bool id_is_valid(struct slice id)
{
        /* 26 characters hold 130 bits, so the first one has only 3 of its 5 bits. */
        if (id.length != ID_LENGTH || id.data[0] > '7')
                return false;
        for (size_t i = 0; i < ID_LENGTH; i++)
                if (!memchr(alphabet, id.data[i], sizeof(alphabet) - 1))
                        return false;
        return true;
}
