/* A function's settings as JSON; see function_settings.h. */
#include "gateway/function_settings.h"

#include "gateway/json_body.h"
#include "gateway/live.h"
#include "gateway/timestamp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CREDENTIAL_MAX 8192 /* some registries have tokens for passwords */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Reading ------------------------------------------------------------------------------------------ */

static struct function *function_of(void *target)
{
        return ((struct deployment *)target)->function;
}

static int copy_text(const cJSON *value, char *ret_text, size_t size, struct err *err)
{
        const char *text;
        int r = json_read_text(value, &text, err);

        if (r < 0)
                return r;
        if (strlen(text) >= size)
                return err_set(err, -EINVAL, "%s is longer than %zu bytes.", value->string,
                               size - 1);
        memcpy(ret_text, text, strlen(text) + 1);
        return 0;
}

static int read_name(const cJSON *value, void *target, struct err *err)
{
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r == 0)
                r = function_name_validate(slice_of(name), err);
        if (r < 0)
                return r;
        ((struct deployment *)target)->has_name = true;
        return copy_text(value, function_of(target)->name, sizeof(function_of(target)->name), err);
}

static int read_runtime(const cJSON *value, void *target, struct err *err)
{
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r < 0)
                return r;
        if (!runtime_parse(slice_of(name), &function_of(target)->runtime))
                return err_set(err, -EINVAL,
                               "runtime must be one of python3, node, native, exec and image.");
        ((struct deployment *)target)->has_runtime = true;
        return 0;
}

static int read_code(const cJSON *value, void *target, struct err *err)
{
        return json_read_text(value, &((struct deployment *)target)->code, err);
}

static int read_image(const cJSON *value, void *target, struct err *err)
{
        struct deployment *deployment = target;
        int r;

        /* A document that was shown may come back: its image is null. */
        if (cJSON_IsNull(value))
                return 0;
        r = json_read_text(value, &deployment->image, err);
        if (r == 0 && strlen(deployment->image) > IMAGE_REFERENCE_MAX)
                r = err_set(err, -EINVAL, "image is longer than %d bytes.", IMAGE_REFERENCE_MAX);
        return r;
}

static int read_credential(const cJSON *value, const char **ret_text, struct err *err)
{
        int r = json_read_text(value, ret_text, err);

        if (r == 0 && strlen(*ret_text) > CREDENTIAL_MAX)
                r = err_set(err, -EINVAL, "%s is longer than %d bytes.", value->string,
                            CREDENTIAL_MAX);
        return r;
}

static int read_registry_user(const cJSON *value, void *target, struct err *err)
{
        return read_credential(value, &((struct deployment *)target)->registry_user, err);
}

static int read_registry_password(const cJSON *value, void *target, struct err *err)
{
        return read_credential(value, &((struct deployment *)target)->registry_password, err);
}

static int read_handler(const cJSON *value, void *target, struct err *err)
{
        return copy_text(value, function_of(target)->handler, sizeof(function_of(target)->handler),
                         err);
}

/* A text such as "128MiB", or a number of bytes. */
static int read_memory(const cJSON *value, void *target, struct err *err)
{
        const char *text;
        int r;

        if (cJSON_IsNumber(value)) {
                uint32_t bytes;
                r = json_read_count(value, &bytes, err);
                if (r == 0)
                        function_of(target)->memory_bytes = bytes;
                return r;
        }
        r = json_read_text(value, &text, err);
        return r < 0 ? r : size_parse(slice_of(text), &function_of(target)->memory_bytes, err);
}

static int read_duration(const cJSON *value, uint32_t *ret_ms, struct err *err)
{
        const char *text;
        uint64_t ms;
        int r = json_read_text(value, &text, err);

        if (r == 0)
                r = duration_parse(slice_of(text), &ms, err);
        if (r < 0)
                return r;
        *ret_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX; /* far beyond what is allowed */
        return 0;
}

static int read_timeout(const cJSON *value, void *target, struct err *err)
{
        return read_duration(value, &function_of(target)->timeout_ms, err);
}

static int read_keep_alive(const cJSON *value, void *target, struct err *err)
{
        const char *text;
        int r = json_read_text(value, &text, err);

        return r < 0 ? r
                     : keep_alive_parse(slice_of(text), &function_of(target)->keep_alive_ms, err);
}

static int read_concurrency(const cJSON *value, void *target, struct err *err)
{
        return json_read_count(value, &function_of(target)->concurrency, err);
}

static int read_min(const cJSON *value, void *target, struct err *err)
{
        return json_read_count(value, &function_of(target)->min_instances, err);
}

static int read_max(const cJSON *value, void *target, struct err *err)
{
        return json_read_count(value, &function_of(target)->max_instances, err);
}

static int read_public(const cJSON *value, void *target, struct err *err)
{
        return json_read_truth(value, &function_of(target)->is_public, err);
}

static int read_zygote(const cJSON *value, void *target, struct err *err)
{
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r < 0)
                return r;
        if (!zygote_parse(slice_of(name), &function_of(target)->starts_plainly))
                return err_set(err, -EINVAL, "zygote must be auto or off.");
        return 0;
}

static int read_contract(const cJSON *value, void *target, struct err *err)
{
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r < 0)
                return r;
        if (!contract_parse(slice_of(name), &function_of(target)->contract))
                return err_set(err, -EINVAL, "contract must be one of exec, http and lambda.");
        return 0;
}

static int read_network(const cJSON *value, void *target, struct err *err)
{
        const char *name;
        int r = json_read_text(value, &name, err);

        if (r < 0)
                return r;
        if (!network_parse(slice_of(name), &function_of(target)->network))
                return err_set(err, -EINVAL, "network must be none or egress.");
        return 0;
}

static int add_reach(const cJSON *item, struct function *function, struct err *err)
{
        size_t used = strlen(function->reach);

        if (!cJSON_IsString(item) || item->valuestring[0] == '\0' || strchr(item->valuestring, ','))
                return err_set(err, -EINVAL, "reach must be a list of names.");
        if (used + 1 + strlen(item->valuestring) > REACH_MAX_LENGTH)
                return err_set(err, -EINVAL, "reach has too many names.");
        if (used > 0)
                function->reach[used++] = ',';
        (void)strcpy(function->reach + used, item->valuestring);
        return 0;
}

static int read_reach(const cJSON *value, void *target, struct err *err)
{
        struct function *function = function_of(target);
        const cJSON *item;
        int r = cJSON_IsArray(value) ? 0 : -EINVAL;

        if (r < 0)
                return err_set(err, r, "reach must be a list of names.");
        function->reach[0] = '\0';
        cJSON_ArrayForEach(item, value)
        {
                if (r == 0)
                        r = add_reach(item, function, err);
        }
        return r;
}

static int read_port(const cJSON *value, void *target, struct err *err)
{
        return json_read_count(value, &function_of(target)->port, err);
}

/* One variable as "NAME=value". */
static int env_assignment(const cJSON *variable, char **ret_text, struct err *err)
{
        int length, r;

        if (!cJSON_IsString(variable))
                return err_set(err, -EINVAL, "env must be an object whose values are strings.");
        r = env_name_validate(slice_of(variable->string), err);
        if (r < 0)
                return r;
        length = asprintf(ret_text, "%s=%s", variable->string, variable->valuestring);
        if (length < 0) {
                *ret_text = NULL;
                return err_set(err, -ENOMEM, "No memory for env.");
        }
        return env_validate(slice_of(*ret_text), err);
}

static int read_env(const cJSON *value, void *target, struct err *err)
{
        char *env[ENV_MAX_COUNT] = {0};
        const cJSON *variable;
        size_t count = 0;
        int r = 0;

        if (!cJSON_IsObject(value))
                return err_set(err, -EINVAL, "env must be an object whose values are strings.");
        cJSON_ArrayForEach(variable, value)
        {
                if (count == ENV_MAX_COUNT)
                        r = err_set(err, -EINVAL, "env has more than %d variables.", ENV_MAX_COUNT);
                else if (cJSON_GetObjectItemCaseSensitive(value, variable->string) != variable)
                        r = err_set(err, -EINVAL, "env has a variable twice.");
                else
                        r = env_assignment(variable, &env[count++], err);
                if (r < 0)
                        break;
        }
        if (r == 0)
                r = function_set_env(function_of(target), count, (const char *const *)env);
        if (r == -ENOMEM)
                (void)err_set(err, r, "No memory for env.");
        for (size_t i = 0; i < count; i++)
                free(env[i]);
        return r;
}

static int read_layers(const cJSON *value, void *target, struct err *err)
{
        struct function *function = function_of(target);
        const cJSON *item;

        if (!cJSON_IsArray(value))
                return err_set(err, -EINVAL, "layers must be a list of names, such as tools:3.");
        /* Chosen anew, all of them. */
        function->layer_count = 0;
        function->layers_digest[0] = '\0';
        cJSON_ArrayForEach(item, value)
        {
                struct layer_reference layer;
                const char *text = cJSON_GetStringValue(item);
                int r;

                if (!text)
                        return err_set(err, -EINVAL,
                                       "layers must be a list of names, such as tools:3.");
                r = layer_reference_parse(slice_of(text), &layer, err);
                if (r == 0)
                        r = function_add_layer(function, &layer, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

#define SETTINGS                                                                                   \
        {"handler", read_handler}, {"memory", read_memory}, {"timeout", read_timeout},             \
                {"keepAlive", read_keep_alive}, {"concurrency", read_concurrency},                 \
                {"min", read_min}, {"max", read_max}, {"env", read_env}, {"zygote", read_zygote},  \
                {"contract", read_contract}, {"port", read_port}, {"network", read_network},       \
                {"layers", read_layers}, {"reach", read_reach},                                    \
        {                                                                                          \
                "public", read_public                                                              \
        }

/* Only where it is said anew: what was registered before anybody asked goes on. */
static int check_sharing(const cJSON *object, const struct function *function, struct err *err)
{
        if (!cJSON_HasObjectItem(object, "concurrency") && !cJSON_HasObjectItem(object, "contract"))
                return 0;
        return function_validate_sharing(function, err);
}

/* Of names that were given: an older version's may have been forgotten here since. */
static int check_reach(const cJSON *object, const struct reach_names *known,
                       struct function *function, struct err *err)
{
        uint32_t bits;
        int r;

        if (!cJSON_HasObjectItem(object, "reach")) {
                if (function->network !=
                    NETWORK_EGRESS) /* what was reached goes with the way out */
                        function->reach[0] = '\0';
                return 0;
        }
        r = reach_validate(slice_of(function->reach), err);
        return r < 0 ? r : reach_resolve(slice_of(function->reach), known, &bits, err);
}

int deployment_read(const cJSON *object, const struct reach_names *known,
                    struct deployment *deployment, struct err *err)
{
        static const struct json_member members[] = {{"name", read_name},
                                                     {"runtime", read_runtime},
                                                     {"code", read_code},
                                                     {"image", read_image},
                                                     {"registryUser", read_registry_user},
                                                     {"registryPassword", read_registry_password},
                                                     SETTINGS};
        int r = json_body_read(object, members, COUNT(members), deployment, err);
        bool has_runtime = deployment->has_runtime || deployment->function->code_digest[0] != '\0';

        if (r == 0)
                r = check_reach(object, known, deployment->function, err);
        if (r == 0 && has_runtime)
                r = check_sharing(object, deployment->function, err);
        return r;
}

int settings_read(const cJSON *object, const struct reach_names *known, struct function *function,
                  struct err *err)
{
        static const struct json_member members[] = {SETTINGS};
        struct deployment deployment = {.function = function};
        int r = json_body_read(object, members, COUNT(members), &deployment, err);

        if (r == 0)
                r = check_reach(object, known, function, err);
        if (r == 0 && function->runtime == RUNTIME_IMAGE && function->contract == CONTRACT_NONE)
                r = err_set(err, -EINVAL, "contract must be one of exec, http and lambda.");
        if (r == 0)
                r = check_sharing(object, function, err);
        return r < 0 ? r : function_validate(function, err);
}

/* Showing ------------------------------------------------------------------------------------------ */

static void add_env(cJSON *document, const struct function *function)
{
        cJSON *env = cJSON_AddObjectToObject(document, "env");
        char name[ENV_MAX_BYTES + 1];

        for (size_t i = 0; i < function->env_count; i++) {
                const char *equals = strchr(function->env[i], '=');
                size_t length = (size_t)(equals - function->env[i]);
                memcpy(name, function->env[i], length);
                name[length] = '\0';
                (void)cJSON_AddStringToObject(env, name, equals + 1);
        }
}

static void add_layers(cJSON *document, const struct function *function)
{
        cJSON *layers = cJSON_AddArrayToObject(document, "layers");
        char text[LAYER_TEXT_SIZE];

        for (size_t i = 0; i < function->layer_count; i++) {
                layer_reference_format(&function->layers[i], text);
                (void)cJSON_AddItemToArray(layers, cJSON_CreateString(text));
        }
}

static void add_instances(cJSON *document, const struct function *function)
{
        struct live *live = atomic_load_explicit(&function->live, memory_order_acquire);
        cJSON *instances = cJSON_AddObjectToObject(document, "instances");
        size_t idle = 0, frozen = 0, busy = 0, starting = 0;

        if (live) {
                pthread_mutex_lock(&live->lock);
                idle = live->pool.idle_count;
                frozen = live->pool.frozen_count;
                busy = live->pool.busy_count;
                starting = live->pool.booting_count;
                pthread_mutex_unlock(&live->lock);
        }
        (void)cJSON_AddNumberToObject(instances, "idle", (double)idle);
        (void)cJSON_AddNumberToObject(instances, "frozen", (double)frozen);
        (void)cJSON_AddNumberToObject(instances, "busy", (double)busy);
        (void)cJSON_AddNumberToObject(instances, "starting", (double)starting);
}

static void add_time(cJSON *document, const char *name, uint64_t unix_ms)
{
        char text[TIMESTAMP_SIZE];

        timestamp_format(unix_ms, text);
        (void)cJSON_AddStringToObject(document, name, text);
}

/* In milliseconds; what did not take place is left out. */
static void add_phases(cJSON *document, const uint32_t phase_us[COLD_START_PHASE_COUNT])
{
        cJSON *phases = cJSON_AddObjectToObject(document, "phases");

        for (int phase = 0; phase < COLD_START_PHASE_COUNT; phase++)
                if (phase_us[phase] > 0)
                        (void)cJSON_AddNumberToObject(
                                phases, cold_start_phase_name((enum cold_start_phase)phase),
                                phase_us[phase] / 1000.0);
}

static void add_last_cold_start(cJSON *document, const struct cold_start *last)
{
        cJSON *object = cJSON_AddObjectToObject(document, "last");

        add_time(object, "at", last->ready_unix_ms);
        (void)cJSON_AddStringToObject(object, "from", sandbox_origin_name(last->origin));
        add_phases(object, last->phase_us);
}

static void add_cold_starts(cJSON *document, const struct function *function)
{
        struct live *live = atomic_load_explicit(&function->live, memory_order_acquire);
        cJSON *object = cJSON_AddObjectToObject(document, "coldStarts"), *mean;
        struct cold_start_history history = {0};
        uint32_t mean_us[COLD_START_PHASE_COUNT];
        unsigned kept;

        if (live) {
                pthread_mutex_lock(&live->lock);
                history = live->cold_starts;
                pthread_mutex_unlock(&live->lock);
        }
        (void)cJSON_AddNumberToObject(object, "count", (double)history.count);
        if (history.count == 0)
                return;
        add_last_cold_start(object, cold_start_last(&history));
        kept = cold_start_mean(&history, mean_us);
        mean = cJSON_AddObjectToObject(object, "mean");
        (void)cJSON_AddNumberToObject(mean, "of", kept);
        add_phases(mean, mean_us);
}

static void add_image_facts(cJSON *document, const struct image *image)
{
        cJSON *words = cJSON_AddArrayToObject(document, "command");
        char user[32];

        for (size_t i = 0; i < image->word_count; i++)
                (void)cJSON_AddItemToArray(words, cJSON_CreateString(image->words[i]));
        (void)cJSON_AddStringToObject(document, "directory", image->directory);
        (void)snprintf(user, sizeof(user), "%u:%u", image->user, image->group);
        (void)cJSON_AddStringToObject(document, "user", user);
}

/* What only an image has is left out for the others. */
static void add_image(cJSON *document, const struct function *function)
{
        const struct image *image = function->image;

        if (function->runtime != RUNTIME_IMAGE) {
                (void)cJSON_AddNullToObject(document, "image");
                return;
        }
        (void)cJSON_AddStringToObject(document, "image", function->image_reference);
        (void)cJSON_AddStringToObject(document, "contract", contract_name(function->contract));
        (void)cJSON_AddNumberToObject(document, "port", function->port);
        if (image)
                add_image_facts(document, image);
}

static void add_reach_names(cJSON *document, const struct function *function)
{
        cJSON *names = cJSON_AddArrayToObject(document, "reach");
        struct slice rest = slice_of(function->reach), name;

        while (reach_next(&rest, &name)) {
                char text[REACH_NAME_MAX_LENGTH + 1];
                (void)snprintf(text, sizeof(text), "%.*s", (int)name.length, name.data);
                (void)cJSON_AddItemToArray(names, cJSON_CreateString(text));
        }
}

cJSON *function_document(const struct function *function)
{
        cJSON *document = cJSON_CreateObject();
        char text[2 * NAME_MAX_LENGTH + 8];

        (void)cJSON_AddStringToObject(document, "functionId", function->id);
        (void)cJSON_AddStringToObject(document, "name", function->name);
        (void)cJSON_AddStringToObject(document, "namespace", function->owner_name_space);
        (void)cJSON_AddStringToObject(document, "runtime", runtime_name(function->runtime));
        add_image(document, function);
        (void)cJSON_AddStringToObject(document, "network", network_name(function->network));
        add_reach_names(document, function);
        (void)cJSON_AddStringToObject(document, "handler", function->handler);
        size_format(function->memory_bytes, text);
        (void)cJSON_AddStringToObject(document, "memory", text);
        duration_format(function->timeout_ms, text);
        (void)cJSON_AddStringToObject(document, "timeout", text);
        keep_alive_format(function->keep_alive_ms, text);
        (void)cJSON_AddStringToObject(document, "keepAlive", text);
        (void)cJSON_AddStringToObject(document, "zygote", zygote_name(function->starts_plainly));
        (void)cJSON_AddNumberToObject(document, "concurrency", function->concurrency);
        (void)cJSON_AddNumberToObject(document, "min", function->min_instances);
        (void)cJSON_AddNumberToObject(document, "max", function->max_instances);
        add_layers(document, function);
        add_env(document, function);
        (void)cJSON_AddBoolToObject(document, "public", function->is_public);
        (void)cJSON_AddNumberToObject(document, "version", (double)function->version);
        (void)cJSON_AddStringToObject(document, "codeDigest", function->code_digest);
        (void)cJSON_AddNumberToObject(document, "codeBytes", (double)function->code_bytes);
        add_time(document, "createdAt", function->created_ms);
        add_time(document, "updatedAt", function->updated_ms);
        (void)snprintf(text, sizeof(text), "/f/%s/%s", function->owner_name_space, function->name);
        (void)cJSON_AddStringToObject(document, "url", text);
        add_instances(document, function);
        add_cold_starts(document, function);
        return document;
}
