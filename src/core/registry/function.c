/* Users and functions as shared, immutable values; see function.h. */
#include "core/registry/function.h"

#include <errno.h>
#include <stdlib.h>

/* function_copy() relies on this: the counter is first, what must not be copied is last. */
_Static_assert(offsetof(struct function, references) == 0, "the counter comes first");
_Static_assert(offsetof(struct function, live) > offsetof(struct function, env),
               "what belongs to one value alone comes last");

static const char *const runtime_names[] = {
        [RUNTIME_PYTHON3] = "python3", [RUNTIME_NODE] = "node",         [RUNTIME_NATIVE] = "native",
        [RUNTIME_EXEC] = "exec",       [RUNTIME_PROVIDED] = "provided", [RUNTIME_IMAGE] = "image",
};

const char *runtime_name(enum runtime runtime)
{
        return runtime_names[runtime];
}

bool runtime_parse(struct slice name, enum runtime *ret_runtime)
{
        for (size_t i = 0; i < sizeof(runtime_names) / sizeof(runtime_names[0]); i++) {
                if (slice_equal(name, slice_of(runtime_names[i]))) {
                        *ret_runtime = (enum runtime)i;
                        return true;
                }
        }
        return false;
}

const char *contract_name(enum contract contract)
{
        static const char *const names[] = {"", "exec", "http", "lambda"};

        return names[contract];
}

bool contract_parse(struct slice name, enum contract *ret_contract)
{
        for (enum contract contract = CONTRACT_NONE; contract <= CONTRACT_LAMBDA; contract++) {
                if (slice_equal(name, slice_of(contract_name(contract)))) {
                        *ret_contract = contract;
                        return true;
                }
        }
        return false;
}

const char *network_name(enum network network)
{
        return network == NETWORK_EGRESS ? "egress" : "none";
}

bool network_parse(struct slice name, enum network *ret_network)
{
        for (enum network network = NETWORK_NONE; network <= NETWORK_EGRESS; network++) {
                if (slice_equal(name, slice_of(network_name(network)))) {
                        *ret_network = network;
                        return true;
                }
        }
        return false;
}

const char *zygote_name(bool starts_plainly)
{
        return starts_plainly ? "off" : "auto";
}

bool zygote_parse(struct slice name, bool *ret_starts_plainly)
{
        for (int plainly = 0; plainly <= 1; plainly++) {
                if (slice_equal(name, slice_of(zygote_name(plainly)))) {
                        *ret_starts_plainly = plainly;
                        return true;
                }
        }
        return false;
}

struct user *user_new(void)
{
        struct user *user = calloc(1, sizeof(*user));

        if (user)
                atomic_init(&user->references, 1);
        return user;
}

struct user *user_ref(struct user *user)
{
        atomic_fetch_add_explicit(&user->references, 1, memory_order_relaxed);
        return user;
}

void user_unref(struct user *user)
{
        /* Release what was written through this reference, acquire what came through the others. */
        if (user && atomic_fetch_sub_explicit(&user->references, 1, memory_order_acq_rel) == 1)
                free(user);
}

struct function *function_new(void)
{
        struct function *function = calloc(1, sizeof(*function));

        if (!function)
                return NULL;
        atomic_init(&function->references, 1);
        atomic_init(&function->live, NULL);
        function->version = 1;
        function->memory_bytes = 128ull << 20;
        function->tmp_bytes = 64ull << 20;
        function->timeout_ms = 30 * 1000;
        function->keep_alive_ms = 10 * 60 * 1000;
        function->concurrency = 1;
        function->max_instances = 1000;
        return function;
}

struct function *function_copy(const struct function *function)
{
        const size_t from = offsetof(struct function, id);
        const size_t to = offsetof(struct function, env_count);
        struct function *copy = function_new();

        if (!copy)
                return NULL;
        memcpy((char *)copy + from, (const char *)function + from, to - from);
        if (function_set_env(copy, function->env_count, (const char *const *)function->env) < 0) {
                function_unref(copy);
                return NULL;
        }
        copy->image = image_ref(function->image);
        return copy;
}

struct function *function_ref(struct function *function)
{
        atomic_fetch_add_explicit(&function->references, 1, memory_order_relaxed);
        return function;
}

void function_unref(struct function *function)
{
        if (!function ||
            atomic_fetch_sub_explicit(&function->references, 1, memory_order_acq_rel) != 1)
                return;
        free(function->env);
        image_unref(function->image);
        free(function);
}

/* Where magpie-init speaks for the program, it can do so for several requests. A native program may
 * speak the worker protocol itself, with its lanes. */
bool function_can_share(const struct function *function)
{
        return function->runtime == RUNTIME_PROVIDED || function->runtime == RUNTIME_NATIVE ||
               (function->runtime == RUNTIME_IMAGE && function->contract != CONTRACT_EXEC);
}

unsigned function_capacity(const struct function *function)
{
        return function_can_share(function) && function->keep_alive_ms > 0 ? function->concurrency
                                                                           : 1;
}

/* Pointers and text lie in one allocation. */
int function_set_env(struct function *function, size_t count, const char *const *env)
{
        size_t size = count * sizeof(char *);
        char **copy = NULL;
        char *text;

        for (size_t i = 0; i < count; i++)
                size += strlen(env[i]) + 1;
        if (count > 0) {
                copy = malloc(size);
                if (!copy)
                        return -ENOMEM;
                text = (char *)(copy + count);
                for (size_t i = 0; i < count; i++) {
                        copy[i] = text;
                        text = stpcpy(text, env[i]) + 1;
                }
        }
        free(function->env);
        function->env = copy;
        function->env_count = count;
        return 0;
}
