/* What is known of a user and of one version of a function: immutable values, shared by reference.
 *
 * Every change makes a new struct function with a higher version; whoever still runs the old one
 * keeps its reference. Units are in the names.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "core/registry/image.h"
#include "core/registry/reach.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_LENGTH 26 /* a ULID: 48 bits of time, 80 of chance, in Crockford's base 32 */
#define NAME_MAX_LENGTH 63
#define EMAIL_MAX_LENGTH 254
#define HANDLER_MAX_LENGTH 255
#define DIGEST_LENGTH 64 /* SHA-256 in lower-case hexadecimal */
#define ENV_MAX_COUNT 100
#define ENV_MAX_BYTES 32768 /* names, values, '=' and a NUL each */
#define LAYERS_MAX 5        /* of one function */
#define LAYER_TEXT_SIZE (NAME_MAX_LENGTH + sizeof(":4294967295"))

/* What a function may ask for. */
#define MEMORY_MIN_BYTES (8ull << 20)
#define MEMORY_MAX_BYTES (64ull << 30)
#define TMP_MIN_BYTES (1ull << 20)
#define TMP_MAX_BYTES (16ull << 30)
#define TIMEOUT_MAX_MS (60u * 60 * 1000)
#define KEEP_ALIVE_MAX_MS (24u * 60 * 60 * 1000)
#define KEEP_ALIVE_AUTO UINT32_MAX /* instead of milliseconds: learned from the calls */
#define CONCURRENCY_MAX 1000u
#define INSTANCES_MAX 10000u
#define CPU_MAX_MILLIS 1024000u

enum runtime {
        RUNTIME_PYTHON3,
        RUNTIME_NODE,
        RUNTIME_NATIVE,
        RUNTIME_EXEC,
        RUNTIME_PROVIDED, /* a bundle whose program "bootstrap" is a client of Lambda's Runtime API */
        RUNTIME_IMAGE,
};

/* "python3", "node", "native", "exec", "provided", "image". */
const char *runtime_name(enum runtime runtime);
bool runtime_parse(struct slice name, enum runtime *ret_runtime);

/* How an image's program is asked. The other runtimes have none to choose. */
enum contract {
        CONTRACT_NONE,   /* of an image: as its configuration makes plain */
        CONTRACT_EXEC,   /* one process an invocation */
        CONTRACT_HTTP,   /* a server on $PORT */
        CONTRACT_LAMBDA, /* a client of Lambda's Runtime API */
};

/* "", "exec", "http", "lambda". */
const char *contract_name(enum contract contract);
bool contract_parse(struct slice name, enum contract *ret_contract);

/* What a function can reach beyond its sandbox. */
enum network {
        NETWORK_NONE,
        NETWORK_EGRESS, /* the outside, from behind the host's address */
};

/* "none", "egress". */
const char *network_name(enum network network);
bool network_parse(struct slice name, enum network *ret_network);

/* "auto", or "off": the interpreter is started plainly. */
const char *zygote_name(bool starts_plainly);
bool zygote_parse(struct slice name, bool *ret_starts_plainly);

/* One of a function's layers (layer.h). Named by a user it has neither id nor, where the newest is
 * meant, a version (0); layers_resolve() finds both. */
struct layer_reference {
        char id[ID_LENGTH + 1];
        char name[NAME_MAX_LENGTH + 1];
        uint32_t version;
};

struct user {
        atomic_uint references;
        char id[ID_LENGTH + 1];
        char email[EMAIL_MAX_LENGTH + 1];     /* lower case */
        char name_space[NAME_MAX_LENGTH + 1]; /* first part of /f/{namespace}/{name} */
        char password_hash[128];              /* crypto_pwhash_str form; "" for no password */
        uint64_t created_ms;                  /* Unix time */
        uint64_t token_epoch;                 /* tokens issued for another epoch are dead */
        bool is_admin;
};

struct function {
        atomic_uint references;
        char id[ID_LENGTH + 1];
        char owner_id[ID_LENGTH + 1];
        char owner_name_space[NAME_MAX_LENGTH + 1];
        char name[NAME_MAX_LENGTH + 1];
        enum runtime runtime;
        char handler[HANDLER_MAX_LENGTH + 1]; /* file.function, or a program's path in the bundle */
        char image_reference[IMAGE_REFERENCE_MAX + 1]; /* as it was asked for; "": not an image's */
        char code_digest[DIGEST_LENGTH + 1]; /* of the bundle, or of the image's manifest */
        uint64_t code_bytes;                 /* unpacked size */
        uint64_t version;                    /* from 1, up by one a change */
        uint64_t created_ms, updated_ms;     /* Unix time */
        uint64_t memory_bytes;
        uint64_t tmp_bytes;
        uint32_t timeout_ms;
        uint32_t keep_alive_ms; /* 0: an instance serves one request; or KEEP_ALIVE_AUTO */
        uint32_t concurrency;   /* requests one instance may hold at once */
        uint32_t min_instances, max_instances;
        uint32_t cpu_millis; /* 0: no limit */
        enum contract contract;
        enum network network;
        char reach[REACH_MAX_LENGTH + 1]; /* with egress: names of private ranges, "a,b" */
        uint32_t port; /* contract http: where its program listens; 0: nobody has said */
        bool is_public;
        bool starts_plainly; /* its interpreter is neither forked nor started ahead of need */
        size_t layer_count;
        struct layer_reference layers[LAYERS_MAX]; /* later ones win over earlier ones */
        char layers_digest[DIGEST_LENGTH + 1]; /* of the tree made of them; "": none, or not yet */
        size_t env_count;
        char **env; /* "NAME=value" */

        struct image *image; /* a reference; NULL: not an image's, or not pulled yet */

        /* Whoever runs this version hangs its state here (the gateway's pool of instances). */
        _Atomic(void *) live;
};

/* A zeroed value with one reference, NULL without memory. */
struct user *user_new(void);
struct user *user_ref(struct user *user);
void user_unref(struct user *user); /* NULL is fine */

/* Defaults: 128 MiB, /tmp 64 MiB, 30 s, keep-alive 10 min, concurrency 1, min 0, max 1000,
 * private. */
struct function *function_new(void);
/* A deep copy with one reference and no `live`. */
struct function *function_copy(const struct function *function);
struct function *function_ref(struct function *function);
void function_unref(struct function *function); /* NULL is fine */
/* May one instance of it hold more than one request at once? */
bool function_can_share(const struct function *function);
/* How many requests one instance runs at once: `concurrency` where it can be, else 1. One that serves
 * a single request (keep-alive 0) never runs two. */
unsigned function_capacity(const struct function *function);
/* Replaces the environment by a deep copy. 0 or -ENOMEM. */
int function_set_env(struct function *function, size_t count, const char *const *env);

/* Is everything within its bounds? 0, or -EINVAL and a sentence that names the field, what is
 * allowed and what was given. Handler and digest may still be empty: they are chosen later. */
int function_validate(const struct function *function, struct err *err);
/* May its instances hold as many requests as it asks for? 0, or -EINVAL and a sentence. Asked of who
 * sets it, and no part of function_validate(): a version that was registered before this was asked is
 * valid, and runs with function_capacity(). */
int function_validate_sharing(const struct function *function, struct err *err);
int name_validate(struct slice name, struct err *err); /* [a-z0-9]([a-z0-9-]*[a-z0-9])?, <= 63 */
/* Some names are the API's own, as in /api/v1/functions/me: no function may have one. */
bool function_name_is_reserved(struct slice name);
int function_name_validate(struct slice name, struct err *err); /* a name, and not reserved */
int email_validate(struct slice email, struct err *err);
int env_name_validate(struct slice name, struct err *err);  /* MAGPIE_ is reserved */
int env_validate(struct slice assignment, struct err *err); /* NAME=value */

/* "name", the newest version; or "name:version". 0, or -EINVAL and a sentence. */
int layer_reference_parse(struct slice text, struct layer_reference *ret_layer, struct err *err);
/* The same text again; `ret_text` holds LAYER_TEXT_SIZE bytes. */
void layer_reference_format(const struct layer_reference *layer, char *ret_text);
/* Adds one behind the others. 0; -EINVAL and a sentence where there is no room, or the name is there
 * already. */
int function_add_layer(struct function *function, const struct layer_reference *layer,
                       struct err *err);

/* The one spelling of a valid address that is stored and looked up: lower case. `ret_email` holds
 * EMAIL_MAX_LENGTH + 1 bytes. */
void email_fold(struct slice email, char *ret_email);
/* A namespace to try for a new user: "jo.doe@example.org" gives "jo-doe", then, as `attempt` goes
 * up from 0, "jo-doe-2", "jo-doe-3". `ret_name_space` holds NAME_MAX_LENGTH + 1 bytes. */
void name_space_from_email(struct slice email, uint32_t attempt, char *ret_name_space);

/* "128MiB", "1GiB", "512k" or plain bytes, units in powers of 1024; "30s", "1500ms", "10m", "1h",
 * "0". 0 or -EINVAL. */
int size_parse(struct slice text, uint64_t *ret_bytes, struct err *err);
int duration_parse(struct slice text, uint64_t *ret_ms, struct err *err);
/* A duration, or "auto". */
int keep_alive_parse(struct slice text, uint32_t *ret_ms, struct err *err);
/* The shortest exact spelling: "128MiB", "30s". `ret_text` holds 24 bytes. */
void size_format(uint64_t bytes, char *ret_text);
void duration_format(uint64_t ms, char *ret_text);
void keep_alive_format(uint32_t ms, char *ret_text);

/* Writes ID_LENGTH characters and a NUL. Unique as far as 80 random bits go; sorts by time. */
void id_make(uint64_t unix_ms, const uint8_t chance[10], char *ret_id);
bool id_is_valid(struct slice id);
