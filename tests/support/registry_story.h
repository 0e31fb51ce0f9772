/* A registry under test: its loop, the catalog it published last, and calls that wait for the
 * answer. For the contract suite and for tests of one adapter. */
#pragma once

#include "ports/registry_store.h"
#include "testing.h"

#include <pthread.h>
#include <stdio.h>

struct registry_story {
        struct loop loop;
        struct mailbox mailbox;
        struct catalog_listener listener;
        pthread_mutex_t lock;
        struct catalog *catalog;
        unsigned published;
        struct registry_store *store;
};

static inline void story_publish(struct catalog_listener *listener, struct catalog *catalog)
{
        struct registry_story *story = CONTAINER_OF(listener, struct registry_story, listener);

        pthread_mutex_lock(&story->lock);
        catalog_free(story->catalog);
        story->catalog = catalog;
        story->published++;
        pthread_mutex_unlock(&story->lock);
}

/* Everything but the store, which the caller opens with &story->listener. */
static inline void story_init(struct registry_story *story)
{
        *story = (struct registry_story){.listener.publish = story_publish};
        pthread_mutex_init(&story->lock, NULL);
        ck_assert_int_eq(loop_init(&story->loop), 0);
        ck_assert_int_eq(mailbox_init(&story->mailbox, &story->loop), 0);
}

static inline void story_close_store(struct registry_story *story)
{
        registry_store_close(story->store);
        story->store = NULL;
        catalog_free(story->catalog);
        story->catalog = NULL;
}

static inline void story_deinit(struct registry_story *story)
{
        story_close_store(story);
        mailbox_deinit(&story->mailbox);
        loop_deinit(&story->loop);
        pthread_mutex_destroy(&story->lock);
}

struct story_call {
        struct store_request request;
        bool done;
};

static inline void story_done(struct store_request *request)
{
        CONTAINER_OF(request, struct story_call, request)->done = true;
}

static inline void story_submit(struct registry_story *story, struct story_call *call)
{
        call->request.home = &story->mailbox;
        call->request.done = story_done;
        call->done = false;
        registry_store_submit(story->store, &call->request);
}

static inline enum store_result story_wait(struct registry_story *story, struct story_call *call)
{
        while (!call->done)
                ck_assert_int_eq(loop_turn(&story->loop, 60000), 0);
        return call->request.result;
}

static inline enum store_result story_call(struct registry_story *story, struct story_call *call)
{
        story_submit(story, call);
        return story_wait(story, call);
}

/* A user, a function or a layer that can be told by a number. */
static inline struct user *story_user(unsigned number)
{
        struct user *user = user_new();

        ck_assert_ptr_nonnull(user);
        (void)snprintf(user->id, sizeof(user->id), "01SER%021u", number);
        (void)snprintf(user->email, sizeof(user->email), "user-%u@example.org", number);
        (void)snprintf(user->name_space, sizeof(user->name_space), "user-%u", number);
        strcpy(user->password_hash, "$argon2id$");
        user->created_ms = 1700000000000 + number;
        user->token_epoch = number;
        user->is_admin = number % 2 == 0;
        return user;
}

/* Everything that only an image has. */
static inline void story_make_image(struct function *function)
{
        static const char *const words[] = {"/server", "", "--greeting=a b"}, *const env[] = {
                                                                                      "A=b"};
        const struct image_parts parts = {.directory = "/srv",
                                          .user = 0,
                                          .group = 65535,
                                          .word_count = 3,
                                          .words = words,
                                          .env_count = 1,
                                          .env = env};

        function->runtime = RUNTIME_IMAGE;
        function->contract = CONTRACT_HTTP;
        function->port = 8081;
        strcpy(function->image_reference, "registry.example.org/team/server:1.0");
        ck_assert_int_eq(image_new(&parts, &function->image), 0);
}

static inline struct function *story_function(unsigned number, const struct user *owner)
{
        static const char *const env[] = {"GREETING=hello = world", "EMPTY=", "LINES=a\nb"};
        struct function *function = function_new();

        ck_assert_ptr_nonnull(function);
        (void)snprintf(function->id, sizeof(function->id), "01FN%022u", number);
        strcpy(function->owner_id, owner->id);
        strcpy(function->owner_name_space, owner->name_space);
        (void)snprintf(function->name, sizeof(function->name), "function-%u", number);
        function->runtime = (enum runtime)(number % 4);
        strcpy(function->handler, "main.handler");
        memset(function->code_digest, "0123456789abcdef"[number % 16], DIGEST_LENGTH);
        function->code_bytes = 1000 + number;
        function->created_ms = function->updated_ms = 1700000000000 + number;
        function->memory_bytes = 64ull << 20;
        function->tmp_bytes = 32ull << 20;
        function->timeout_ms = 5000 + number;
        function->keep_alive_ms = number % 3 == 0 ? KEEP_ALIVE_AUTO : 1000;
        function->starts_plainly = number % 2 == 0;
        function->concurrency = 7;
        function->min_instances = 2;
        function->max_instances = 9;
        function->cpu_millis = 500;
        function->network = number % 2 == 0 ? NETWORK_EGRESS : NETWORK_NONE;
        if (function->network == NETWORK_EGRESS)
                strcpy(function->reach, "db,office-2");
        if (number % 4 == 3)
                story_make_image(function);
        function->is_public = number % 2 == 1;
        ck_assert_int_eq(function_set_env(function, number % 4, env), 0);
        return function;
}

static inline struct layer *story_layer(unsigned number, const struct user *owner, const char *name)
{
        struct layer *layer = layer_new();

        ck_assert_ptr_nonnull(layer);
        (void)snprintf(layer->id, sizeof(layer->id), "01TREE%020u", number);
        strcpy(layer->owner_id, owner->id);
        strcpy(layer->name, name);
        memset(layer->digest, "0123456789abcdef"[number % 16], DIGEST_LENGTH);
        layer->bytes = 100 + number;
        layer->created_ms = 1700000000000 + number;
        return layer;
}

static inline void story_use_layer(struct function *function, const struct layer *layer)
{
        struct layer_reference reference = {.version = layer->version};

        strcpy(reference.id, layer->id);
        strcpy(reference.name, layer->name);
        ck_assert_int_eq(function_add_layer(function, &reference, NULL), 0);
}

static inline enum store_result story_create_user(struct registry_story *story, struct user *user)
{
        struct story_call call = {.request = {.kind = STORE_USER_CREATE, .user = user}};

        return story_call(story, &call);
}

static inline enum store_result story_create(struct registry_story *story,
                                             struct function *function)
{
        struct story_call call = {.request = {.kind = STORE_FUNCTION_CREATE, .function = function}};

        return story_call(story, &call);
}

static inline enum store_result story_update(struct registry_story *story,
                                             struct function *function)
{
        struct story_call call = {.request = {.kind = STORE_FUNCTION_UPDATE, .function = function}};

        return story_call(story, &call);
}

static inline enum store_result story_publish_layer(struct registry_story *story,
                                                    struct layer *layer)
{
        struct story_call call = {.request = {.kind = STORE_LAYER_PUBLISH, .layer = layer}};

        return story_call(story, &call);
}

static inline enum store_result story_delete(struct registry_story *story, enum store_kind kind,
                                             const char *id)
{
        struct story_call call = {.request = {.kind = kind}};

        strcpy(call.request.id, id);
        return story_call(story, &call);
}
