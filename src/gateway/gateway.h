/* The gateway: HTTP in front, instances behind, and the threads that join them.
 *
 * Theory of operation. Each gateway thread has an event loop, a listening socket of its own
 * (SO_REUSEPORT) and its own stock of memory; a client's connection stays on the thread that
 * accepted it, and so does every request on it. What threads share is small: the catalog (an
 * immutable snapshot behind one atomic pointer), and per function a `struct live` (the pool of
 * instances behind that function's own lock, and counters that each thread writes for itself).
 *
 * A request's way: connection.c reads and parses, router.c finds the route, authentication.c knows
 * the caller, invocation.c takes an instance from the pool (or waits in line), instance.c writes a
 * frame to it and reads the answer, response.c writes it to the client, and invocation.c gives the
 * instance back or hands it to the longest waiter. scheduler.c, on the first thread's loop, makes,
 * freezes and ends instances. docs/ARCHITECTURE.md walks through it file by file.
 */
#pragma once

#include "base/crew.h"
#include "base/loop.h"
#include "base/mailbox.h"
#include "core/registry/catalog.h"
#include "gateway/accept.h"
#include "gateway/api.h"
#include "gateway/blocks.h"
#include "gateway/function_log.h"
#include "gateway/live.h"
#include "gateway/metrics.h"
#include "gateway/scheduler.h"
#include "gateway/tenants.h"
#include "ports/registry_store.h"
#include "wire/http_request.h"
#include "wire/http_response.h"

#include <pthread.h>
#include <stdatomic.h>

struct bundles;
struct credentials;
struct images;
struct instance;
struct mac;
struct invocation;
struct lane;
struct token_cache;

/* All limits in one place; `magpie serve` fills it from flags, environment and file. */
struct gateway_config {
        const char *data_dir;
        unsigned thread_count;
        unsigned core_count;
        uint64_t payload_max_bytes;   /* request bodies of functions: 413 above */
        uint64_t response_max_bytes;  /* what a function may answer */
        uint64_t code_max_bytes;      /* uploads of code */
        uint64_t buffers_max_bytes;   /* bytes in flight, all threads together */
        unsigned connections_max;     /* all threads together */
        unsigned waiters_max;         /* calls in line, one function */
        uint32_t wait_max_ms;         /* how long a call waits for an instance */
        uint32_t queue_delay_ms;      /* how long calls wait in a line that stands; 0: no matter */
        uint32_t head_timeout_ms;     /* a request's head, from its first byte */
        uint32_t idle_timeout_ms;     /* between requests */
        uint32_t stall_timeout_ms;    /* a body or a response that makes no progress */
        uint32_t freeze_after_ms;     /* idle grace before an instance is frozen */
        uint32_t stop_grace_ms;       /* from asking an image's program to end to its end */
        unsigned pulls_max;           /* one user's, at once */
        uint32_t keep_alive_step_ms;  /* what learned idle times are told apart by */
        uint32_t boot_timeout_ms;     /* from the order to READY */
        uint64_t memory_budget_bytes; /* the sum of the limits of all instances */
        unsigned boots_max;           /* at once */
        uint32_t drain_max_ms;        /* how long requests under way may take at shutdown */
        struct reach_names reach;     /* ranges that functions may be let reach */
        bool stealing;                /* off: an experiment (`--no-stealing`) */
        bool fairness;                /* the same (`--no-fairness`) */
};

/* A frame that waits for the end of the turn; see instance_send(). */
struct pending_frame {
        struct instance *instance; /* or: */
        struct lane *lane;
        bool by_lane;            /* its trunk had no room */
        uint32_t offset, length; /* in the thread's arena */
};

#define PENDING_MAX 1024
#define ARENA_SIZE (1u << 19)
#define SCRATCH_SIZE BLOCK_LARGE
#define HEAD_SIZE (1u << 16)

struct gateway_thread {
        struct gateway *gateway;
        unsigned index;
        pthread_t thread;
        struct loop loop;
        struct mailbox mailbox;
        struct accept accept;
        struct blocks blocks;
        struct list idle;  /* connections: came to rest longest ago in front; some are not idle */
        struct list heads; /* began one longest ago in front; some have completed it */
        struct list connections; /* the others */
        struct list leaving;     /* by connection.leaving: those who have hung up, first in front */
        struct loop_task let_go; /* looks at these, behind everybody else */
        atomic_ullong made_room; /* connections that were closed for new ones */
        struct tenants tenants;
        atomic_uint connection_count;
        atomic_ullong lag_ns; /* longest turn lately, for /metrics */
        struct token_cache *tokens;
        uint64_t chance[2]; /* state of the generator for ids */

        struct loop_task look;  /* takes answers from the rings of its instances; each turn */
        struct list rings;      /* of instances with calls there */
        struct loop_task flush; /* sends the pending frames at the end of the turn */
        size_t pending_count, arena_used;
        size_t flushed; /* of these: what becomes of one may add others, and flush those, too */
        struct pending_frame pending[PENDING_MAX];
        char *arena;      /* ARENA_SIZE */
        char *scratch;    /* SCRATCH_SIZE: what was just read from a client */
        char *head;       /* HEAD_SIZE: the head of a response being made */
        char *call_head;  /* HEAD_SIZE: of a call; others may be answered before it is copied */
        char timing[448]; /* the Server-Timing of a response being made */
        struct http_request request; /* the head that was just parsed */
        struct http_date date;
        struct list spare_invocations; /* saves a malloc a request */
        struct frame_inbox *inbox;     /* what was just read from an instance */

        struct timer lag_timer;
        struct timer cut_timer; /* from the end of the time to drain: ends what is under way */
        struct letter drain_letter, cut_letter, stop_letter;
};

struct gateway {
        struct gateway_config config;
        _Atomic(struct catalog *) catalog;
        struct registry_store *store;
        struct bundles *bundles;         /* ports/bundles.h */
        struct images *images;           /* ports/images.h; NULL: none are taken */
        struct credentials *credentials; /* ports/credentials.h */
        const struct mac *mac;           /* signs tokens, with DATA-DIR/secret as its key */
        struct crew *crew;
        struct crew *image_crew; /* for pulls, which take minutes */
        pthread_mutex_t pulls_lock;
        struct list pulls; /* struct image_call: those under way; guarded by pulls_lock */
        struct api api;
        struct function_logs logs;
        struct metrics metrics;
        struct scheduler scheduler; /* on threads[0].loop */
        struct catalog_listener listener;
        pthread_mutex_t lives_lock;
        struct list lives; /* every struct live; guarded by lives_lock */
        atomic_bool draining;
        atomic_uint connection_count;
        uint64_t started_ns;
        uint64_t turns_seed; /* of the hash of functions' and owners' ids */
        struct gateway_thread *threads;
        struct timer drain_timer;
        uint64_t drain_deadline_ns;
        bool cutting, stopping;
};

/* The catalog as of now; valid until the caller's loop turn ends. */
static inline struct catalog *gateway_catalog(const struct gateway *gateway)
{
        return atomic_load_explicit(&gateway->catalog, memory_order_acquire);
}

/* 10 random bytes and the time make an id (ID_LENGTH characters and a NUL). */
void gateway_make_id(struct gateway_thread *thread, char *ret_id);
