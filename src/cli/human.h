/* Numbers the way a person says them. The caller frees. */
#pragma once

#include <stdint.h>
#include <time.h>

char *human_bytes(double bytes); /* "12.3 KiB" */
char *human_age(const char *rfc3339,
                time_t now); /* "3 min ago"; the text itself if it is no time */
char *human_instances(double busy, double idle, double frozen,
                      double starting); /* "1 busy, 2 idle" */
