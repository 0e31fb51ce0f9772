/* Fairness between those whose functions are called, and between the functions of one: whose connections are
 * read in a turn of a thread's loop (core/fairness/turns.h has the rules).
 *
 * A tenant is the owner of the function that is called. A connection belongs to the function of its last
 * call; new connections, and those that ask for health, figures or the API alone, belong to none: they come
 * first, in each turn, however many others have something to say. While several functions are active, a connection that has something to be read, and whose
 * function has used up its share of the turn, is parked: the loop is not asked about it any more, and what
 * the client sent stays in its socket until its turn comes.
 *
 * Always, what stands behind a request that was answered at once takes turns, nobody's like a function's:
 * else a client that does not wait for its answers has as many in a turn as were read.
 */
#pragma once

#include "base/loop.h"
#include "core/fairness/turns.h"

#include <stdatomic.h>

struct connection;
struct gateway_thread;
struct live;

/* Requests that one tenant may begin in a turn while others are active; of one who is alone, each of his
 * functions. A turn is then some 0.1 ms long;
 * docs/adr/0022-taking-turns.md has what was measured. */
#define TENANTS_QUANTUM 4
/* Answers, and pieces of such, that are carried to one tenant's clients in a turn meanwhile. */
#define TENANTS_ANSWERS 8
/* So many bytes read cost as much as a small request. */
#define TENANTS_UNIT_BYTES 16384

struct tenants {
        struct turns turns;
        bool fair; /* else nobody is active */
        struct loop_task serve;
        struct loop_task yield; /* for after each turn: where calls of several were under way in it,
                                   whoever was woken has the processor before the thread goes on */
        atomic_ullong waited;   /* connections parked so far; written by its thread alone */
};

void tenants_init(struct tenants *tenants, bool fair);

/* The connection calls a function. It is none of those any more that come first. */
void tenants_see(struct connection *connection, const struct live *live);
/* That call is on its way, and over. */
void tenants_begin_call(struct gateway_thread *thread, const struct live *live);
void tenants_end_call(struct gateway_thread *thread, const struct live *live);
/* While several functions are active: may this connection be read, or go on with what was read, in this
 * turn? False: it is parked, and goes on by connection_unpark(). */
bool tenants_let(struct connection *connection);
/* May it begin one more request that was read with the last? False: as above. */
bool tenants_let_next(struct connection *connection);
/* So many bytes were read. */
void tenants_charge(struct connection *connection, size_t bytes);
/* How many frames, of at most `most`, may be received from this function's instances in this turn? */
unsigned tenants_let_answers(struct gateway_thread *thread, const struct live *live, unsigned most);
/* So many were. */
void tenants_count_answers(struct gateway_thread *thread, const struct live *live, int count);
/* Once a second. */
void tenants_expire(struct tenants *tenants, uint64_t now_ns);
