/* Functions from container images: what POST /api/v1/functions and .../versions do where the document
 * has an image in place of code. See api_code.c for the rest of the way.
 *
 *      read the document -> pull (a crew of its own: minutes) -> try it in a sandbox -> the registry
 *
 * From the pull until the registry has the function the image is leased, so that nobody collects
 * it. */
#include "gateway/code_call.h"

#include "gateway/function_layers.h"
#include "gateway/function_settings.h"
#include "wire/image_reference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_TRIES 100

const char image_call_has_no_code[] =
        "A function from an image has no code: deploy another image, or say which runtime the code "
        "is for.";

/* What the caller is told, by why there is no image. */
static const struct {
        int status;
        const char *reason;
} problems[] = {
        [IMAGE_READY] = {200, ""},
        [IMAGE_NOT_A_REFERENCE] = {400, "image.reference"},
        [IMAGE_REGISTRY_REFUSED] = {403, "image.registry"},
        [IMAGE_UNREACHABLE] = {502, "image.unreachable"},
        [IMAGE_NOT_ALLOWED] = {400, "image.credentials"},
        [IMAGE_UNKNOWN] = {400, "image.unknown"},
        [IMAGE_OTHER_PLATFORM] = {400, "image.platform"},
        [IMAGE_CORRUPT] = {502, "image.corrupt"},
        [IMAGE_REFUSED] = {400, "image.refused"},
        [IMAGE_DISK_FULL] = {507, "image.disk_full"},
        [IMAGE_NO_TRANSPORT] = {501, "image.no_transport"},
        [IMAGE_LATE] = {504, "image.timeout"},
        [IMAGE_STOPPED] = {503, "draining"},
        [IMAGE_FAILED] = {500, "platform.error"},
};

/* Reading ------------------------------------------------------------------------------------------ */

/* Whoever keeps the document, or frees it, has no business with the password. */
static void forget_credentials(cJSON *object)
{
        static const char *const names[] = {"registryUser", "registryPassword"};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                cJSON *item = cJSON_GetObjectItemCaseSensitive(object, names[i]);
                if (cJSON_IsString(item))
                        explicit_bzero(item->valuestring, strlen(item->valuestring));
                cJSON_DeleteItemFromObjectCaseSensitive(object, names[i]);
        }
}

static int copy_text(const char *text, char **ret_copy)
{
        *ret_copy = text ? strdup(text) : NULL;
        return text && !*ret_copy ? -ENOMEM : 0;
}

static int read_image(struct code_call *self, const struct deployment *deployment)
{
        struct image_call *image = &self->image;
        struct function *function = self->function;
        struct image_reference reference;

        if (deployment->code)
                return err_set(&self->err, -EINVAL, "%s", image_call_has_no_code);
        if (deployment->has_runtime && function->runtime != RUNTIME_IMAGE)
                return err_set(&self->err, -EINVAL,
                               "image is for the runtime image, which need not be said.");
        if (deployment->registry_password && !deployment->registry_user)
                return err_set(&self->err, -EINVAL, "registryUser is missing.");
        if (image_reference_parse(slice_of(deployment->image), &reference, &self->err) < 0)
                return -EINVAL;
        if (self->is_new && !deployment->has_name) {
                image->name_is_chosen = true;
                image_reference_name(&reference, 0, function->name, sizeof(function->name));
        }
        if (copy_text(deployment->image, &image->reference) < 0 ||
            copy_text(deployment->registry_user, &image->user) < 0 ||
            copy_text(deployment->registry_password, &image->password) < 0)
                return err_set(&self->err, -ENOMEM, "No memory for the image.");
        function->runtime = RUNTIME_IMAGE;
        return function_validate(function, &self->err);
}

void image_call_read(struct code_call *self, cJSON *object, const struct deployment *deployment)
{
        const cJSON *port = cJSON_GetObjectItemCaseSensitive(object, "port");

        self->image.contract_is_said = cJSON_HasObjectItem(object, "contract") &&
                                       self->function->contract != CONTRACT_NONE;
        self->image.port_is_said = port && self->function->port != 0;
        if (read_image(self, deployment) < 0)
                code_problem(self, 400, "invalid");
        forget_credentials(object);
}

/* Naming ------------------------------------------------------------------------------------------- */

/* The next one that is free, as far as the catalog knows. */
static bool choose_name(struct code_call *self)
{
        struct image_call *image = &self->image;
        struct function *function = self->function;
        struct image_reference reference;

        if (image_reference_parse(slice_of(image->reference), &reference, NULL) < 0)
                return false;
        for (; image->name_attempt < NAME_TRIES; image->name_attempt++) {
                image_reference_name(&reference, image->name_attempt, function->name,
                                     sizeof(function->name));
                if (!function_name_is_reserved(slice_of(function->name)) &&
                    !catalog_find_function_by_name(gateway_catalog(self->gateway),
                                                   slice_of(self->call->user->id),
                                                   slice_of(function->name)))
                        return true;
        }
        return false;
}

bool image_call_rename(struct code_call *self)
{
        self->image.name_attempt++;
        return self->image.name_is_chosen && choose_name(self);
}

/* What the image says ------------------------------------------------------------------------------ */

/* The image without PORT in its environment: where its server listens is the function's to say. NULL
 * without memory. */
static struct image *without_port(const struct image *image)
{
        const char *env[IMAGE_ENV_MAX];
        struct image_parts parts = {
                .directory = image->directory,
                .user = image->user,
                .group = image->group,
                .word_count = image->word_count,
                .words = (const char *const *)image->words,
                .env = env,
        };
        struct image *changed;

        for (size_t i = 0; i < image->env_count; i++)
                if (strncmp(image->env[i], "PORT=", 5) != 0)
                        env[parts.env_count++] = image->env[i];
        return image_new(&parts, &changed) == 0 ? changed : NULL;
}

/* What nobody has said follows the image: also where the version before had what its image said. */
static int apply_image(struct code_call *self)
{
        struct image_call *image = &self->image;
        struct image_found *found = &image->found;
        struct function *function = self->function;
        struct image *known = found->image;

        if (!image->contract_is_said &&
            (function->contract == CONTRACT_NONE ||
             (image->old_is_known && function->contract == image->old_contract)))
                function->contract = found->contract;
        if (!image->port_is_said &&
            (function->port == 0 || (image->old_is_known && function->port == image->old_port)))
                function->port = found->port;
        if (function->contract == CONTRACT_HTTP) {
                known = without_port(found->image);
                image_unref(found->image);
        }
        found->image = NULL;
        if (!known)
                return -ENOMEM;
        image_unref(function->image);
        function->image = known;
        memcpy(function->code_digest, found->digest, sizeof(function->code_digest));
        function->code_bytes = found->bytes;
        memcpy(function->image_reference, image->reference, strlen(image->reference) + 1);
        return 0;
}

/* Pulling ------------------------------------------------------------------------------------------ */

/* What waits for the crew counts as well: nobody is to fill its line alone. */
static bool pull_begin(struct code_call *self)
{
        struct gateway *gateway = self->gateway;
        const struct image_call *image;
        unsigned count = 0;

        pthread_mutex_lock(&gateway->pulls_lock);
        LIST_FOR_EACH (image, &gateway->pulls, link) {
                const struct code_call *other = CONTAINER_OF(image, struct code_call, image);
                count += strcmp(other->function->owner_id, self->function->owner_id) == 0;
        }
        self->image.is_pulling = count < gateway->config.pulls_max;
        if (self->image.is_pulling)
                list_push_back(&gateway->pulls, &self->image.link);
        pthread_mutex_unlock(&gateway->pulls_lock);
        return self->image.is_pulling;
}

static void pull_end(struct code_call *self)
{
        if (!self->image.is_pulling)
                return;
        self->image.is_pulling = false;
        pthread_mutex_lock(&self->gateway->pulls_lock);
        list_remove(&self->image.link);
        pthread_mutex_unlock(&self->gateway->pulls_lock);
}

static void fetch_work(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        struct images *images = self->gateway->images;
        struct image_call *image = &self->image;
        const struct image_request request = {
                .reference = image->reference,
                .owner_id = self->call->user->id,
                .user = image->user,
                .password = image->password,
        };

        image->result = images->ops->fetch(images, &request, &image->found, &self->err);
        if (image->result != IMAGE_READY)
                return;
        image->lease = image->found.lease;
        image->old_is_known =
                !self->is_new && images->ops->guess(images, image->old_digest, &image->old_contract,
                                                    &image->old_port) == 0;
}

static void fetch_done(struct job *job)
{
        struct code_call *self = CONTAINER_OF(job, struct code_call, job);
        enum image_result result = self->image.result;

        pull_end(self);
        collector_wake(self->gateway); /* there is more on the disk than before, perhaps in vain */
        if (result != IMAGE_READY) {
                api_answer_problem(self->call, problems[result].status, problems[result].reason,
                                   "%s", self->err.text);
                code_end(self);
                return;
        }
        if (apply_image(self) < 0) {
                api_answer_no_memory(self->call);
                code_end(self);
                return;
        }
        /* Its contract is known only now. */
        if (function_validate_sharing(self->function, &self->err) < 0) {
                api_answer_problem(self->call, 400, "invalid", "%s", self->err.text);
                code_end(self);
                return;
        }
        if (self->image.name_is_chosen)
                (void)choose_name(self);
        code_try(self, self->function->code_digest);
}

void image_call_fetch(struct code_call *self)
{
        if (!self->gateway->images) {
                api_answer_problem(self->call, 501, "not_supported", "This server has no images.");
                code_end(self);
        } else if (!pull_begin(self)) {
                api_answer_problem(self->call, 429, "image.pulls",
                                   "You have %u pulls under way, which is as many as one user may "
                                   "have here at once.",
                                   self->gateway->config.pulls_max);
                code_end(self);
        } else {
                code_to_crew(self, self->gateway->image_crew, fetch_work, fetch_done);
        }
}

/* Versions ----------------------------------------------------------------------------------------- */

void image_call_copy(const struct function *from, struct function *to)
{
        struct image *image = image_ref(from->image);

        image_unref(to->image);
        to->image = image;
        to->runtime = from->runtime;
        to->contract = from->contract;
        to->port = from->port;
        memcpy(to->image_reference, from->image_reference, sizeof(to->image_reference));
        if (from->runtime == RUNTIME_IMAGE)
                function_take_layers(to, from); /* it has none */
}

void image_call_forget(struct function *function, const cJSON *object)
{
        image_unref(function->image);
        function->image = NULL;
        function->image_reference[0] = '\0';
        if (!cJSON_HasObjectItem(object, "contract"))
                function->contract = CONTRACT_NONE;
        if (!cJSON_HasObjectItem(object, "port"))
                function->port = 0;
}

/* The end ------------------------------------------------------------------------------------------ */

void image_call_release(struct code_call *self)
{
        struct images *images = self->gateway->images;

        pull_end(self); /* the crew did not take it */
        if (self->image.lease)
                images->ops->release(images, self->image.lease);
        self->image.lease = NULL;
}

void image_call_deinit(struct image_call *image)
{
        image_unref(image->found.image);
        free(image->reference);
        free(image->user);
        if (image->password)
                explicit_bzero(image->password, strlen(image->password));
        free(image->password);
}
