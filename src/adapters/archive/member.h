/* The names that members of a bundle, or of an image's layer, may have, and where a bundle's links
 * may lead. Pure, and fuzzed. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#define MEMBER_PATH_MAX 1023
#define MEMBER_PART_MAX 255
#define MEMBER_DEPTH_MAX 64

/* Writes the one spelling of a relative path: no "." parts, no empty ones; "" is the bundle itself.
 * 0, or -EINVAL and a sentence where the path is absolute, leads out by "..", is too long or too
 * deep, is not UTF-8, or holds a backslash or a control character. */
int member_path_clean(struct slice raw, char ret_path[MEMBER_PATH_MAX + 1], struct err *err);

/* The same for a layer of an image, whose names are nobody's but its own: any bytes are allowed, and an
 * absolute path begins at the layer. */
int member_path_tidy(struct slice raw, char ret_path[MEMBER_PATH_MAX + 1], struct err *err);

/* May the link at `path` (clean) lead to `target`? 0, or -EINVAL and a sentence.
 *
 * A target climbs first ("../../"), no higher than the bundle, and then only descends. The folder a
 * link lies in is a real one, for no member may lie behind a link; so wherever the descent meets
 * other links, each stays inside by the same rule, and by induction so does the whole way. */
int member_link_check(const char *path, struct slice target, struct err *err);
