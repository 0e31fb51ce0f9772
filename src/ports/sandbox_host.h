/* What the scheduler needs from outside: sandboxes made and destroyed.
 *
 * Everything is asynchronous and happens on the loop of the thread that owns the host. Orders are
 * sent at once; each order leads to exactly one made() or refused(), each made() to exactly one
 * ended(). lost() means that the host itself died, and with it every sandbox: ended() and refused()
 * do not follow for those; orders are accepted again after ready(). Only freezing is done at once,
 * on whatever thread.
 */
#pragma once

#include "core/registry/function.h"

#include <stdbool.h>
#include <stdint.h>

enum sandbox_end {
        SANDBOX_EXITED,        /* code: the exit status */
        SANDBOX_SIGNALLED,     /* code: the signal */
        SANDBOX_OUT_OF_MEMORY, /* by the kernel's own counter */
        SANDBOX_KILLED,        /* we asked for it */
        SANDBOX_LOST,          /* the host died */
};

/* The descriptors are owned by whoever receives them. */
struct sandbox_descriptors {
        int socket;     /* the worker protocol, non-blocking */
        int worker;     /* the other end of it, to take requests back */
        int log;        /* what the function writes to its stdout and stderr */
        uint64_t group; /* for set_frozen() */
};

enum sandbox_origin {
        SANDBOX_MADE,             /* for this order */
        SANDBOX_FROM_STOCK,       /* it waited, with no interpreter in it yet */
        SANDBOX_WITH_INTERPRETER, /* it waited, and its interpreter in it */
};

#define SANDBOX_ORIGIN_COUNT 3

/* How a sandbox came about, and what that took; 0 is what was not done for it. Microseconds. */
struct sandbox_making {
        enum sandbox_origin origin;
        uint32_t stock_us; /* the one that waited became the function's */
        uint32_t cgroup_us, namespaces_us, mounts_us, confine_us, exec_us;
};

/* Sandboxes that wait for a function. */
struct sandbox_stock {
        uint32_t bare;          /* without an interpreter */
        uint32_t python3, node; /* with one */
};

struct sandbox_order {
        uint64_t instance_id; /* never used twice */
        const struct function *function;
        /* Digest of a kept bundle, or a staging name where verify is set. Of an image always its
         * digest. */
        const char *code;
        bool verify;
};

struct sandbox_listener;

struct sandbox_listener_ops {
        void (*ready)(struct sandbox_listener *listener);
        void (*made)(struct sandbox_listener *listener, uint64_t instance_id,
                     const struct sandbox_descriptors *descriptors,
                     const struct sandbox_making *making);
        void (*refused)(struct sandbox_listener *listener, uint64_t instance_id, const char *why);
        void (*ended)(struct sandbox_listener *listener, uint64_t instance_id, enum sandbox_end end,
                      int code, uint64_t peak_memory_bytes);
        void (*lost)(struct sandbox_listener *listener);
        /* What waits has changed; none does after lost(). */
        void (*stocked)(struct sandbox_listener *listener, const struct sandbox_stock *stock);
};

struct sandbox_listener {
        const struct sandbox_listener_ops *ops;
};

struct sandbox_host;

struct sandbox_host_ops {
        /* 0, or -ENOTCONN while the host is away, or -EINVAL for what cannot be sent. */
        int (*make)(struct sandbox_host *host, const struct sandbox_order *order);
        void (*kill)(struct sandbox_host *host, uint64_t instance_id);
        /* Whether its processes, when they wake up, let whoever has the processor keep it. They are born
         * without such manners. Where it cannot be done, nothing but time is lost. */
        void (*set_courtesy)(struct sandbox_host *host, uint64_t instance_id, bool polite);
        /* 0 or a negative errno: where it is gone, and its end is on the way. */
        int (*set_frozen)(const struct sandbox_host *host, uint64_t group, bool frozen);
};

struct sandbox_host {
        const struct sandbox_host_ops *ops;
};
