/* A message authentication code: who made the tag knew the key. Tokens are signed with it.
 *
 * A port in all but its folder: the core calls it, so it stands where the core can see it. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

#define MAC_LENGTH 32

struct mac {
        /* From any thread. 0 or a negative errno. */
        int (*compute)(const struct mac *mac, struct slice text, uint8_t ret_tag[MAC_LENGTH]);
};
