/* Private ranges of addresses that a function with outbound network may reach: by names, which the
 * node's configuration gives a meaning. A function has them as one text, "db,office". */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define REACH_NAMES_MAX 16
#define REACH_NAME_MAX_LENGTH 31
#define REACH_MAX_LENGTH (REACH_NAMES_MAX * (REACH_NAME_MAX_LENGTH + 1) - 1)

/* What a node knows; the place of a name is its number. */
struct reach_names {
        size_t count;
        char names[REACH_NAMES_MAX][REACH_NAME_MAX_LENGTH + 1];
};

/* Takes the next name off the front; false at the end. */
bool reach_next(struct slice *rest, struct slice *ret_name);
/* Names as names are spelled, none twice, not too many. 0, or -EINVAL with a sentence. */
int reach_validate(struct slice reach, struct err *err);
/* A bit for each name, by its number. 0; -ENOENT with a sentence where the node does not know one;
 * `ret_bits` has the others even then. */
int reach_resolve(struct slice reach, const struct reach_names *known, uint32_t *ret_bits,
                  struct err *err);
