/* Layers: GET and POST /api/v1/layers, GET and PUT /api/v1/layers/{id}, where {id} is a name, and DELETE
 * /api/v1/layers/{id}/{version}.
 *
 *      read the document, unpack, keep it (crew) -> the registry (store) -> answer
 *
 * What was kept for a publication that fails afterwards is collected like code that nobody uses.
 */
#include "gateway/api_call.h"

#include "base/clock.h"
#include "core/registry/layer.h"
#include "gateway/json_body.h"
#include "gateway/timestamp.h"
#include "ports/bundles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES_MAX 10 /* how many functions a sentence names */

/* Showing ------------------------------------------------------------------------------------------ */

static cJSON *layer_document(const struct layer *layer)
{
        cJSON *document = cJSON_CreateObject();
        char text[LAYER_TEXT_SIZE], created[TIMESTAMP_SIZE];

        layer_format(layer, text);
        timestamp_format(layer->created_ms, created);
        (void)cJSON_AddStringToObject(document, "layer", text);
        (void)cJSON_AddStringToObject(document, "name", layer->name);
        (void)cJSON_AddNumberToObject(document, "version", layer->version);
        (void)cJSON_AddStringToObject(document, "digest", layer->digest);
        (void)cJSON_AddNumberToObject(document, "bytes", (double)layer->bytes);
        (void)cJSON_AddStringToObject(document, "createdAt", created);
        return document;
}

/* A walk through the layers of a user, or through the functions that have one. */
struct walk {
        const struct catalog *catalog;
        cJSON *list;
        const char *name; /* of the layers that are wanted; NULL: all */
        const struct layer *layer;
};

static bool walk_add_function(struct function *function, void *context)
{
        const struct walk *walk = context;

        if (function_has_layer(function, walk->layer))
                (void)cJSON_AddItemToArray(walk->list, cJSON_CreateString(function->name));
        return true;
}

/* The names of the functions that have the layer. NULL without memory. */
static cJSON *layer_functions(const struct catalog *catalog, const struct layer *layer)
{
        struct walk walk = {.layer = layer, .list = cJSON_CreateArray()};

        (void)catalog_each_function_of(catalog, slice_of(layer->owner_id), walk_add_function,
                                       &walk);
        return walk.list;
}

static bool walk_add_layer(struct layer *layer, void *context)
{
        const struct walk *walk = context;
        cJSON *document;

        if (walk->name && strcmp(layer->name, walk->name) != 0)
                return true;
        document = layer_document(layer);
        if (walk->name)
                (void)cJSON_AddItemToObject(document, "functions",
                                            layer_functions(walk->catalog, layer));
        (void)cJSON_AddItemToArray(walk->list, document);
        return true;
}

static cJSON *layers_of(struct api_call *call, const char *name)
{
        struct walk walk = {.catalog = gateway_catalog(api_gateway(call)),
                            .list = cJSON_CreateArray(),
                            .name = name};

        if (walk.list)
                (void)catalog_each_layer_of(walk.catalog, slice_of(call->user->id), walk_add_layer,
                                            &walk);
        return walk.list;
}

void api_layer_list(struct api_call *call)
{
        api_answer(call, 200, layers_of(call, NULL));
}

static void answer_not_found(struct api_call *call)
{
        api_answer_problem(call, 404, "not_found", "There is no such layer.");
}

void api_layer_show(struct api_call *call)
{
        cJSON *list = layers_of(call, call->id);

        if (list && cJSON_GetArraySize(list) == 0) {
                cJSON_Delete(list);
                answer_not_found(call);
        } else {
                api_answer(call, 200, list);
        }
}

/* A layer on its way in or out. */
struct layer_call {
        struct gateway *gateway;
        struct api_call *call;
        struct job job;
        struct store_request store;
        struct layer *layer; /* a reference */
        const char *code;    /* base64, borrowed from the document while that is read */
        int status;          /* of the problem that work() met; 0: none */
        const char *reason;
        struct err err;
};

static void layer_call_free(struct layer_call *self)
{
        layer_unref(self->layer);
        free(self);
}

static void layer_submit(struct layer_call *self, enum store_kind kind,
                         void (*done)(struct store_request *request))
{
        self->store = (struct store_request){.home = &self->call->thread->mailbox,
                                             .done = done,
                                             .kind = kind,
                                             .layer = self->layer};
        memcpy(self->store.id, self->layer->id, sizeof(self->store.id));
        registry_store_submit(self->gateway->store, &self->store);
}

/* Publishing --------------------------------------------------------------------------------------- */

static void publish_answer(struct layer_call *self)
{
        cJSON *document = layer_document(self->layer);

        (void)cJSON_AddStringToObject(document, "message", "Layer published successfully.");
        api_answer(self->call, 201, document);
}

static void publish_stored(struct store_request *request)
{
        struct layer_call *self = CONTAINER_OF(request, struct layer_call, store);

        if (request->result == STORE_OK) {
                publish_answer(self);
        } else {
                api_answer_store_failure(self->call, request);
                collector_wake(self->gateway); /* we have kept it in vain */
        }
        layer_call_free(self);
}

static void publish_kept(struct job *job)
{
        struct layer_call *self = CONTAINER_OF(job, struct layer_call, job);

        api_drop_body(self->call);
        if (self->status == 0) {
                self->layer->created_ms = clock_unix_ms();
                layer_submit(self, STORE_LAYER_PUBLISH, publish_stored);
                return;
        }
        api_answer_problem(self->call, self->status, self->reason, "%s", self->err.text);
        layer_call_free(self);
}

static void publish_problem(struct layer_call *self, int status, const char *reason)
{
        self->status = status;
        self->reason = reason;
}

static void publish_keep(struct layer_call *self, struct slice code)
{
        struct bundles *bundles = self->gateway->bundles;
        char staging[DIGEST_LENGTH + 1];

        switch (bundles->ops->stage_layer(bundles, code, staging, &self->err)) {
        case STAGE_DONE:
                break;
        case STAGE_REFUSED:
                publish_problem(self, 400, "code.refused");
                return;
        case STAGE_FAILED:
                publish_problem(self, 500, "platform.error");
                return;
        }
        if (bundles->ops->keep_layer(bundles, staging, self->layer, &self->err) == 0)
                return;
        bundles->ops->discard(bundles, staging);
        publish_problem(self, 500, "platform.error");
}

static void publish_work(struct job *job)
{
        struct layer_call *self = CONTAINER_OF(job, struct layer_call, job);

        publish_keep(self, buffer_slice(&self->call->body));
}

static int read_name(const cJSON *value, void *target, struct err *err)
{
        struct layer *layer = ((struct layer_call *)target)->layer;
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r == 0)
                r = name_validate(slice_of(name), err);
        if (r == 0)
                memcpy(layer->name, name, strlen(name) + 1);
        return r;
}

static int read_code(const cJSON *value, void *target, struct err *err)
{
        return json_read_text(value, &((struct layer_call *)target)->code, err);
}

static void create_read(struct layer_call *self, const cJSON *object)
{
        static const struct json_member members[] = {{"name", read_name}, {"code", read_code}};
        struct slice code;
        int r = json_body_read(object, members, sizeof(members) / sizeof(members[0]), self,
                               &self->err);

        if (r == 0 && self->layer->name[0] == '\0')
                r = err_set(&self->err, -EINVAL, "name is missing.");
        if (r == 0 && !self->code)
                r = err_set(&self->err, -EINVAL, "code is missing: a zip or tar.gz in base64.");
        if (r == 0)
                r = api_decode_code(self->gateway, self->code, &code, &self->err);
        if (r == 0)
                publish_keep(self, code);
        else if (r == -EFBIG)
                publish_problem(self, 413, "payload.too_large");
        else
                publish_problem(self, 400, "invalid");
}

static void create_work(struct job *job)
{
        struct layer_call *self = CONTAINER_OF(job, struct layer_call, job);
        cJSON *object;

        if (json_body_parse(buffer_slice(&self->call->body), &object, &self->err) < 0) {
                publish_problem(self, 400, "invalid");
                return;
        }
        buffer_deinit(&self->call->body); /* the document has its own copy */
        create_read(self, object);
        cJSON_Delete(object);
}

/* NULL: the call is answered. */
static struct layer_call *layer_call_new(struct api_call *call, struct layer *layer)
{
        struct layer_call *self = layer ? calloc(1, sizeof(*self)) : NULL;

        if (!self) {
                layer_unref(layer);
                api_answer_no_memory(call);
                return NULL;
        }
        self->gateway = api_gateway(call);
        self->call = call;
        self->layer = layer;
        return self;
}

static void publish_begin(struct api_call *call, void (*work)(struct job *job))
{
        struct layer_call *self = layer_call_new(call, layer_new());

        if (!self)
                return;
        gateway_make_id(call->thread, self->layer->id);
        memcpy(self->layer->owner_id, call->user->id, sizeof(self->layer->owner_id));
        memcpy(self->layer->name, call->id, sizeof(self->layer->name));
        self->job =
                (struct job){.home = &call->thread->mailbox, .work = work, .done = publish_kept};
        if (crew_submit(self->gateway->crew, &self->job) == 0)
                return;
        api_answer_overloaded(call);
        layer_call_free(self);
}

void api_layer_create(struct api_call *call)
{
        publish_begin(call, create_work);
}

void api_layer_publish(struct api_call *call)
{
        struct err err = {0};

        if (name_validate(slice_of(call->id), &err) < 0)
                api_answer_problem(call, 400, "invalid", "%s", err.text);
        else if (call->body.length == 0)
                api_answer_problem(call, 400, "invalid",
                                   "The body is empty: a zip or tar.gz is expected.");
        else
                publish_begin(call, publish_work);
}

/* Removing ----------------------------------------------------------------------------------------- */

/* Answers if there are some. */
static bool answer_in_use(struct api_call *call, const struct layer *layer)
{
        cJSON *functions = layer_functions(gateway_catalog(api_gateway(call)), layer), *function;
        char names[NAMES_MAX * (NAME_MAX_LENGTH + 2) + 32] = "";
        int count = cJSON_GetArraySize(functions), named = 0;
        size_t used = 0;

        cJSON_ArrayForEach(function, functions)
        {
                if (named == NAMES_MAX)
                        break;
                used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                         named++ ? ", " : "", cJSON_GetStringValue(function));
        }
        if (count > named)
                (void)snprintf(names + used, sizeof(names) - used, " and %d more", count - named);
        cJSON_Delete(functions);
        if (count > 0)
                api_answer_problem(call, 409, "in_use",
                                   "The layer is in use by: %s. Deploy them without it first.",
                                   names);
        return count > 0;
}

static void remove_stored(struct store_request *request)
{
        struct layer_call *self = CONTAINER_OF(request, struct layer_call, store);
        struct api_call *call = self->call;

        if (request->result == STORE_OK) {
                collector_wake(self->gateway);
                api_answer_message(call, 200, "Layer removed successfully.");
        } else if (request->result == STORE_NOT_FOUND) {
                answer_not_found(call);
        } else if (request->result != STORE_IN_USE || !answer_in_use(call, self->layer)) {
                api_answer_store_failure(call, request);
        }
        layer_call_free(self);
}

void api_layer_remove(struct api_call *call)
{
        char text[sizeof(call->id) + sizeof(call->version)];
        struct layer_reference wanted;
        struct layer_call *self;
        struct layer *layer = NULL;

        (void)snprintf(text, sizeof(text), "%s:%s", call->id, call->version);
        if (layer_reference_parse(slice_of(text), &wanted, NULL) == 0)
                layer = catalog_find_layer_by_name(gateway_catalog(api_gateway(call)),
                                                   slice_of(call->user->id), slice_of(wanted.name),
                                                   wanted.version);
        if (!layer) {
                answer_not_found(call);
                return;
        }
        if (answer_in_use(call, layer))
                return;
        self = layer_call_new(call, layer_ref(layer));
        if (self)
                layer_submit(self, STORE_LAYER_REMOVE, remove_stored);
}
