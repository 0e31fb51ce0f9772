/* What the registry needs from outside: users, functions and layers that survive, and a catalog of
 * them.
 *
 * Asynchronous: the caller owns a request, submits it from any thread, and gets done() on the loop
 * of the mailbox it named, after the change is durable and the catalog that shows it is published.
 * The same contract suite (tests/contract) runs over every adapter.
 */
#pragma once

#include "base/err.h"
#include "base/mailbox.h"
#include "core/registry/catalog.h"

enum store_kind {
        STORE_USER_CREATE,     /* user */
        STORE_USER_DELETE,     /* id; its functions and layers go with it */
        STORE_FUNCTION_CREATE, /* function; its layers are its owner's, and there */
        STORE_FUNCTION_UPDATE, /* function, whose version is one above the stored one */
        STORE_FUNCTION_DELETE, /* id */
        STORE_LAYER_PUBLISH,   /* layer; its version is set: one above all that the name ever had */
        STORE_LAYER_REMOVE,    /* id */
};

enum store_result {
        STORE_OK,
        STORE_TAKEN,     /* e-mail, namespace, or (owner, name) exists */
        STORE_NOT_FOUND, /* id, the owner of what is new, or a layer that a function names */
        STORE_IN_USE,    /* a function has the layer */
        STORE_CONFLICT,  /* the stored version is not the one that was changed */
        STORE_FAILED,    /* err says why; nothing was changed */
};

struct store_request {
        struct letter letter;
        struct store_request *next; /* the store's, while it has the request */
        struct mailbox *home;
        void (*done)(struct store_request *request);

        enum store_kind kind;
        struct user *user;         /* the caller keeps its reference until done() */
        struct function *function; /* likewise */
        struct layer *layer;       /* likewise */
        char id[ID_LENGTH + 1];

        enum store_result result;
        struct err err;
};

/* Told of every new catalog, on a thread of the store, one catalog at a time, before the done() of
 * the requests in it. Takes the catalog over, and frees it at the earliest when the next one is
 * published or the store is closed: the next is made from it. */
struct catalog_listener {
        void (*publish)(struct catalog_listener *listener, struct catalog *catalog);
};

struct registry_store {
        const struct registry_store_ops *ops;
};

struct registry_store_ops {
        /* From any thread. done() always follows. */
        void (*submit)(struct registry_store *store, struct store_request *request);
        /* Carries out what was submitted, posts the answers, then closes and frees. */
        void (*close)(struct registry_store *store);
};

static inline void registry_store_submit(struct registry_store *store,
                                         struct store_request *request)
{
        store->ops->submit(store, request);
}

static inline void registry_store_close(struct registry_store *store)
{
        if (store)
                store->ops->close(store);
}
