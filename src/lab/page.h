/* The report's page as web/lab has it, embedded at build time: the data stands between its two
 * halves. */
#pragma once

#include <stddef.h>

extern const char page_before_data[], page_after_data[];
extern const size_t page_before_length, page_after_length;
