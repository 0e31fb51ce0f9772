/* function.yaml, strictly; see manifest.h. */
#include "cli/manifest.h"

#include "base/auto.h"
#include "cli/files.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/registry/function.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

enum key_kind {
        KEY_NAME,
        KEY_RUNTIME,
        KEY_ZYGOTE,
        KEY_CONTRACT,
        KEY_NETWORK,
        KEY_PLAIN,
        KEY_SIZE,
        KEY_DURATION,
        KEY_KEEP_ALIVE,
        KEY_COUNT,
        KEY_BOOL,
        KEY_MAP,
        KEY_LIST
};

/* Every key: what it takes and where it goes; a number's place in struct function, whose rules say
 * what it may be. */
static const struct key {
        const char *name;
        enum key_kind kind;
        size_t offset;  /* in struct manifest */
        size_t bounded; /* in struct function */
} keys[] = {
        {"name", KEY_NAME, offsetof(struct manifest, name), 0},
        {"runtime", KEY_RUNTIME, offsetof(struct manifest, runtime), 0},
        {"handler", KEY_PLAIN, offsetof(struct manifest, handler), 0},
        {"memory", KEY_SIZE, offsetof(struct manifest, memory),
         offsetof(struct function, memory_bytes)},
        {"timeout", KEY_DURATION, offsetof(struct manifest, timeout),
         offsetof(struct function, timeout_ms)},
        {"keepAlive", KEY_KEEP_ALIVE, offsetof(struct manifest, keep_alive),
         offsetof(struct function, keep_alive_ms)},
        {"concurrency", KEY_COUNT, offsetof(struct manifest, concurrency),
         offsetof(struct function, concurrency)},
        {"min", KEY_COUNT, offsetof(struct manifest, min),
         offsetof(struct function, min_instances)},
        {"max", KEY_COUNT, offsetof(struct manifest, max),
         offsetof(struct function, max_instances)},
        {"public", KEY_BOOL, offsetof(struct manifest, is_public), 0},
        {"zygote", KEY_ZYGOTE, offsetof(struct manifest, zygote), 0},
        {"image", KEY_PLAIN, offsetof(struct manifest, image), 0},
        {"contract", KEY_CONTRACT, offsetof(struct manifest, contract), 0},
        {"port", KEY_COUNT, offsetof(struct manifest, port), offsetof(struct function, port)},
        {"network", KEY_NETWORK, offsetof(struct manifest, network), 0},
        {"build", KEY_PLAIN, offsetof(struct manifest, build), 0},
        {"env", KEY_MAP, 0, 0},
        {"layers", KEY_LIST, 0, 0},
        {"reach", KEY_LIST, 0, 0},
};

#define KEY_COUNT_ALL (sizeof(keys) / sizeof(keys[0]))

void manifest_init(struct manifest *manifest)
{
        *manifest = (struct manifest){
                .concurrency = -1, .min = -1, .max = -1, .port = -1, .is_public = -1};
}

void manifest_deinit(struct manifest *manifest)
{
        free(manifest->name);
        free(manifest->runtime);
        free(manifest->handler);
        free(manifest->memory);
        free(manifest->timeout);
        free(manifest->keep_alive);
        free(manifest->zygote);
        free(manifest->image);
        free(manifest->contract);
        free(manifest->network);
        free(manifest->build);
        text_list_deinit(&manifest->env);
        text_list_deinit(&manifest->layers);
        text_list_deinit(&manifest->reach);
        manifest_init(manifest);
}

static void function_release(struct function **function)
{
        function_unref(*function);
}

static const struct key *key_find(const char *name)
{
        for (size_t i = 0; i < KEY_COUNT_ALL; i++)
                if (strcmp(keys[i].name, name) == 0)
                        return &keys[i];
        return NULL;
}

static int key_unknown(const char *name, struct err *err)
{
        const char *names[KEY_COUNT_ALL + 1] = {0};
        const char *nearest;

        for (size_t i = 0; i < KEY_COUNT_ALL; i++)
                names[i] = keys[i].name;
        nearest = text_nearest(name, names);
        if (nearest)
                return err_set(err, -EINVAL, "there is no key '%s'; did you mean '%s'?", name,
                               nearest);
        return err_set(err, -EINVAL,
                       "there is no key '%s'; there are name, runtime, handler, memory, timeout, "
                       "env, concurrency, min, max, keepAlive, public, zygote, image, contract, "
                       "port, network, layers, reach and build",
                       name);
}

/* Is the number within the bounds that functions have? Which of two numbers is wrong, min or max,
 * is seen when both are known. */
static int key_check_bounds(const struct key *key, uint64_t amount, struct err *err)
{
        AUTO(function_release) struct function *probe = function_new();
        uint32_t count = amount < UINT32_MAX ? (uint32_t)amount : UINT32_MAX;

        if (!probe)
                return err_set(err, -ENOMEM, "out of memory");
        probe->name[0] = 'x';
        probe->max_instances = INSTANCES_MAX;
        probe->runtime = RUNTIME_IMAGE; /* may have every setting */
        if (key->kind == KEY_SIZE)
                memcpy((char *)probe + key->bounded, &amount, sizeof(amount));
        else
                memcpy((char *)probe + key->bounded, &count, sizeof(count));
        return function_validate(probe, err);
}

/* Is the value what the key takes? */
static int key_check_plainly(const struct key *key, const char *value, struct err *err)
{
        enum runtime runtime;
        enum contract contract;
        enum network network;
        bool starts_plainly;

        switch (key->kind) {
        case KEY_NAME:
                return function_name_validate(slice_of(value), err);
        case KEY_RUNTIME:
                if (runtime_parse(slice_of(value), &runtime))
                        return 0;
                return err_set(err, -EINVAL, "runtime is python3, node, native or exec, not '%s'",
                               value);
        case KEY_ZYGOTE:
                if (zygote_parse(slice_of(value), &starts_plainly))
                        return 0;
                return err_set(err, -EINVAL, "zygote is auto or off, not '%s'", value);
        case KEY_CONTRACT:
                if (*value && contract_parse(slice_of(value), &contract))
                        return 0;
                return err_set(err, -EINVAL, "contract is exec, http or lambda, not '%s'", value);
        case KEY_NETWORK:
                if (network_parse(slice_of(value), &network))
                        return 0;
                return err_set(err, -EINVAL, "network is none or egress, not '%s'", value);
        case KEY_PLAIN:
                if (*value)
                        return 0;
                return err_set(err, -EINVAL, "%s is empty", key->name);
        case KEY_SIZE:
        case KEY_DURATION:
        case KEY_KEEP_ALIVE:
        case KEY_COUNT:
        case KEY_BOOL:
        case KEY_MAP:
        case KEY_LIST:
                return 0;
        }
        return 0;
}

static int key_check_amount(const struct key *key, const char *value, struct err *err)
{
        uint64_t amount;
        uint32_t keep_alive_ms = 0;
        int r;

        if (key->kind == KEY_SIZE) {
                r = size_parse(slice_of(value), &amount, err);
        } else if (key->kind == KEY_DURATION) {
                r = duration_parse(slice_of(value), &amount, err);
        } else {
                r = keep_alive_parse(slice_of(value), &keep_alive_ms, err);
                amount = keep_alive_ms;
        }
        if (r == 0)
                return key_check_bounds(key, amount, err);
        (void)err_prefix(err, "%s", key->name);
        return r;
}

static int key_check(const struct key *key, const char *value, struct err *err)
{
        if (key->kind == KEY_SIZE || key->kind == KEY_DURATION || key->kind == KEY_KEEP_ALIVE)
                return key_check_amount(key, value, err);
        return key_check_plainly(key, value, err);
}

static int key_store_count(const struct key *key, const char *value, long *ret_count,
                           struct err *err)
{
        long count;
        int r;

        if (!number_parse(value, INT_MAX, &count))
                return err_set(err, -EINVAL, "%s is a whole number, not '%s'", key->name, value);
        r = key_check_bounds(key, (uint64_t)count, err);
        if (r == 0)
                *ret_count = count;
        return r;
}

static int key_store_bool(const struct key *key, const char *value, int *ret_flag, struct err *err)
{
        if (strcmp(value, "true") == 0)
                *ret_flag = 1;
        else if (strcmp(value, "false") == 0)
                *ret_flag = 0;
        else
                return err_set(err, -EINVAL, "%s is true or false, not '%s'", key->name, value);
        return 0;
}

int manifest_set(struct manifest *manifest, const char *name, const char *value, struct err *err)
{
        const struct key *key = key_find(name);
        void *target;
        int r;

        if (!key)
                return key_unknown(name, err);
        r = key_check(key, value, err);
        if (r < 0)
                return r;
        target = (char *)manifest + key->offset;
        switch (key->kind) {
        case KEY_NAME:
        case KEY_RUNTIME:
        case KEY_ZYGOTE:
        case KEY_CONTRACT:
        case KEY_NETWORK:
        case KEY_PLAIN:
        case KEY_SIZE:
        case KEY_DURATION:
        case KEY_KEEP_ALIVE:
                free(*(char **)target);
                *(char **)target = text_copy(value);
                return 0;
        case KEY_COUNT:
                return key_store_count(key, value, target, err);
        case KEY_BOOL:
                return key_store_bool(key, value, target, err);
        case KEY_MAP:
                return err_set(err, -EINVAL, "%s is a mapping: NAME: value lines", name);
        case KEY_LIST:
                return err_set(err, -EINVAL, "%s is a list: lines of - NAME", name);
        }
        return 0;
}

int manifest_set_env(struct manifest *manifest, const char *assignment, struct err *err)
{
        struct text_list *env = &manifest->env;
        const char *equals = strchr(assignment, '=');
        int r = env_validate(slice_of(assignment), err);

        if (r < 0)
                return r;
        if (!equals)
                return err_set(err, -EINVAL, "'%s' is not NAME=value", assignment);
        manifest->has_env = true;
        for (size_t i = 0; i < env->count; i++) {
                if (strncmp(env->items[i], assignment, (size_t)(equals - assignment) + 1) != 0)
                        continue;
                free(env->items[i]);
                env->items[i] = text_copy(assignment);
                return 0;
        }
        if (env->count >= ENV_MAX_COUNT)
                return err_set(err, -EINVAL, "more than %d environment variables", ENV_MAX_COUNT);
        text_list_add(env, text_copy(assignment));
        return 0;
}

int manifest_add_layer(struct manifest *manifest, const char *layer, struct err *err)
{
        AUTO(function_release) struct function *probe = function_new();
        struct layer_reference reference;
        int r = probe ? 0 : err_set(err, -ENOMEM, "out of memory");

        /* The rules are the functions'. */
        for (size_t i = 0; i < manifest->layers.count && r == 0; i++)
                if ((r = layer_reference_parse(slice_of(manifest->layers.items[i]), &reference,
                                               err)) == 0)
                        r = function_add_layer(probe, &reference, err);
        if (r == 0)
                r = layer_reference_parse(slice_of(layer), &reference, err);
        if (r == 0)
                r = function_add_layer(probe, &reference, err);
        if (r < 0)
                return r;
        manifest->has_layers = true;
        text_list_add(&manifest->layers, text_copy(layer));
        return 0;
}

void manifest_clear_reach(struct manifest *manifest)
{
        text_list_deinit(&manifest->reach);
        manifest->has_reach = true;
}

int manifest_add_reach(struct manifest *manifest, const char *name, struct err *err)
{
        struct text_list *reach = &manifest->reach;

        if (strchr(name, ',') || !*name)
                return err_set(err, -EINVAL, "reach '%s' is not one name", name);
        for (size_t i = 0; i < reach->count; i++)
                if (strcmp(reach->items[i], name) == 0)
                        return err_set(err, -EINVAL, "reach '%s' is given twice", name);
        if (reach->count >= REACH_NAMES_MAX)
                return err_set(err, -EINVAL, "reach has more than %d names", REACH_NAMES_MAX);
        if (reach_validate(slice_of(name), err) < 0)
                return -EINVAL;
        text_list_add(reach, text_copy(name));
        return 0;
}

int manifest_read(struct manifest *manifest, const char *path, struct err *err)
{
        AUTO(buffer_deinit) struct buffer text;
        int r;

        buffer_init(&text, MANIFEST_MAX);
        r = file_read(path, &text, err);
        if (r < 0)
                return r;
        r = manifest_parse(manifest, buffer_slice(&text), err);
        if (r < 0)
                (void)err_prefix(err, "%s", path);
        return r;
}

static void add_text(cJSON *object, const char *key, const char *value)
{
        if (value)
                (void)cJSON_AddStringToObject(object, key, value);
}

static void add_count(cJSON *object, const char *key, long value)
{
        if (value >= 0)
                (void)cJSON_AddNumberToObject(object, key, (double)value);
}

static void add_env(cJSON *object, const struct text_list *env)
{
        cJSON *map = cJSON_AddObjectToObject(object, "env");

        for (size_t i = 0; i < env->count; i++) {
                const char *equals = strchr(env->items[i], '=');
                AUTO(memory_free)
                char *name = text_copy_span(env->items[i], (size_t)(equals - env->items[i]));
                (void)cJSON_AddStringToObject(map, name, equals + 1);
        }
}

static void add_list(cJSON *object, const char *key, const struct text_list *list)
{
        cJSON *items = cJSON_AddArrayToObject(object, key);

        for (size_t i = 0; i < list->count; i++)
                (void)cJSON_AddItemToArray(items, cJSON_CreateString(list->items[i]));
}

cJSON *manifest_to_json(const struct manifest *manifest)
{
        cJSON *object = cJSON_CreateObject();

        add_text(object, "name", manifest->name);
        add_text(object, "runtime", manifest->runtime);
        add_text(object, "handler", manifest->handler);
        add_text(object, "memory", manifest->memory);
        add_text(object, "timeout", manifest->timeout);
        add_text(object, "keepAlive", manifest->keep_alive);
        add_text(object, "zygote", manifest->zygote);
        add_text(object, "image", manifest->image);
        add_text(object, "contract", manifest->contract);
        add_text(object, "network", manifest->network);
        add_count(object, "port", manifest->port);
        add_count(object, "concurrency", manifest->concurrency);
        add_count(object, "min", manifest->min);
        add_count(object, "max", manifest->max);
        if (manifest->is_public >= 0)
                (void)cJSON_AddBoolToObject(object, "public", manifest->is_public);
        if (manifest->has_env)
                add_env(object, &manifest->env);
        if (manifest->has_layers)
                add_list(object, "layers", &manifest->layers);
        if (manifest->has_reach)
                add_list(object, "reach", &manifest->reach);
        return object;
}
