/* GET /api/v1/functions/me; GET, PATCH and DELETE /api/v1/functions/{id}. What brings new code is in
 * api_code.c. */
#include "gateway/api_call.h"

#include "base/clock.h"
#include "gateway/function_layers.h"
#include "gateway/function_settings.h"
#include "gateway/json_body.h"

#include <stdlib.h>

#define CHANGE_TRIES 5 /* against changes by others at the same time */

static bool list_add(struct function *function, void *context)
{
        (void)cJSON_AddItemToArray(context, function_document(function));
        return true;
}

void api_function_list(struct api_call *call)
{
        cJSON *list = cJSON_CreateArray();

        if (list)
                (void)catalog_each_function_of(gateway_catalog(api_gateway(call)),
                                               slice_of(call->user->id), list_add, list);
        api_answer(call, 200, list);
}

void api_function_show(struct api_call *call)
{
        const struct function *function = api_find_function(call);

        if (function)
                api_answer(call, 200, function_document(function));
        else
                api_answer_not_found(call);
}

/* A change of settings, or a deletion, on its way through the store. */
struct function_call {
        struct api_call *call;
        struct store_request store;
        struct function *function; /* the next version; a reference */
        cJSON *settings;           /* the change, to be applied again on a conflict */
        int tries;
        struct job job; /* making the tree of the layers that it names: */
        char layer_digests[LAYERS_MAX][DIGEST_LENGTH + 1];
        enum stage_result tree;
        struct err err;
};

static void function_call_free(struct function_call *self)
{
        function_unref(self->function);
        cJSON_Delete(self->settings);
        free(self);
}

/* PATCH ---------------------------------------------------------------------------------------- */

static void change_submit(struct function_call *self);

static void change_answer(struct function_call *self)
{
        cJSON *document = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(document, "message", "Function updated successfully.");
        (void)cJSON_AddStringToObject(document, "functionId", self->function->id);
        (void)cJSON_AddNumberToObject(document, "version", (double)self->function->version);
        api_answer(self->call, 200, document);
}

static void change_stored(struct store_request *request)
{
        struct function_call *self = CONTAINER_OF(request, struct function_call, store);
        struct gateway *gateway = api_gateway(self->call);

        if (request->result == STORE_CONFLICT && ++self->tries < CHANGE_TRIES) {
                change_submit(self);
                return;
        }
        if (request->result == STORE_OK)
                change_answer(self);
        else
                api_answer_store_failure(self->call, request);
        if (cJSON_HasObjectItem(self->settings, "layers"))
                collector_wake(gateway); /* the old tree, or the new one in vain */
        function_call_free(self);
}

static void change_store(struct function_call *self)
{
        self->function->version++;
        self->function->updated_ms = clock_unix_ms();
        self->store = (struct store_request){.home = &self->call->thread->mailbox,
                                             .done = change_stored,
                                             .kind = STORE_FUNCTION_UPDATE,
                                             .function = self->function};
        registry_store_submit(api_gateway(self->call)->store, &self->store);
}

static void change_make_tree(struct job *job)
{
        struct function_call *self = CONTAINER_OF(job, struct function_call, job);

        self->tree = function_make_tree(api_gateway(self->call)->bundles, self->function,
                                        (const char(*)[DIGEST_LENGTH + 1]) self->layer_digests,
                                        &self->err);
}

static void change_made_tree(struct job *job)
{
        struct function_call *self = CONTAINER_OF(job, struct function_call, job);

        switch (self->tree) {
        case STAGE_DONE:
                change_store(self);
                return;
        case STAGE_REFUSED:
                api_answer_problem(self->call, 400, "code.refused", "%s", self->err.text);
                break;
        case STAGE_FAILED:
                api_answer_problem(self->call, 500, "platform.error", "%s", self->err.text);
                break;
        }
        function_call_free(self);
}

static void change_find_layers(struct function_call *self)
{
        struct api_call *call = self->call;

        if (!function_wants_tree(self->function)) {
                change_store(self);
                return;
        }
        self->job = (struct job){
                .home = &call->thread->mailbox, .work = change_make_tree, .done = change_made_tree};
        if (layers_resolve(gateway_catalog(api_gateway(call)), self->function, self->layer_digests,
                           &self->err) < 0) {
                api_answer_problem(call, 400, "layer.not_found", "%s", self->err.text);
        } else if (crew_submit(api_gateway(call)->crew, &self->job) < 0) {
                api_answer_overloaded(call);
        } else {
                return;
        }
        function_call_free(self);
}

/* Applies the change to the version that is current now. */
static void change_submit(struct function_call *self)
{
        struct api_call *call = self->call;
        const struct function *current = api_find_function(call);
        struct err err = {0};

        function_unref(self->function);
        self->function = current ? function_copy(current) : NULL;
        if (!self->function) {
                if (current)
                        api_answer_no_memory(call);
                else
                        api_answer_not_found(call);
                function_call_free(self);
                return;
        }
        if (settings_read(self->settings, &api_gateway(call)->config.reach, self->function, &err) <
            0) {
                api_answer_problem(call, 400, "invalid", "%s", err.text);
                function_call_free(self);
                return;
        }
        change_find_layers(self);
}

void api_function_change(struct api_call *call)
{
        struct function_call *self = calloc(1, sizeof(*self));
        struct err err = {0};

        if (!self) {
                api_answer_no_memory(call);
                return;
        }
        self->call = call;
        if (json_body_parse(buffer_slice(&call->body), &self->settings, &err) < 0 ||
            cJSON_GetArraySize(self->settings) == 0) {
                api_answer_problem(call, 400, "invalid", "%s",
                                   err.code ? err.text
                                            : "Nothing is to be changed: name at least one "
                                              "setting.");
                function_call_free(self);
                return;
        }
        change_submit(self);
}

/* DELETE --------------------------------------------------------------------------------------- */

static void delete_stored(struct store_request *request)
{
        struct function_call *self = CONTAINER_OF(request, struct function_call, store);
        struct api_call *call = self->call;

        if (request->result == STORE_OK) {
                collector_wake(api_gateway(call));
                api_answer_message(call, 200, "Function deleted successfully.");
        } else if (request->result == STORE_NOT_FOUND) {
                api_answer_not_found(call);
        } else {
                api_answer_store_failure(call, request);
        }
        function_call_free(self);
}

void api_function_delete(struct api_call *call)
{
        const struct function *function = api_find_function(call);
        struct function_call *self;

        if (!function) {
                api_answer_not_found(call);
                return;
        }
        self = calloc(1, sizeof(*self));
        if (!self) {
                api_answer_no_memory(call);
                return;
        }
        self->call = call;
        self->store = (struct store_request){.home = &call->thread->mailbox,
                                             .done = delete_stored,
                                             .kind = STORE_FUNCTION_DELETE};
        memcpy(self->store.id, function->id, sizeof(self->store.id));
        registry_store_submit(api_gateway(call)->store, &self->store);
}
