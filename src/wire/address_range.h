/* Ranges of IPv4 addresses as people write them: "10.0.0.0/8" (RFC 4632), and named lists of them,
 * "NAME=10.1.0.0/16,10.2.0.5": what functions may reach by name. Addresses are numbers in host order. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct address_range {
        uint32_t first;
        uint32_t prefix; /* bits that all have in common: 0 to 32 */
};

#define ADDRESS_RANGE_TEXT_MAX 20 /* with the NUL */

static inline uint32_t address_range_mask(struct address_range range)
{
        return range.prefix == 0 ? 0 : UINT32_MAX << (32 - range.prefix);
}

static inline bool address_range_has(struct address_range range, uint32_t address)
{
        return (address & address_range_mask(range)) == range.first;
}

static inline bool address_range_overlaps(struct address_range a, struct address_range b)
{
        return address_range_has(a, b.first) || address_range_has(b, a.first);
}

/* "A.B.C.D/N", or one address. Bits below the prefix must be zero. 0, or -EINVAL with a sentence. */
int address_range_parse(struct slice text, struct address_range *ret_range, struct err *err);
void address_range_format(struct address_range range, char ret_text[ADDRESS_RANGE_TEXT_MAX]);

#define NAMED_RANGE_NAME_MAX 32 /* with the NUL */
#define NAMED_RANGE_PARTS_MAX 16
#define NAMED_RANGES_MAX 16

struct named_range {
        char name[NAMED_RANGE_NAME_MAX]; /* [a-z0-9]([a-z0-9-]*[a-z0-9])? */
        size_t count;
        struct address_range parts[NAMED_RANGE_PARTS_MAX];
};

/* What nobody may be let reach is refused: this host (0/8, 127/8), link-local (169.254/16), and
 * everything from 224.0.0.0 on. 0, or -EINVAL with a sentence. */
int named_range_parse(struct slice text, struct named_range *ret_range, struct err *err);
