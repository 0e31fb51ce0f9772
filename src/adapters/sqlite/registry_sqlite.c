/* The writer thread and its batches; see registry_sqlite.h. */
#include "adapters/sqlite/registry_sqlite.h"

#include "adapters/sqlite/database.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* What a failure says it was doing. */
static const char doing[] = "writing to the database";

struct registry_sqlite {
        struct registry_store store;
        struct catalog_listener *listener;
        pthread_t writer;

        pthread_mutex_t lock; /* guards what the submitters touch: */
        pthread_cond_t wake;
        struct store_request *first, **last; /* in order of arrival */
        bool closing;

        struct database database; /* the writer's */
        struct catalog *catalog;  /* the last one published; the listener's */
};

static void request_deliver(struct letter *letter)
{
        struct store_request *request = CONTAINER_OF(letter, struct store_request, letter);

        request->done(request);
}

static void registry_sqlite_submit(struct registry_store *store, struct store_request *request)
{
        struct registry_sqlite *self = CONTAINER_OF(store, struct registry_sqlite, store);

        request->next = NULL;
        pthread_mutex_lock(&self->lock);
        *self->last = request;
        self->last = &request->next;
        pthread_cond_signal(&self->wake);
        pthread_mutex_unlock(&self->lock);
}

/* Everything that waits, or NULL when the store is closing and nothing does. */
static struct store_request *take_batch(struct registry_sqlite *self)
{
        struct store_request *batch;

        pthread_mutex_lock(&self->lock);
        while (!self->first && !self->closing)
                pthread_cond_wait(&self->wake, &self->lock);
        batch = self->first;
        self->first = NULL;
        self->last = &self->first;
        pthread_mutex_unlock(&self->lock);
        return batch;
}

static struct catalog_change change_of(const struct store_request *request)
{
        switch (request->kind) {
        case STORE_USER_CREATE:
                return (struct catalog_change){.kind = CATALOG_USER_PUT, .user = request->user};
        case STORE_USER_DELETE:
                return (struct catalog_change){.kind = CATALOG_USER_REMOVE, .id = request->id};
        case STORE_FUNCTION_CREATE:
        case STORE_FUNCTION_UPDATE:
                return (struct catalog_change){.kind = CATALOG_FUNCTION_PUT,
                                               .function = request->function};
        case STORE_FUNCTION_DELETE:
                return (struct catalog_change){.kind = CATALOG_FUNCTION_REMOVE, .id = request->id};
        case STORE_LAYER_PUBLISH:
                return (struct catalog_change){.kind = CATALOG_LAYER_PUT, .layer = request->layer};
        case STORE_LAYER_REMOVE:
                return (struct catalog_change){.kind = CATALOG_LAYER_REMOVE, .id = request->id};
        }
        abort(); /* not a kind: our own bug */
}

/* Carries out each request in a savepoint of its own, so that one that fails half-way leaves
 * nothing behind. Negative where the transaction as a whole cannot go on. */
static int batch_apply(struct registry_sqlite *self, struct store_request *batch,
                       struct catalog_change *changes, size_t *ret_count, struct err *err)
{
        size_t count = 0;
        int r = 0;

        for (struct store_request *request = batch; r == 0 && request; request = request->next) {
                r = database_run(&self->database, "SAVEPOINT request", doing, err);
                if (r < 0)
                        break;
                request->result = database_apply(&self->database, request, &request->err);
                if (request->result == STORE_OK)
                        changes[count++] = change_of(request);
                else if (sqlite3_get_autocommit(self->database.connection))
                        /* A full disk and the like end the whole transaction. */
                        r = err_set(err, request->err.code, "%s", request->err.text);
                else
                        r = database_run(&self->database, "ROLLBACK TO request", doing, err);
                if (r == 0)
                        r = database_run(&self->database, "RELEASE request", doing, err);
        }
        *ret_count = count;
        return r;
}

/* The next catalog is made before the commit: when there is no memory for it, nothing happened. */
static int batch_commit(struct registry_sqlite *self, const struct catalog_change *changes,
                        size_t count, struct err *err)
{
        struct catalog *next = catalog_with(self->catalog, changes, count);
        int r;

        if (!next)
                return err_errno(err, -ENOMEM, "making a new catalog");
        r = database_run(&self->database, "COMMIT", doing, err);
        if (r < 0) {
                catalog_free(next);
                return r;
        }
        self->catalog = next;
        self->listener->publish(self->listener, next);
        return 0;
}

static int batch_write(struct registry_sqlite *self, struct store_request *batch, size_t size,
                       struct err *err)
{
        struct catalog_change *changes = calloc(size, sizeof(*changes));
        size_t count = 0;
        int r;

        if (!changes)
                return err_errno(err, -ENOMEM, "changing the registry");
        r = database_run(&self->database, "BEGIN IMMEDIATE", doing, err);
        if (r == 0)
                r = batch_apply(self, batch, changes, &count, err);
        if (r == 0 && count > 0)
                r = batch_commit(self, changes, count, err);
        if (!sqlite3_get_autocommit(self->database.connection))
                (void)database_run(&self->database, "ROLLBACK", doing, NULL);
        free(changes);
        return r;
}

static void batch_carry_out(struct registry_sqlite *self, struct store_request *batch)
{
        struct store_request *request, *next;
        struct err err = {0};
        size_t size = 0;
        int r;

        for (request = batch; request; request = request->next)
                size++;
        r = batch_write(self, batch, size, &err);
        for (request = batch; request; request = next) {
                next = request->next; /* the request is its owner's again once it is posted */
                /* Also those that were refused: what stood in their way may be gone now. */
                if (r < 0) {
                        request->result = STORE_FAILED;
                        request->err = err;
                }
                request->letter.deliver = request_deliver;
                mailbox_post(request->home, &request->letter);
        }
}

static void *writer_main(void *argument)
{
        struct registry_sqlite *self = argument;
        struct store_request *batch;

        while ((batch = take_batch(self)))
                batch_carry_out(self, batch);
        return NULL;
}

static int writer_start(struct registry_sqlite *self, struct err *err)
{
        sigset_t all, before;
        int r;

        /* Signals are the main thread's. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&self->writer, NULL, writer_main, self);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r == 0 ? 0 : err_errno(err, -r, "starting the registry's thread");
}

static void registry_sqlite_free(struct registry_sqlite *self)
{
        database_close(&self->database);
        pthread_cond_destroy(&self->wake);
        pthread_mutex_destroy(&self->lock);
        free(self);
}

static void registry_sqlite_close(struct registry_store *store)
{
        struct registry_sqlite *self = CONTAINER_OF(store, struct registry_sqlite, store);

        pthread_mutex_lock(&self->lock);
        self->closing = true;
        pthread_cond_signal(&self->wake);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->writer, NULL);
        registry_sqlite_free(self);
}

static const struct registry_store_ops registry_sqlite_ops = {
        .submit = registry_sqlite_submit,
        .close = registry_sqlite_close,
};

int registry_sqlite_open(const char *path, uint64_t seed, struct catalog_listener *listener,
                         struct registry_store **ret_store, struct err *err)
{
        struct registry_sqlite *self = calloc(1, sizeof(*self));
        int r;

        if (!self)
                return err_errno(err, -ENOMEM, "opening the registry");
        self->store.ops = &registry_sqlite_ops;
        self->listener = listener;
        self->last = &self->first;
        pthread_mutex_init(&self->lock, NULL);
        pthread_cond_init(&self->wake, NULL);

        r = database_open(path, &self->database, err);
        if (r == 0 && (r = database_load(&self->database, seed, &self->catalog, err)) < 0)
                (void)err_prefix(err, "database %s", path);
        if (r == 0)
                r = writer_start(self, err);
        if (r < 0) {
                catalog_free(self->catalog);
                registry_sqlite_free(self);
                return r;
        }
        listener->publish(listener, self->catalog);
        *ret_store = &self->store;
        return 0;
}
