/* What the Lambda contract calls an invocation and its function. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

#define LAMBDA_ID_MAX 64
#define LAMBDA_TRACE_MAX 256

/* magpie's invocation ids are ULIDs; Lambda's are UUIDs, and some clients parse them as such. Both
 * are 128 bits: the same, in the other's spelling. An id that is no ULID stays what it is. The text
 * is NUL-terminated. */
void lambda_request_id(struct slice invocation, char ret_id[LAMBDA_ID_MAX]);

/* A trace header for an invocation that has not brought one, not sampled. `request_id` as above. */
void lambda_trace_id(const char *request_id, uint64_t now_ms, char ret_trace[LAMBDA_TRACE_MAX]);
