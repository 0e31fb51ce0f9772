/* Sandboxes that are made before anybody asks for them.
 *
 * Each kind of stock is what can be prepared alike: magpie-init alone, which serves every function; the
 * same with an empty root, for every image that runs as a certain user; or an interpreter that waits
 * for its function, with the environment that it reads when it starts. A kind appears when it is first
 * asked for. Those that all functions use alike always have a place; which others there are, functions
 * decide, and so these are few. How many are parked follows demand: taking the last one doubles it, and
 * what has not been touched for a while is given up. Refilling waits until the requests at hand are
 * answered. */
#pragma once

#include "agent/instance.h"

#define STOCK_USUAL_KINDS 4 /* magpie-init alone, Python, and Node with its heap told or not */
#define STOCK_PECULIAR_KINDS_MAX 8
#define STOCK_KIND_MAX (STOCK_USUAL_KINDS + STOCK_PECULIAR_KINDS_MAX)
#define STOCK_KEY_MAX 1024
#define STOCK_DEFAULT 24
#define STOCK_MOST 4096

/* What an interpreter reads when it starts. */
struct stock_key {
        char bytes[STOCK_KEY_MAX]; /* variables, NUL-terminated */
        size_t length;
        bool is_told; /* the heap's size later, as only a copy of the nursery can be */
};

struct stock_kind {
        struct list parked; /* instances, the oldest first: an interpreter has had time to start */
        struct list arriving;       /* those whose interpreter the nursery has been asked for */
        enum agent_runtime runtime; /* 0: magpie-init alone; an image's: that in an empty root */
        struct slot_ids ids;        /* who its functions are inside */
        struct stock_key key;
        const char *early[AGENT_ENV_MAX]; /* into `key` */
        size_t early_count;
        struct cgroup_limits limits; /* of who asked last: the next will likely ask for the same */
        uint64_t tmp_bytes;
        size_t count, arriving_count, wanted;
        size_t least; /* there at any moment since the last review */
        uint64_t used_ns;
};

struct stock {
        struct agent *agent;
        size_t most;  /* of all kinds together; 0: everything is made on request */
        size_t count; /* parked or arriving */
        uint64_t next_number;
        struct list asked; /* instances that have a function, and wait for the nursery's fork */
        struct stock_kind kinds[STOCK_KIND_MAX];
        size_t kind_count;
        struct timer refill, review;
};

void stock_init(struct stock *stock, struct agent *agent, size_t most);
/* Ends what is parked, and parks nothing more. */
void stock_close(struct stock *stock);

/* A parked instance for this request, or one that is on its way; the caller's from now on. NULL where there
 * is none. */
struct instance *stock_take(struct stock *stock, const struct agent_spawn *request);
/* Could the nursery fork an interpreter for this request more quickly than one starts? */
bool stock_can_fork(struct stock *stock, const struct agent_spawn *request);
/* Asks it to, into a sandbox that is nobody's but the caller's. On failure the sandbox is ended. */
int stock_ask_nursery(struct stock *stock, struct instance *instance);
/* It has ended by itself. */
void stock_forget(struct stock *stock, struct instance *instance);

/* Is there an instance on its way from a nursery? */
bool stock_awaits_birth(const struct stock *stock, enum agent_runtime runtime);
/* From the nursery: this instance has its interpreter, or will never have one; all of a
 * runtime are lost, and those that it has brought before are like any that was started. */
void stock_arrived(struct stock *stock, uint64_t number);
void stock_failed(struct stock *stock, uint64_t number);
void stock_lost_nursery(struct stock *stock, enum agent_runtime runtime);
