/* The scheduler: makes, freezes and ends instances, on the first gateway thread's loop.
 *
 * It is told of demand (scheduler_wake), asks the provisioner's rules what may begin, orders
 * sandboxes from the host, and hands a ready instance to the pool, which hands it to the longest
 * waiter. A slow tick freezes idle stock and ends what has expired.
 */
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "core/provisioner/provisioner.h"
#include "core/registry/function.h"
#include "ports/sandbox_host.h"

struct gateway;
struct gateway_thread;
struct instance;
struct live;

#define INSTANCE_TABLE_SIZE 65536

struct scheduler {
        struct gateway *gateway;
        struct gateway_thread *thread; /* the first */
        struct sandbox_host *host;     /* NULL until attached */
        bool host_ready;
        struct sandbox_listener listener;
        struct provisioner provisioner;
        struct timer tick;
        struct loop_task plan;          /* look at all demand, once a turn */
        uint32_t next_free;             /* instance table: a stack of free places */
        uint64_t generation;
        struct instance **table;        /* by the low bits of the instance id */
        uint32_t *free_places;
        uint32_t live_instances;
        void (*on_empty)(struct scheduler *scheduler); /* while draining: the last one is gone */
};

int scheduler_init(struct scheduler *scheduler, struct gateway *gateway);
void scheduler_deinit(struct scheduler *scheduler);

/* From any thread: this function has waiters. Cheap when it has been said already. */
void scheduler_wake(struct scheduler *scheduler, struct live *live);
/* From any thread: end this instance. The pool has it as ENDING already. */
void scheduler_kill(struct scheduler *scheduler, struct instance *instance);
/* On the first thread: the catalog has changed; retire what is not in it any more. */
void scheduler_reconcile(struct scheduler *scheduler);
/* On the first thread: end all idle stock, keep none; on_empty() when the last instance is gone. */
void scheduler_drain(struct scheduler *scheduler, void (*on_empty)(struct scheduler *scheduler));

/* A trial boot of a bundle that is not kept yet: does the function load? */
struct trial {
        struct letter letter;
        struct mailbox *home;             /* done() runs there */
        void (*done)(struct trial *trial);
        struct function *function;        /* the caller's reference */
        char staging[DIGEST_LENGTH + 1];
        bool loaded;                      /* the answer */
        char text[4096];                  /* else why not, in the compiler's words */
};

/* From any thread. done() always follows. */
void scheduler_try(struct scheduler *scheduler, struct trial *trial);
