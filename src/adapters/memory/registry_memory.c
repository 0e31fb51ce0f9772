/* The registry in memory; see registry_memory.h. */
#include "adapters/memory/registry_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* How many versions a layer's name has had. */
struct layer_name {
        char owner_id[ID_LENGTH + 1];
        char name[NAME_MAX_LENGTH + 1];
        uint32_t last_version;
};

struct registry_memory {
        struct registry_store store;
        struct catalog_listener *listener;
        pthread_mutex_t lock;
        struct catalog *catalog; /* the last one published; the listener's */
        size_t layer_name_count;
        struct layer_name *layer_names; /* owned */
};

/* Would the change be allowed? Writes it in the catalog's terms where it would. */
static enum store_result decide_user(const struct catalog *catalog,
                                     const struct store_request *request,
                                     struct catalog_change *ret_change)
{
        const struct user *user = request->user;

        if (request->kind == STORE_USER_DELETE) {
                if (!catalog_find_user(catalog, slice_of(request->id)))
                        return STORE_NOT_FOUND;
                *ret_change =
                        (struct catalog_change){.kind = CATALOG_USER_REMOVE, .id = request->id};
                return STORE_OK;
        }
        if (catalog_find_user(catalog, slice_of(user->id)) ||
            catalog_find_user_by_email(catalog, slice_of(user->email)) ||
            catalog_find_user_by_name_space(catalog, slice_of(user->name_space)))
                return STORE_TAKEN;
        *ret_change = (struct catalog_change){.kind = CATALOG_USER_PUT, .user = request->user};
        return STORE_OK;
}

/* Are they all there, and the owner's? */
static bool has_layers(const struct catalog *catalog, const struct function *function)
{
        for (size_t i = 0; i < function->layer_count; i++) {
                const struct layer *layer =
                        catalog_find_layer(catalog, slice_of(function->layers[i].id));
                if (!layer || strcmp(layer->owner_id, function->owner_id) != 0)
                        return false;
        }
        return true;
}

static enum store_result decide_function_put(const struct catalog *catalog,
                                             const struct store_request *request,
                                             struct catalog_change *ret_change)
{
        const struct function *wanted = request->function;
        const struct function *stored = catalog_find_function(catalog, slice_of(wanted->id));
        const struct function *namesake = catalog_find_function_by_name(
                catalog, slice_of(wanted->owner_id), slice_of(wanted->name));

        if (request->kind == STORE_FUNCTION_CREATE) {
                if (!catalog_find_user(catalog, slice_of(wanted->owner_id)))
                        return STORE_NOT_FOUND;
                if (stored)
                        return STORE_TAKEN;
        } else {
                if (!stored)
                        return STORE_NOT_FOUND;
                if (stored->version + 1 != wanted->version)
                        return STORE_CONFLICT;
        }
        if (namesake && namesake != stored)
                return STORE_TAKEN;
        if (!has_layers(catalog, wanted))
                return STORE_NOT_FOUND;
        *ret_change = (struct catalog_change){.kind = CATALOG_FUNCTION_PUT,
                                              .function = request->function};
        return STORE_OK;
}

/* NULL without memory. */
static struct layer_name *find_layer_name(struct registry_memory *self, const struct layer *layer)
{
        struct layer_name *grown, *name;

        for (size_t i = 0; i < self->layer_name_count; i++) {
                name = &self->layer_names[i];
                if (strcmp(name->owner_id, layer->owner_id) == 0 &&
                    strcmp(name->name, layer->name) == 0)
                        return name;
        }
        grown = reallocarray(self->layer_names, self->layer_name_count + 1, sizeof(*grown));
        if (!grown)
                return NULL;
        self->layer_names = grown;
        name = &grown[self->layer_name_count++];
        *name = (struct layer_name){0};
        memcpy(name->owner_id, layer->owner_id, sizeof(name->owner_id));
        memcpy(name->name, layer->name, sizeof(name->name));
        return name;
}

static enum store_result decide_layer_publish(struct registry_memory *self,
                                              struct store_request *request,
                                              struct catalog_change *ret_change)
{
        struct layer *layer = request->layer;
        struct layer_name *name;

        if (!catalog_find_user(self->catalog, slice_of(layer->owner_id)))
                return STORE_NOT_FOUND;
        if (catalog_find_layer(self->catalog, slice_of(layer->id)))
                return STORE_TAKEN;
        name = find_layer_name(self, layer);
        if (!name) {
                (void)err_errno(&request->err, -ENOMEM, "publishing a layer");
                return STORE_FAILED;
        }
        layer->version = ++name->last_version;
        *ret_change = (struct catalog_change){.kind = CATALOG_LAYER_PUT, .layer = layer};
        return STORE_OK;
}

struct layer_search {
        const struct layer *layer;
        bool found;
};

static bool look_for_layer(struct function *function, void *context)
{
        struct layer_search *search = context;

        search->found = function_has_layer(function, search->layer);
        return !search->found;
}

static enum store_result decide_layer_remove(const struct catalog *catalog,
                                             const struct store_request *request,
                                             struct catalog_change *ret_change)
{
        struct layer_search search = {.layer = catalog_find_layer(catalog, slice_of(request->id))};

        if (!search.layer)
                return STORE_NOT_FOUND;
        (void)catalog_each_function_of(catalog, slice_of(search.layer->owner_id), look_for_layer,
                                       &search);
        if (search.found)
                return STORE_IN_USE;
        *ret_change = (struct catalog_change){.kind = CATALOG_LAYER_REMOVE, .id = request->id};
        return STORE_OK;
}

static enum store_result decide(struct registry_memory *self, struct store_request *request,
                                struct catalog_change *ret_change)
{
        const struct catalog *catalog = self->catalog;

        switch (request->kind) {
        case STORE_USER_CREATE:
        case STORE_USER_DELETE:
                return decide_user(catalog, request, ret_change);
        case STORE_FUNCTION_CREATE:
        case STORE_FUNCTION_UPDATE:
                return decide_function_put(catalog, request, ret_change);
        case STORE_FUNCTION_DELETE:
                if (!catalog_find_function(catalog, slice_of(request->id)))
                        return STORE_NOT_FOUND;
                *ret_change =
                        (struct catalog_change){.kind = CATALOG_FUNCTION_REMOVE, .id = request->id};
                return STORE_OK;
        case STORE_LAYER_PUBLISH:
                return decide_layer_publish(self, request, ret_change);
        case STORE_LAYER_REMOVE:
                return decide_layer_remove(catalog, request, ret_change);
        }
        abort(); /* not a kind: our own bug */
}

static void request_deliver(struct letter *letter)
{
        struct store_request *request = CONTAINER_OF(letter, struct store_request, letter);

        request->done(request);
}

static void registry_memory_submit(struct registry_store *store, struct store_request *request)
{
        struct registry_memory *self = CONTAINER_OF(store, struct registry_memory, store);
        struct catalog_change change;
        struct catalog *next;

        pthread_mutex_lock(&self->lock);
        request->result = decide(self, request, &change);
        if (request->result == STORE_OK) {
                next = catalog_with(self->catalog, &change, 1);
                if (next) {
                        self->catalog = next;
                        self->listener->publish(self->listener, next);
                } else {
                        request->result = STORE_FAILED;
                        (void)err_errno(&request->err, -ENOMEM, "making a new catalog");
                }
        }
        pthread_mutex_unlock(&self->lock);

        request->letter.deliver = request_deliver;
        mailbox_post(request->home, &request->letter);
}

static void registry_memory_close(struct registry_store *store)
{
        struct registry_memory *self = CONTAINER_OF(store, struct registry_memory, store);

        pthread_mutex_destroy(&self->lock);
        free(self->layer_names);
        free(self);
}

static const struct registry_store_ops registry_memory_ops = {
        .submit = registry_memory_submit,
        .close = registry_memory_close,
};

int registry_memory_open(uint64_t seed, struct catalog_listener *listener,
                         struct registry_store **ret_store, struct err *err)
{
        struct registry_memory *self = calloc(1, sizeof(*self));

        if (self)
                self->catalog = catalog_new_empty(seed);
        if (!self || !self->catalog) {
                free(self);
                return err_errno(err, -ENOMEM, "making the registry");
        }
        self->store.ops = &registry_memory_ops;
        self->listener = listener;
        pthread_mutex_init(&self->lock, NULL);
        listener->publish(listener, self->catalog);
        *ret_store = &self->store;
        return 0;
}
