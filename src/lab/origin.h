/* Finding out where a URL leads, and whether somebody is there. Blocks. */
#pragma once

#include "lab/load.h"
#include "lab/url.h"

/* Resolves the host and tries its addresses in turn; the first that takes a connection within
 * `timeout_ms` is the one. -EHOSTUNREACH and a sentence where the name is unknown or none does. */
int origin_find(const struct url *url, unsigned timeout_ms, struct origin *ret_origin,
                struct err *err);
/* Do they lead to the same place, in the same way? */
bool origin_equal(const struct origin *a, const struct origin *b);
