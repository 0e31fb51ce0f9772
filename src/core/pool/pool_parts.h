/* What pool.c and places.c share and nobody else needs. */
#pragma once

#include "core/pool/pool.h"

/* The one place where an instance changes its state. It comes to the front of its list. */
void pool_move(struct pool *pool, struct pool_instance *instance, enum instance_state to);
void pool_assign(struct pool *pool, struct pool_instance *instance, struct pool_call *call,
                 enum call_state state);
void pool_unassign(struct pool *pool, struct pool_call *call);
void pool_learn_run(struct pool *pool, uint64_t run_ns);
/* One instance more, or less, runs calls. */
void pool_tell_demand(struct pool *pool, uint64_t now_ns);
/* Takes the longest out of the line, which is to be served now; NULL where nobody waits. */
struct pool_call *pool_serve_waiter(struct pool *pool, uint64_t now_ns);
/* Nobody wants it: to the stock (IDLE), or to its end (END). */
enum release_result pool_shelve(struct pool *pool, struct pool_instance *instance, uint64_t now_ns);

/* Where capacity is above 1; as the functions of pool.h that end alike. */
bool places_take(struct pool *pool, struct pool_call *call, uint64_t now_ns); /* false: it waits */
enum release_result places_ready(struct pool *pool, struct pool_instance *instance, uint64_t now_ns,
                                 struct pool_call **ret_next);
enum release_result places_release(struct pool *pool, struct pool_call *call, uint64_t now_ns,
                                   struct pool_call **ret_next);
struct pool_call *places_match(struct pool *pool, uint64_t now_ns);
