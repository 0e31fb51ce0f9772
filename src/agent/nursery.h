/* The nursery: a Python interpreter, as root, that forks itself into parked sandboxes. It takes a tenth of
 * the time that starting an interpreter takes. runtimes/python/nursery.py and runtimes/snapshot/birth.h
 * tell how, and why that is safe: it never meets anything of a function's.
 *
 * It is a convenience: where it cannot be had, or dies, interpreters are started the plain way.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#include <sys/types.h>

struct agent;
struct instance;

struct nursery {
        struct agent *agent;
        struct loop_source source, exit;
        int fd, pid_fd;         /* -1: there is none */
        bool is_quick;          /* it has forked one already */
        uint64_t not_before_ns; /* it died; the next try */
};

void nursery_init(struct nursery *nursery, struct agent *agent);
void nursery_close(struct nursery *nursery);

/* Is there one, perhaps just now started? */
bool nursery_is_open(struct nursery *nursery);
/* Asks for an interpreter in a sandbox that adopts. stock_arrived() or stock_failed() follows, with
 * this number. 0 or a negative errno. */
int nursery_ask(struct nursery *nursery, const struct instance *instance, uint64_t number);
