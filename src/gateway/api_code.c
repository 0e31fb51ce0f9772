/* POST /api/v1/functions, PUT /api/v1/functions/{id}/code, and POST /api/v1/functions/{id}/versions
 * (code and any settings at once, so that both change or neither): what brings code. What is
 * different where an image is the code is in api_image.c.
 *
 *      read the document, unpack (crew) -> find its layers, make their tree (crew)
 *                                       -> try it in a sandbox (scheduler) -> keep it (crew)
 *                                       -> the registry (store) -> answer
 *
 * Nothing of it is seen by others before the store has it: what fails on the way leaves nothing
 * behind but a folder in staging, which is discarded, and perhaps a tree of layers, which is collected.
 */
#include "gateway/code_call.h"

#include "base/clock.h"
#include "gateway/function_layers.h"
#include "gateway/function_settings.h"
#include "gateway/json_body.h"
#include "ports/bundles.h"
#include "ports/images.h"

#include <errno.h>
#include <stdlib.h>

#define REPLACE_TRIES 5

static void code_free(struct code_call *self)
{
        image_call_deinit(&self->image);
        cJSON_Delete(self->settings);
        function_unref(self->function);
        free(self);
}

static void code_discard(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        struct bundles *bundles = self->gateway->bundles;

        if (self->staging[0])
                bundles->ops->discard(bundles, self->staging);
        image_call_release(self);
        code_free(self);
}

void code_end(struct code_call *self)
{
        bool has_left = self->staging[0] || self->image.lease;

        self->job = (struct job){.work = code_discard};
        if (has_left && crew_submit(self->gateway->crew, &self->job) == 0)
                return;
        /* What a crew that is full leaves in staging goes at the next start. */
        image_call_release(self);
        code_free(self);
}

void code_to_crew(struct code_call *self, struct crew *crew, void (*work)(struct job *job),
                  void (*done)(struct job *job))
{
        self->job = (struct job){.home = &self->call->thread->mailbox, .work = work, .done = done};
        if (crew_submit(crew, &self->job) == 0)
                return;
        api_answer_overloaded(self->call);
        code_end(self);
}

/* Registering ---------------------------------------------------------------------------------- */

static void code_answer(struct code_call *self)
{
        cJSON *document = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(document, "message",
                                      self->is_new ? "Function created successfully."
                                                   : "Function updated successfully.");
        (void)cJSON_AddStringToObject(document, "functionId", self->function->id);
        if (self->image.name_is_chosen)
                (void)cJSON_AddStringToObject(document, "name", self->function->name);
        if (!self->is_new)
                (void)cJSON_AddNumberToObject(document, "version", (double)self->function->version);
        api_answer(self->call, self->is_new ? 201 : 200, document);
}

static void answer_taken(struct code_call *self)
{
        api_answer_problem(self->call, 409, "taken", "You have a function named '%s' already.",
                           self->function->name);
}

/* Somebody else changed the function meanwhile: our code and settings go into his version. */
static bool code_rebase(struct code_call *self)
{
        const struct function *current = api_find_function(self->call);
        struct function *next = current ? function_copy(current) : NULL;
        struct deployment deployment = {.function = next};

        if (!next)
                return false;
        /* What it was the code of may have been another kind. */
        image_call_copy(self->function, next);
        if (self->settings && (deployment_read(self->settings, &self->gateway->config.reach,
                                               &deployment, &self->err) < 0 ||
                               function_validate(next, &self->err) < 0)) {
                function_unref(next);
                return false;
        }
        if (self->settings || strcmp(self->function->handler, self->old_handler) != 0)
                memcpy(next->handler, self->function->handler, sizeof(next->handler));
        if (cJSON_HasObjectItem(self->settings, "layers"))
                function_take_layers(next, self->function);
        memcpy(next->code_digest, self->function->code_digest, sizeof(next->code_digest));
        next->code_bytes = self->function->code_bytes;
        image_call_copy(self->function, next);
        function_unref(self->function);
        self->function = next;
        return true;
}

static void code_stored(struct store_request *request)
{
        struct code_call *self = CONTAINER_OF(request, struct code_call, store);

        if (request->result == STORE_CONFLICT && ++self->tries < REPLACE_TRIES &&
            code_rebase(self)) {
                code_submit(self);
                return;
        }
        if (request->result == STORE_TAKEN && image_call_rename(self)) {
                code_submit(self);
                return;
        }
        if (request->result == STORE_OK)
                code_answer(self);
        else if (request->result == STORE_TAKEN)
                answer_taken(self);
        else
                api_answer_store_failure(self->call, request);
        collector_wake(self->gateway); /* the old code, or what we have kept in vain */
        code_end(self);
}

void code_submit(struct code_call *self)
{
        self->function->updated_ms = clock_unix_ms();
        if (self->is_new)
                self->function->created_ms = self->function->updated_ms;
        self->function->version = self->is_new ? 1 : self->function->version + 1;
        self->store = (struct store_request){.home = &self->call->thread->mailbox,
                                             .done = code_stored,
                                             .kind = self->is_new ? STORE_FUNCTION_CREATE
                                                                  : STORE_FUNCTION_UPDATE,
                                             .function = self->function};
        registry_store_submit(self->gateway->store, &self->store);
}

/* Keeping -------------------------------------------------------------------------------------- */

static void code_keep(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        struct bundles *bundles = self->gateway->bundles;

        self->status = bundles->ops->keep(bundles, self->staging, self->function, &self->err) < 0
                               ? 500
                               : 0;
        if (self->status == 0)
                self->staging[0] = '\0';
}

static void code_kept(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);

        if (self->status == 0) {
                code_submit(self);
                return;
        }
        api_answer_problem(self->call, self->status, "platform.error", "%s", self->err.text);
        code_end(self);
}

/* Trying --------------------------------------------------------------------------------------- */

static void code_tried(struct trial *trial)
{
        struct code_call *self = CONTAINER_OF(trial, struct code_call, trial);

        if (trial->outcome == OUTCOME_SUCCEEDED && self->image.reference) {
                code_submit(self);
                return;
        }
        if (trial->outcome == OUTCOME_SUCCEEDED) {
                code_to_crew(self, self->gateway->crew, code_keep, code_kept);
                return;
        }
        /* The code may be good: whoever sent it is asked to send it again, not to change it. */
        if (trial->outcome == OUTCOME_PLATFORM || trial->outcome == OUTCOME_OVERLOADED)
                api_answer_problem(self->call, 503, outcome_answer(trial->outcome)->reason, "%s",
                                   trial->text);
        else
                api_answer_problem(self->call, 400, "function.refused", "%s",
                                   trial->text[0] ? trial->text : "The function cannot be loaded.");
        code_end(self);
}

void code_try(struct code_call *self, const char *code)
{
        self->trial.home = &self->call->thread->mailbox;
        self->trial.done = code_tried;
        self->trial.function = self->function;
        memcpy(self->trial.staging, code, sizeof(self->trial.staging));
        scheduler_try(&self->gateway->scheduler, &self->trial);
}

/* Layers --------------------------------------------------------------------------------------- */

static void code_make_tree(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);

        switch (function_make_tree(self->gateway->bundles, self->function,
                                   (const char(*)[DIGEST_LENGTH + 1]) self->layer_digests,
                                   &self->err)) {
        case STAGE_DONE:
                break;
        case STAGE_REFUSED:
                code_problem(self, 400, "code.refused");
                break;
        case STAGE_FAILED:
                code_problem(self, 500, "platform.error");
                break;
        }
}

static void code_made_tree(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);

        if (self->status == 0) {
                code_try(self, self->staging);
                return;
        }
        api_answer_problem(self->call, self->status, self->reason, "%s", self->err.text);
        code_end(self);
}

static void code_find_layers(struct code_call *self)
{
        if (!function_wants_tree(self->function)) {
                code_try(self, self->staging);
        } else if (layers_resolve(gateway_catalog(self->gateway), self->function,
                                  self->layer_digests, &self->err) == 0) {
                code_to_crew(self, self->gateway->crew, code_make_tree, code_made_tree);
        } else {
                api_answer_problem(self->call, 400, "layer.not_found", "%s", self->err.text);
                code_end(self);
        }
}

static void code_staged(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        struct api_call *call = self->call;

        api_drop_body(call);
        if (self->status != 0) {
                api_answer_problem(call, self->status, self->reason, "%s", self->err.text);
                code_end(self);
                return;
        }
        if (self->is_new && !self->image.name_is_chosen &&
            catalog_find_function_by_name(gateway_catalog(self->gateway), slice_of(call->user->id),
                                          slice_of(self->function->name))) {
                answer_taken(self);
                code_end(self);
                return;
        }
        if (self->image.reference)
                image_call_fetch(self);
        else
                code_find_layers(self);
}

/* Reading, on the crew ------------------------------------------------------------------------- */

void code_problem(struct code_call *self, int status, const char *reason)
{
        self->status = status;
        self->reason = reason;
}

static void code_stage(struct code_call *self, struct slice code)
{
        struct bundles *bundles = self->gateway->bundles;

        switch (bundles->ops->stage(bundles, code, self->function, self->staging, &self->err)) {
        case STAGE_DONE:
                return;
        case STAGE_REFUSED:
                code_problem(self, 400, "code.refused");
                break;
        case STAGE_FAILED:
                code_problem(self, 500, "platform.error");
                break;
        }
        self->staging[0] = '\0';
}

/* Is everything there that a new function needs? */
static bool deployment_is_complete(struct code_call *self, const struct deployment *deployment)
{
        struct err *err = &self->err;

        if (!deployment->has_name)
                (void)err_set(err, -EINVAL, "name is missing.");
        else if (!deployment->has_runtime)
                (void)err_set(err, -EINVAL, "runtime is missing.");
        else if (deployment->function->runtime == RUNTIME_IMAGE)
                (void)err_set(err, -EINVAL,
                              "image is missing: a reference such as "
                              "registry.example/team/app:1.0.");
        else if (!deployment->code)
                (void)err_set(err, -EINVAL, "code is missing: a zip, tar.gz or file in base64.");
        else if (function_validate(deployment->function, err) == 0)
                return true;
        code_problem(self, 400, "invalid");
        return false;
}

/* The document has its own copy; there may be a registry's password in it. */
static void code_forget_body(struct api_call *call)
{
        explicit_bzero(call->body.data, call->body.length);
        buffer_deinit(&call->body);
}

static void code_stage_base64(struct code_call *self, const char *encoded)
{
        struct slice code;
        int r = api_decode_code(self->gateway, encoded, &code, &self->err);

        if (r == 0)
                code_stage(self, code);
        else if (r == -EFBIG)
                code_problem(self, 413, "payload.too_large");
        else
                code_problem(self, 400, "invalid");
}

static void code_read_deployment(struct code_call *self, cJSON *object)
{
        struct deployment deployment = {.function = self->function};

        if (deployment_read(object, &self->gateway->config.reach, &deployment, &self->err) < 0)
                code_problem(self, 400, "invalid");
        else if (deployment.image)
                image_call_read(self, object, &deployment);
        else if (deployment_is_complete(self, &deployment))
                code_stage_base64(self, deployment.code);
}

static void create_work(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        cJSON *object;

        if (json_body_parse(buffer_slice(&self->call->body), &object, &self->err) < 0) {
                code_problem(self, 400, "invalid");
                return;
        }
        code_forget_body(self->call);
        code_read_deployment(self, object);
        cJSON_Delete(object);
}

static const struct function no_layers;

/* A new version: what is not said stays as it is. */
static void code_read_version(struct code_call *self, cJSON *object)
{
        struct function *function = self->function;
        struct deployment deployment = {.function = function};
        enum runtime old_runtime = function->runtime;
        char old_name[NAME_MAX_LENGTH + 1];
        struct err *err = &self->err;

        memcpy(old_name, function->name, sizeof(old_name));
        if (deployment_read(object, &self->gateway->config.reach, &deployment, err) < 0) {
                code_problem(self, 400, "invalid");
                return;
        }
        if (deployment.image)
                function->runtime = RUNTIME_IMAGE;
        /* Like its handler, the code's layers go with it. */
        if (deployment.image && !cJSON_HasObjectItem(object, "layers"))
                function_take_layers(function, &no_layers);
        /* The handler of another runtime would not fit: it is chosen anew. */
        if (function->runtime != old_runtime && !cJSON_HasObjectItem(object, "handler"))
                function->handler[0] = '\0';
        if (function->runtime != RUNTIME_IMAGE)
                image_call_forget(function, object);
        if (strcmp(function->name, old_name) != 0)
                (void)err_set(err, -EINVAL, "A function's name cannot be changed.");
        else if (deployment.image)
                image_call_read(self, object, &deployment);
        else if (function->runtime == RUNTIME_IMAGE)
                (void)err_set(err, -EINVAL, "%s", image_call_has_no_code);
        else if (!deployment.code)
                (void)err_set(err, -EINVAL, "code is missing: a zip, tar.gz or file in base64.");
        else if (function_validate(function, err) == 0 &&
                 cJSON_HasObjectItem(object, "concurrency"))
                (void)function_validate_sharing(function, err);
        if (err->code != 0)
                code_problem(self, 400, "invalid");
        else if (!deployment.image)
                code_stage_base64(self, deployment.code);
}

static void version_work(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);

        if (json_body_parse(buffer_slice(&self->call->body), &self->settings, &self->err) < 0) {
                code_problem(self, 400, "invalid");
                return;
        }
        code_forget_body(self->call);
        code_read_version(self, self->settings);
        cJSON_DeleteItemFromObjectCaseSensitive(self->settings, "code");
}

static void replace_work(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);

        code_stage(self, buffer_slice(&self->call->body));
}

/* Beginning ------------------------------------------------------------------------------------ */

static struct code_call *code_new(struct api_call *call, struct function *function, bool is_new)
{
        struct code_call *self = function ? calloc(1, sizeof(*self)) : NULL;

        if (!self) {
                function_unref(function);
                api_answer_no_memory(call);
                return NULL;
        }
        self->gateway = api_gateway(call);
        self->call = call;
        self->function = function;
        self->is_new = is_new;
        return self;
}

void api_function_create(struct api_call *call)
{
        struct code_call *self = code_new(call, function_new(), true);
        struct function *function;

        if (!self)
                return;
        function = self->function;
        gateway_make_id(call->thread, function->id);
        memcpy(function->owner_id, call->user->id, sizeof(function->owner_id));
        memcpy(function->owner_name_space, call->user->name_space,
               sizeof(function->owner_name_space));
        code_to_crew(self, self->gateway->crew, create_work, code_staged);
}

/* For a new version of the function that the path names. NULL: the call is answered. */
static struct code_call *code_new_version(struct api_call *call)
{
        const struct function *current = api_find_function(call);
        struct code_call *self;

        if (!current) {
                api_answer_not_found(call);
                return NULL;
        }
        self = code_new(call, function_copy(current), false);
        if (!self)
                return NULL;
        memcpy(self->old_handler, current->handler, sizeof(self->old_handler));
        memcpy(self->image.old_digest, current->code_digest, sizeof(self->image.old_digest));
        self->function->code_digest[0] = '\0';
        return self;
}

void api_function_add_version(struct api_call *call)
{
        struct code_call *self = code_new_version(call);

        if (self)
                code_to_crew(self, self->gateway->crew, version_work, code_staged);
}

void api_function_replace_code(struct api_call *call)
{
        const struct function *current = api_find_function(call);
        struct code_call *self;

        if (current && current->runtime == RUNTIME_IMAGE) {
                api_answer_problem(call, 400, "invalid", "%s", image_call_has_no_code);
                return;
        }
        if (call->body.length == 0) {
                api_answer_problem(call, 400, "invalid",
                                   "The body is empty: a zip, tar.gz or file is expected.");
                return;
        }
        self = code_new_version(call);
        if (self)
                code_to_crew(self, self->gateway->crew, replace_work, code_staged);
}
