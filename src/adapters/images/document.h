/* JSON that a registry sent: bounded, in UTF-8, without NULs; and what is read out of it. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define DOCUMENT_MAX (4u << 20) /* what registries take for a manifest, too */

/* `what` is the document's name in a sentence. The caller frees *ret_document with document_free().
 * 0, -EINVAL or -ENOMEM. */
int document_parse(struct slice text, const char *what, cJSON **ret_document, struct err *err);
void document_free(cJSON **document); /* also as AUTO(document_free) */

/* Members of an object, borrowed. "" or NULL where they are missing, null or of another type. */
const char *document_text(const cJSON *object, const char *name);
const cJSON *document_array(const cJSON *object, const char *name);
const cJSON *document_object(const cJSON *object, const char *name);
/* A whole number that a double holds exactly. */
bool document_size(const cJSON *object, const char *name, uint64_t *ret_size);
