/* Node's part in a birth: an addon that turns the process that loads it into a nursery. Its children return
 * from the call, each in a sandbox of its own, with V8's threads where they were. runtimes/node/nursery.js
 * calls it. And for every interpreter, a way out (runtimes/node/worker.js).
 *
 * Node's stable interface for addons is declared here as far as it is used: not every distribution has its
 * headers beside the program. */
#include "descriptors.h"
#include "nursery.h"
#include "text.h"
#include "threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* A thread may have been stopped while it held a lock of the C library's: then this ends the nursery, and
 * the next one will be luckier. */
#define PATIENCE_S 20

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

int napi_create_function(napi_env env, const char *name, size_t length, napi_callback callback,
                         void *data, napi_value *result);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
int napi_create_int32(napi_env env, int32_t value, napi_value *result);
int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv,
                     napi_value *this_argument, void **data);
int napi_get_buffer_info(napi_env env, napi_value value, void **data, size_t *length);
int napi_get_value_int32(napi_env env, napi_value value, int32_t *result);
int napi_get_value_int64(napi_env env, napi_value value, int64_t *result);

#pragma GCC visibility push(default)
napi_value napi_register_module_v1(napi_env env, napi_value exports);
#pragma GCC visibility pop

typedef size_t (*heap_callback)(void *data, size_t limit, size_t first_limit);

/* What only V8 and OpenSSL themselves can change. Node exports both. */
static struct engine {
        void *(*current_isolate)(void);
        void *(*generator)(void *isolate);
        void (*seed)(void *generator, int64_t seed);
        void (*openssl_seed)(const void *bytes, int count);
        void (*add_heap_callback)(void *isolate, heap_callback callback, void *data);
        void (*remove_heap_callback)(void *isolate, heap_callback callback, size_t limit);
} engine;

static bool find(const char *name, void *ret_function)
{
        void *function = dlsym(RTLD_DEFAULT, name);

        memcpy(ret_function, &function, sizeof(function));
        return function;
}

static int find_engine(void)
{
        const struct {
                const char *name;
                void *function;
        } names[] = {
                {"_ZN2v87Isolate10GetCurrentEv", &engine.current_isolate},
                {"_ZN2v88internal7Isolate23random_number_generatorEv", &engine.generator},
                {"_ZN2v84base21RandomNumberGenerator7SetSeedEl", &engine.seed},
                {"RAND_seed", &engine.openssl_seed},
                {"_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_", &engine.add_heap_callback},
                {"_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm",
                 &engine.remove_heap_callback},
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (!find(names[i].name, names[i].function))
                        return -ENOTSUP;
        return 0;
}

/* Siblings share no random number. */
static int make_chance_anew(void)
{
        struct {
                int64_t v8;
                unsigned char openssl[32];
        } seed;

        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
                return -errno;
        engine.seed(engine.generator(engine.current_isolate()), seed.v8);
        engine.openssl_seed(seed.openssl, sizeof(seed.openssl));
        explicit_bzero(&seed, sizeof(seed));
        return 0;
}

/* V8 asks that some of its memory be left out of copies. A line of /proc/self/smaps that names a mapping
 * comes before the one with its flags. */
static int let_memory_be_copied(void)
{
        FILE *file = fopen("/proc/self/smaps", "re");
        unsigned long start = 0, end = 0, from, to;
        char line[512];
        int r = 0;

        if (!file)
                return -errno;
        while (r == 0 && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
                        start = from;
                        end = to;
                } else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " sh")) {
                        r = -ENOTSUP; /* copies would have it in common */
                } else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dc") &&
                           madvise((void *)start, end - start, MADV_DOFORK) < 0) {
                        r = -errno;
                }
        }
        (void)fclose(file);
        return r;
}

static int record_descriptors(void)
{
        return descriptors_record(NURSERY_FD + 1);
}

/* As Node does when it starts. */
static int take_all_descriptors(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return -errno;
        files.rlim_cur = files.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

static int settle(void)
{
        int r = descriptors_remake(NURSERY_FD + 1);

        if (r == 0)
                r = take_all_descriptors();
        if (r == 0)
                r = threads_revive();
        return r < 0 ? r : make_chance_anew();
}

/* The buffers are serve()'s arguments, and live as long as it has not returned. */
static int take_errand(napi_env env, napi_callback_info info, struct scout_errand *ret_errand)
{
        size_t count = 2;
        napi_value frames[2];
        void *boot, *call;

        if (napi_get_cb_info(env, info, &count, frames, NULL, NULL) != 0 || count != 2 ||
            napi_get_buffer_info(env, frames[0], &boot, &ret_errand->boot_size) != 0 ||
            napi_get_buffer_info(env, frames[1], &call, &ret_errand->call_size) != 0)
                return -EINVAL;
        ret_errand->boot = boot;
        ret_errand->call = call;
        return 0;
}

/* serve(BOOT, INVOKE), frames for the scout: returns in the copies alone, their number in their sandbox. */
static napi_value serve(napi_env env, napi_callback_info info)
{
        static const struct {
                int (*run)(void);
                const char *name;
        } steps[] = {
                {find_engine, "finding what it must change of Node"},
                {threads_freeze, "stopping its threads"},
                {let_memory_be_copied, "letting its memory be copied"},
                {record_descriptors, "looking at its descriptors"},
                {text_move, "moving its code to huge pages"},
        };
        const struct nursery_hooks none = {0};
        const struct birth_ways ways = {.copy = threads_copy, .settle = settle};
        struct scout_errand errand = {0};
        const char *step = "";
        napi_value number;
        int r = nursery_begin(&step);

        if (r == 0) {
                step = "hearing of the scout's errand";
                r = take_errand(env, info, &errand);
        }
        (void)alarm(PATIENCE_S);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++) {
                step = steps[i].name;
                r = steps[i].run();
        }
        if (r < 0) {
                (void)fprintf(stderr, "%s: %s\n", step, strerror(-r));
                _exit(1); /* not by Node, whose threads may have stopped */
        }
        (void)alarm(0);
        nursery_serve(&none, &ways, &errand);
        return napi_create_int32(env, getpid(), &number) == 0 ? number : NULL;
}

static size_t keep_limit(void *data, size_t limit, size_t first_limit)
{
        (void)data;
        (void)first_limit;
        return limit;
}

/* limitHeap(bytes): lowers what the heap may grow to. V8 does that for who takes back a callback. */
static napi_value limit_heap(napi_env env, napi_callback_info info)
{
        size_t count = 1;
        napi_value argument;
        int64_t bytes;

        if (find_engine() < 0 || napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != 0 ||
            napi_get_value_int64(env, argument, &bytes) != 0 || bytes <= 0)
                return NULL;
        engine.add_heap_callback(engine.current_isolate(), keep_limit, NULL);
        engine.remove_heap_callback(engine.current_isolate(), keep_limit, (size_t)bytes);
        return NULL;
}

/* leave(code): Node's own way out waits for the threads of libuv's pool. */
static napi_value leave(napi_env env, napi_callback_info info)
{
        size_t count = 1;
        napi_value argument;
        int32_t code;

        if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != 0 ||
            napi_get_value_int32(env, argument, &code) != 0)
                return NULL;
        _exit(code);
}

static void export(napi_env env, napi_value exports, const char *name, napi_callback callback)
{
        napi_value function;

        if (napi_create_function(env, name, strlen(name), callback, NULL, &function) == 0)
                (void)napi_set_named_property(env, exports, name, function);
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
        export(env, exports, "serve", serve);
        export(env, exports, "limitHeap", limit_heap);
        export(env, exports, "leave", leave);
        return exports;
}
