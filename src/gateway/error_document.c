/* A failed handler's report; see error_document.h. */
#include "gateway/error_document.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const char *text_of(const cJSON *report, const char *name, const char *otherwise)
{
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(report, name);
        return cJSON_IsString(item) ? item->valuestring : otherwise;
}

void error_document_read(struct slice payload, char *ret_detail, size_t capacity, char **ret_extra)
{
        cJSON *report = cJSON_ParseWithLength(payload.data, payload.length);
        char *printed;

        *ret_extra = NULL;
        if (!cJSON_IsObject(report)) {
                (void)snprintf(ret_detail, capacity, "The function failed.");
                cJSON_Delete(report);
                return;
        }
        (void)snprintf(ret_detail, capacity, "%s: %s", text_of(report, "errorType", "Error"),
                       text_of(report, "errorMessage", ""));
        printed = cJSON_PrintUnformatted(report);
        if (printed) {
                size_t length = strlen(printed) + sizeof("\"error\":");
                *ret_extra = malloc(length);
                if (*ret_extra)
                        (void)snprintf(*ret_extra, length, "\"error\":%s", printed);
        }
        free(printed);
        cJSON_Delete(report);
}
