/* Code and settings over HTTP: create or update; see deploy.h. */
#include "cli/deploy.h"

#include "base/auto.h"
#include "cli/problem.h"
#include "cli/text.h"
#include "wire/base64.h"

#include <string.h>

/* How many bytes are on their way; when all are, the node unpacks, compiles and starts the code. */
static void deploy_on_progress(void *context, uint64_t sent, uint64_t total)
{
        struct deploy *deploy = context;

        if (total == 0)
                return;
        if (sent < total)
                progress_show(&deploy->progress, "uploading %s: %u %%", deploy->manifest.name,
                              (unsigned)(sent * 100 / total));
        else
                progress_show(&deploy->progress, "verifying %s: the node starts it once ...",
                              deploy->manifest.name);
}

static int deploy_request(struct deploy *deploy, const char *method, const char *path,
                          const char *content_type, struct slice body)
{
        AUTO(reply_deinit) struct reply reply = {0};
        struct request request = {
                .method = method,
                .path = path,
                .content_type = content_type,
                .body = body,
                .on_progress = deploy_on_progress,
                .context = deploy,
        };
        struct err err;
        int r = client_send(&deploy->client, &request, &reply, &err);

        progress_clear(&deploy->progress);
        if (r < 0)
                return problem_report_silence(&err);
        return reply.status >= 200 && reply.status < 300
                       ? CLI_OK
                       : problem_report(&reply, deploy->manifest.name);
}

/* The settings with the code in them: {...,"code":"<base64>"}. Written around the code, which is
 * too large to be copied through a JSON tree. */
static int deploy_create_body(const struct deploy *deploy, struct buffer *body)
{
        AUTO(json_free) cJSON *settings = manifest_to_json(&deploy->manifest);
        AUTO(memory_free) char *text = cJSON_PrintUnformatted(settings);
        int r = text ? buffer_append(body, text, strlen(text) - 1) : -1;

        if (r == 0)
                r = buffer_append_text(body, ",\"code\":\"");
        if (r == 0)
                r = buffer_reserve(body, BASE64_ENCODED_MAX(deploy->zip.length));
        if (r == 0)
                body->length += base64_encode(BASE64_STANDARD, deploy->zip.data, deploy->zip.length,
                                              body->data + body->length);
        return r == 0 ? buffer_append_text(body, "\"}") : r;
}

static int deploy_create(struct deploy *deploy)
{
        AUTO(buffer_deinit) struct buffer body;

        buffer_init(&body, BASE64_ENCODED_MAX(PACKAGE_ZIP_MAX) + 2 * MANIFEST_MAX);
        if (deploy_create_body(deploy, &body) < 0) {
                say_error("out of memory");
                return CLI_FAILED;
        }
        return deploy_request(deploy, "POST", "/api/v1/functions", "application/json",
                              buffer_slice(&body));
}

/* The settings that differ from what the node has. The caller frees. */
static cJSON *deploy_changes(const struct deploy *deploy, const cJSON *current)
{
        cJSON *changes = manifest_to_json(&deploy->manifest), *item = changes->child;

        while (item) {
                cJSON *next = item->next;
                if (cJSON_Compare(item, cJSON_GetObjectItemCaseSensitive(current, item->string),
                                  true))
                        cJSON_Delete(cJSON_DetachItemViaPointer(changes, item));
                item = next;
        }
        return changes;
}

static int deploy_update(struct deploy *deploy, const cJSON *current)
{
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s", deploy->manifest.name);
        AUTO(memory_free) char *code_path = text_format("%s/code", path);
        AUTO(json_free) cJSON *changes = deploy_changes(deploy, current);
        AUTO(memory_free) char *body = cJSON_PrintUnformatted(changes);
        int exit_code = deploy_request(deploy, "PUT", code_path, "application/zip",
                                       buffer_slice(&deploy->zip));

        if (exit_code != CLI_OK || !changes->child)
                return exit_code;
        return deploy_request(deploy, "PATCH", path, "application/json", slice_of(body));
}

int deploy_send(struct deploy *deploy, cJSON **ret_function)
{
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s", deploy->manifest.name);
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(json_free) cJSON *current = NULL;
        const struct request look = {.method = "GET", .path = path};
        struct err err;
        int exit_code;

        if (client_send(&deploy->client, &look, &reply, &err) < 0)
                return problem_report_silence(&err);
        if (reply.status == 404) {
                exit_code = deploy_create(deploy);
        } else if (reply.status == 200) {
                current = cJSON_ParseWithLength(reply.body.data, reply.body.length);
                exit_code = deploy_update(deploy, current);
        } else {
                exit_code = problem_report(&reply, deploy->manifest.name);
        }
        if (exit_code != CLI_OK)
                return exit_code;
        return client_ask_json(&deploy->client, &look, deploy->manifest.name, ret_function);
}
