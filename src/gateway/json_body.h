/* JSON that a client sent: parsed strictly, and its members read by a table. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct json_member {
        const char *name;
        /* 0, or a negative errno and a sentence. */
        int (*read)(const cJSON *value, void *target, struct err *err);
};

/* One object in UTF-8, nothing behind it, no NUL in any text. The caller deletes *ret_object.
 * 0, -EINVAL or -ENOMEM and a sentence. */
int json_body_parse(struct slice text, cJSON **ret_object, struct err *err);
/* Every member of the object must be in the table, and only once. */
int json_body_read(const cJSON *object, const struct json_member *members, size_t count,
                   void *target, struct err *err);

/* For read(): the value as text, a whole number from 0 to `most`, a truth value. */
int json_read_text(const cJSON *value, const char **ret_text, struct err *err);
int json_read_count(const cJSON *value, uint32_t *ret_count, struct err *err);
int json_read_truth(const cJSON *value, bool *ret_truth, struct err *err);
