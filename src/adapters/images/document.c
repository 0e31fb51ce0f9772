/* JSON from registries; see document.h. */
#include "adapters/images/document.h"

#include "base/text.h"
#include "wire/json_text.h"

#include <errno.h>
#include <string.h>

#define VALUES_MAX 100000
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

/* "\u0000" would end a C string in its middle: what was checked would not be what is used. */
static bool has_nul(struct slice text)
{
        return memchr(text.data, '\0', text.length) ||
               memmem(text.data, text.length, "\\u0000", 6) != NULL;
}

int document_parse(struct slice text, const char *what, cJSON **ret_document, struct err *err)
{
        const char *end = NULL;
        cJSON *document;

        if (text.length == 0 || text.length > DOCUMENT_MAX)
                return err_set(err, -EINVAL, "%s is empty or has more than %u bytes", what,
                               DOCUMENT_MAX);
        if (!text_is_utf8(text) || has_nul(text))
                return err_set(err, -EINVAL, "%s is not JSON in UTF-8", what);
        if (json_values_most(text) > VALUES_MAX)
                return err_set(err, -EINVAL, "%s has too many values", what);
        document = cJSON_ParseWithLengthOpts(text.data, text.length, &end, false);
        while (document && end < text.data + text.length && strchr(" \t\r\n", *end))
                end++;
        if (!cJSON_IsObject(document) || end != text.data + text.length) {
                cJSON_Delete(document);
                return err_set(err, -EINVAL, "%s is not a JSON object", what);
        }
        *ret_document = document;
        return 0;
}

void document_free(cJSON **document)
{
        cJSON_Delete(*document);
        *document = NULL;
}

const char *document_text(const cJSON *object, const char *name)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

        return cJSON_IsString(item) ? item->valuestring : "";
}

const cJSON *document_array(const cJSON *object, const char *name)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

        return cJSON_IsArray(item) ? item : NULL;
}

const cJSON *document_object(const cJSON *object, const char *name)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

        return cJSON_IsObject(item) ? item : NULL;
}

bool document_size(const cJSON *object, const char *name, uint64_t *ret_size)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= EXACT_MAX) ||
            item->valuedouble != (double)(uint64_t)item->valuedouble)
                return false;
        *ret_size = (uint64_t)item->valuedouble;
        return true;
}
