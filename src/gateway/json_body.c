/* JSON from clients; see json_body.h. */
#include "gateway/json_body.h"

#include "base/text.h"
#include "wire/json_text.h"

#include <errno.h>

#define VALUES_MAX 20000

/* "\u0000" would end a C string in its middle: what was checked would not be what is kept. */
static bool has_nul_escape(struct slice text)
{
        const char *end = text.data + text.length, *at = text.data;

        while ((at = memchr(at, '\\', (size_t)(end - at)))) {
                if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
                        return true;
                at = end - at > 2 ? at + 2 : end; /* whatever is escaped is no escape itself */
        }
        return false;
}

int json_body_parse(struct slice text, cJSON **ret_object, struct err *err)
{
        const char *end = NULL;
        cJSON *object;

        if (text.length == 0)
                return err_set(err, -EINVAL, "The body is empty: a JSON object is expected.");
        if (!text_is_utf8(text) || memchr(text.data, '\0', text.length) || has_nul_escape(text))
                return err_set(err, -EINVAL,
                               "The body is not JSON in UTF-8 without NUL characters.");
        if (json_values_most(text) > VALUES_MAX)
                return err_set(err, -EINVAL, "The body has too many values.");
        object = cJSON_ParseWithLengthOpts(text.data, text.length, &end, false);
        while (object && end < text.data + text.length && strchr(" \t\r\n", *end))
                end++;
        if (!cJSON_IsObject(object) || end != text.data + text.length) {
                cJSON_Delete(object);
                return err_set(err, -EINVAL, "The body is not a JSON object.");
        }
        *ret_object = object;
        return 0;
}

static const struct json_member *find(const struct json_member *members, size_t count,
                                      const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(members[i].name, name) == 0)
                        return &members[i];
        return NULL;
}

int json_body_read(const cJSON *object, const struct json_member *members, size_t count,
                   void *target, struct err *err)
{
        const cJSON *item;

        cJSON_ArrayForEach(item, object)
        {
                const struct json_member *member = find(members, count, item->string);
                int r;

                if (!member)
                        return err_set(err, -EINVAL, "There is no member '%s' here.",
                                       text_quote(slice_of(item->string)).text);
                if (cJSON_GetObjectItemCaseSensitive(object, item->string) != item)
                        return err_set(err, -EINVAL, "The member '%s' is given twice.",
                                       member->name);
                r = member->read(item, target, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int json_read_text(const cJSON *value, const char **ret_text, struct err *err)
{
        if (!cJSON_IsString(value))
                return err_set(err, -EINVAL, "%s must be a string.", value->string);
        *ret_text = value->valuestring;
        return 0;
}

int json_read_count(const cJSON *value, uint32_t *ret_count, struct err *err)
{
        double number = value->valuedouble;

        if (!cJSON_IsNumber(value) || !(number >= 0 && number <= UINT32_MAX) ||
            number != (double)(uint32_t)number)
                return err_set(err, -EINVAL, "%s must be a whole number from 0 on.", value->string);
        *ret_count = (uint32_t)number;
        return 0;
}

int json_read_truth(const cJSON *value, bool *ret_truth, struct err *err)
{
        if (!cJSON_IsBool(value))
                return err_set(err, -EINVAL, "%s must be true or false.", value->string);
        *ret_truth = cJSON_IsTrue(value);
        return 0;
}
