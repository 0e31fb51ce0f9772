/* Code and settings over HTTP: a function or a new version; see deploy.h. */
#include "cli/deploy.h"

#include "base/auto.h"
#include "cli/problem.h"
#include "cli/text.h"
#include "wire/base64.h"

#include <errno.h>
#include <string.h>

/* How many bytes are on their way; when all are, the node unpacks, compiles and starts the code. */
static void deploy_on_progress(void *context, uint64_t sent, uint64_t total)
{
        struct deploy *deploy = context;

        if (deploy->manifest.image) {
                deploy_image_watch(deploy);
                return;
        }
        if (total == 0)
                return;
        if (sent < total)
                progress_show(&deploy->progress, "uploading %s: %u %%", deploy->manifest.name,
                              (unsigned)(sent * 100 / total));
        else
                progress_show(&deploy->progress, "verifying %s: the node starts it once ...",
                              deploy->manifest.name);
}

/* The settings with the code in them: {...,"code":"<base64>"}. Written around the code, which is
 * too large to be copied through a JSON tree. */
static int deploy_make_body(const struct deploy *deploy, struct buffer *body, struct err *err)
{
        AUTO(json_free) cJSON *settings = NULL;
        AUTO(memory_free) char *text = NULL;
        int r;

        if (deploy->manifest.image)
                return deploy_image_body(deploy, body, err);
        settings = manifest_to_json(&deploy->manifest);

        /* An empty handler: the node finds the program in the new code, as it did in the old. */
        if (!deploy->manifest.handler)
                (void)cJSON_AddStringToObject(settings, "handler", "");
        text = cJSON_PrintUnformatted(settings);
        r = text ? buffer_append(body, text, strlen(text) - 1) : -ENOMEM;
        if (r == 0)
                r = buffer_append_text(body, ",\"code\":\"");
        if (r == 0)
                r = buffer_reserve(body, BASE64_ENCODED_MAX(deploy->zip.length));
        if (r == 0)
                body->length += base64_encode(BASE64_STANDARD, deploy->zip.data, deploy->zip.length,
                                              body->data + body->length);
        if (r == 0)
                r = buffer_append_text(body, "\"}");
        return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* Posts settings and code: to where functions are made, or to where versions are. */
static int deploy_post(struct deploy *deploy, const char *path)
{
        AUTO(reply_deinit) struct reply reply = {0};
        AUTO(buffer_deinit) struct buffer body;
        struct request request = {
                .method = "POST",
                .path = path,
                .content_type = "application/json",
                .on_progress = deploy_on_progress,
                .context = deploy,
        };
        struct err err;
        int r;

        buffer_init(&body, BASE64_ENCODED_MAX(PACKAGE_ZIP_MAX) + 2 * MANIFEST_MAX);
        if (deploy_make_body(deploy, &body, &err) < 0) {
                say_error("%s", err.text);
                return CLI_FAILED;
        }
        request.body = buffer_slice(&body);
        r = client_send(&deploy->client, &request, &reply, &err);
        if (deploy->manifest.image && body.data)
                explicit_bzero(body.data, body.length);
        progress_clear(&deploy->progress);
        if (r < 0)
                return problem_report_silence(&err);
        if (reply.status >= 200 && reply.status < 300)
                return CLI_OK;
        return problem_report(&reply, deploy->manifest.name);
}

int deploy_send(struct deploy *deploy, cJSON **ret_function)
{
        AUTO(memory_free) char *path = client_path("/api/v1/functions/%s", deploy->manifest.name);
        AUTO(memory_free) char *versions = text_format("%s/versions", path);
        AUTO(reply_deinit) struct reply reply = {0};
        const struct request look = {.method = "GET", .path = path};
        struct err err;
        int exit_code;

        if (client_send(&deploy->client, &look, &reply, &err) < 0)
                return problem_report_silence(&err);
        if (reply.status == 404)
                exit_code = deploy_post(deploy, "/api/v1/functions");
        else if (reply.status == 200)
                exit_code = deploy_post(deploy, versions);
        else
                exit_code = problem_report(&reply, deploy->manifest.name);
        if (exit_code != CLI_OK)
                return exit_code;
        return client_ask_json(&deploy->client, &look, deploy->manifest.name, ret_function);
}
