/* What a failed handler reported (wire/worker_protocol.h, ERROR), made safe to hand on. */
#pragma once

#include "base/slice.h"

/* `payload` is hostile. Writes "Type: message" to `ret_detail` and, where it is well-formed, the
 * member `"error":{...}` of a problem to *ret_extra (owned by the caller, else NULL). */
void error_document_read(struct slice payload, char *ret_detail, size_t capacity, char **ret_extra);
