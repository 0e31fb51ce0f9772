/* The scheduler: makes, freezes and ends instances, on the first gateway thread's loop.
 *
 * It is told of demand (scheduler_wake), asks the provisioner's rules what may begin, orders
 * sandboxes from the host, and hands a ready instance to the pool, which hands it to the longest
 * waiter. A slow tick freezes idle stock and ends what has expired.
 */
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "core/invoker/outcome.h"
#include "core/provisioner/accounts.h"
#include "core/provisioner/provisioner.h"
#include "core/registry/function.h"
#include "gateway/round.h"
#include "ports/sandbox_host.h"

#include <stdatomic.h>

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
        struct accounts accounts;
        uint64_t evicted_bytes; /* of those that make room for others, and are not gone yet */
        uint64_t missing_bytes; /* what this plan found no memory for, so far */
        struct timer tick;
        atomic_bool is_ready;  /* host_ready, for other threads */
        struct list demand;    /* struct live: those who want boots, */
        struct list starved;   /* and those of them for whom there is no memory */
        bool feeds_starved;    /* the next plan looks at these, too */
        struct list trials;    /* struct trial: waiting for a boot */
        struct loop_task plan; /* look at all demand, once a turn */
        uint32_t next_free;    /* instance table: a stack of free places */
        uint64_t generation;
        struct instance **table; /* by the low bits of the instance id */
        uint32_t *free_places;
        struct instance *forgotten, *burying; /* freed after the next round, and after this one */
        struct gateway_round burial;
        uint32_t instances; /* in memory: a sandbox may be gone and its calls not told yet */
        void (*on_empty)(struct scheduler *scheduler); /* while draining: the last one is gone */
};

int scheduler_init(struct scheduler *scheduler, struct gateway *gateway);
void scheduler_deinit(struct scheduler *scheduler);

/* From any thread: this function has waiters. Cheap when it has been said already. */
void scheduler_wake(struct scheduler *scheduler, struct live *live);
/* From any thread: end this instance. The pool has it as ENDING already. */
void scheduler_kill(struct scheduler *scheduler, struct instance *instance);
/* The same for one that has done nothing wrong and has no call: where it runs a program of an image's
 * that serves calls, that is asked to end, and killed only after stop_grace_ms. */
void scheduler_dismiss(struct scheduler *scheduler, struct instance *instance);
/* From any thread, with the pool's lock held: the instance has a call, of a function that is called often or
 * is not. Where that is news to it, its host is told. */
void scheduler_teach(struct instance *instance);
/* On the first thread: the catalog has changed; retire what is not in it any more, and see to it that
 * what keeps instances ready has them. */
void scheduler_reconcile(struct scheduler *scheduler);
/* On the first thread: end all idle stock, keep none; on_empty() when the last instance is gone. */
void scheduler_drain(struct scheduler *scheduler, void (*on_empty)(struct scheduler *scheduler));

/* A trial whose sandbox is lost more often has failed: whoever waits must be told some day. */
#define TRIAL_LOSSES_MAX 2

/* A trial boot of a bundle that is not kept yet: does the function load? */
struct trial {
        struct letter letter;
        struct list link;
        struct mailbox *home; /* done() runs there */
        void (*done)(struct trial *trial);
        struct function *function;       /* the caller's reference */
        char staging[DIGEST_LENGTH + 1]; /* what sandbox_order has for its code */
        enum outcome outcome; /* SUCCEEDED: it loads. PLATFORM, OVERLOADED: nobody knows */
        unsigned losses;      /* of its sandbox, by no fault of the function's */
        uint64_t asked_ns;    /* it waits for wait_max_ms at most */
        size_t text_length;
        char text[4096]; /* why it does not, in the compiler's words; or why nobody knows */
        struct scheduler *scheduler;
};

/* Adds to the text what fits of what the function printed. */
void trial_append(struct trial *trial, struct slice text);
/* What it printed may be anything: why it failed stands in front of that. */
void trial_say_why(struct trial *trial, struct slice why);

/* From any thread. done() always follows. */
void scheduler_try(struct scheduler *scheduler, struct trial *trial);

/* For instance.c, on the instance's home (while it boots: the first thread). */
struct worker_frame;

/* READY or REFUSED of a booting instance. False: neither belongs here. */
bool scheduler_boot_answer(struct instance *instance, const struct worker_frame *frame);
/* It was not ready within boot_timeout_ms. */
void scheduler_boot_late(struct instance *instance);
/* It died or broke the protocol while booting: it is ENDING afterwards. */
void scheduler_boot_failed(struct instance *instance, enum outcome outcome, const char *detail);
/* From any thread: nothing refers to the instance any more; it is freed. */
void scheduler_forget(struct scheduler *scheduler, struct instance *instance);
