/* What all handlers of the API share; see api_call.h. */
#include "gateway/api_call.h"

#include "gateway/json_body.h"
#include "gateway/response.h"
#include "wire/base64.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX 8192

struct function *api_find_function(const struct api_call *call)
{
        const struct catalog *catalog = gateway_catalog(api_gateway(call));
        struct function *function = catalog_find_function(catalog, slice_of(call->id));

        if (function)
                return strcmp(function->owner_id, call->user->id) == 0 ? function : NULL;
        return catalog_find_function_by_name(catalog, slice_of(call->user->id), slice_of(call->id));
}

cJSON *api_read_body(struct api_call *call, const struct json_member *members, size_t count,
                     void *target)
{
        struct err err = {0};
        cJSON *object = NULL;
        int r = json_body_parse(buffer_slice(&call->body), &object, &err);

        if (r == 0)
                r = json_body_read(object, members, count, target, &err);
        if (r == 0)
                return object;
        cJSON_Delete(object);
        api_answer_problem(call, 400, "invalid", "%s", err.text);
        return NULL;
}

int api_decode_code(const struct gateway *gateway, const char *encoded, struct slice *ret_code,
                    struct err *err)
{
        struct slice text = slice_of(encoded);
        char *code = (char *)(uintptr_t)text.data;
        char too_large[TOO_LARGE_SIZE];
        size_t length;

        if (base64_decode(BASE64_STANDARD, text, code, &length) < 0)
                return err_set(err, -EINVAL, "code is not base64.");
        if (length > gateway->config.code_max_bytes)
                return err_set(err, -EFBIG, "%s",
                               response_code_too_large(gateway->config.code_max_bytes, too_large));
        *ret_code = slice_make(code, length);
        return 0;
}

static void upload_end(struct api_call *call)
{
        struct api *api = &api_gateway(call)->api;

        pthread_mutex_lock(&api->uploads_lock);
        list_remove(&call->upload_link);
        pthread_mutex_unlock(&api->uploads_lock);
        call->is_upload = false;
}

void api_drop_body(struct api_call *call)
{
        /* It may hold a password, or somebody's keys. */
        if (call->body.data)
                explicit_bzero(call->body.data, call->body.length);
        buffer_deinit(&call->body);
        blocks_release(&call->thread->blocks, call->charged);
        call->charged = 0;
        if (call->is_upload)
                upload_end(call);
}

void api_call_end(struct api_call *call)
{
        struct gateway *gateway = api_gateway(call);

        api_drop_body(call);
        user_unref(call->user);
        free(call->query);
        free(call);
        atomic_fetch_sub(&gateway->api.call_count, 1);
}

static void answer(struct api_call *call, int status, struct slice content_type, struct slice body)
{
        struct connection *connection = call->exchange.connection;
        struct http_response response;

        /* What is small the socket takes. Of what is not it leaves much even to a quick client, and
         * an answer that breaks off would say less than this. */
        if (body.length > BLOCK_LARGE && !blocks_have_room(&call->thread->blocks, body.length)) {
                api_answer_no_memory(call);
                return;
        }
        if (connection) {
                response_begin(connection, &response, status);
                (void)http_response_header(&response, SLICE("Content-Type"), content_type);
                (void)http_response_header(&response, SLICE("Cache-Control"), SLICE("no-store"));
                (void)response_send(connection, &response, body, true);
        }
        api_call_end(call);
}

void api_answer_text(struct api_call *call, struct slice content_type, struct slice text)
{
        answer(call, 200, content_type, text);
}

void api_answer(struct api_call *call, int status, cJSON *document)
{
        char *text = document ? cJSON_PrintUnformatted(document) : NULL;

        cJSON_Delete(document);
        if (!text) {
                api_answer_no_memory(call);
                return;
        }
        /* The NUL makes room for a newline, which a terminal likes to see. */
        size_t length = strlen(text);
        text[length] = '\n';
        answer(call, status, SLICE("application/json"), slice_make(text, length + 1));
        free(text);
}

void api_answer_message(struct api_call *call, int status, const char *format, ...)
{
        cJSON *document = cJSON_CreateObject();
        char message[MESSAGE_MAX];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        (void)cJSON_AddStringToObject(document, "message", message);
        api_answer(call, status, document);
}

void api_answer_problem(struct api_call *call, int status, const char *reason, const char *format,
                        ...)
{
        char detail[MESSAGE_MAX];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(detail, sizeof(detail), format, args);
        va_end(args);
        if (call->exchange.connection)
                response_problem(
                        call->exchange.connection,
                        &(struct problem){.status = status,
                                          .reason = reason,
                                          .detail = detail,
                                          .retry_after_s = status == 503 || status == 429});
        api_call_end(call);
}

void api_answer_not_found(struct api_call *call)
{
        api_answer_problem(call, 404, "not_found", "There is no such function.");
}

void api_answer_overloaded(struct api_call *call)
{
        api_answer_problem(call, 503, "overloaded", "The server has too much to do for this.");
}

void api_answer_no_memory(struct api_call *call)
{
        api_answer_problem(call, 503, "overloaded", "No memory at the moment.");
}

void api_answer_store_failure(struct api_call *call, const struct store_request *request)
{
        if (request->result == STORE_NOT_FOUND)
                api_answer_problem(call, 404, "not_found", "It has been deleted meanwhile.");
        else if (request->result == STORE_CONFLICT || request->result == STORE_IN_USE)
                api_answer_problem(call, 409, "conflict",
                                   "It keeps being changed by others at the same time.");
        else
                api_answer_problem(call, 500, "platform.error", "%s",
                                   request->err.code ? request->err.text
                                                     : "The registry could not keep the change.");
}
