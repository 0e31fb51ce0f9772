/* A nursery: an interpreter, as root, that forks itself into parked sandboxes. It takes a tenth of the
 * time that starting one takes. runtimes/birth/nursery.h and birth.h tell how, and why that is safe: it
 * never meets anything of a function's. There is one for Python and one for Node.
 *
 * It is a convenience: where it cannot be had, or dies, interpreters are started the plain way.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "wire/agent_protocol.h"

#include <sys/types.h>

/* The most MiB that Node's heap may have in a fork of its nursery. */
#define NURSERY_HEAP_OPTION "--max-old-space-size=32768"

struct agent;
struct instance;

struct nursery {
        struct agent *agent;
        enum agent_runtime runtime;
        struct loop_source source, exit;
        struct timer patience;
        unsigned failures;      /* before it was of any use */
        int fd, pid_fd;         /* -1: there is none */
        bool is_quick;          /* it has forked one already */
        uint64_t heard_ns;      /* its last answer, or when it was asked while it owed none */
        uint64_t not_before_ns; /* it died; the next try */
        uint64_t retry_ns; /* how long until that: longer each time, where it never was of use */
};

void nursery_init(struct nursery *nursery, struct agent *agent, enum agent_runtime runtime);
void nursery_close(struct nursery *nursery);

/* Is there one, perhaps just now started? */
bool nursery_is_open(struct nursery *nursery);
/* Does it owe answers, and has given none for a second? Starting an interpreter takes less. */
bool nursery_is_late(const struct nursery *nursery);
/* Asks for an interpreter in a sandbox that adopts. stock_arrived() or stock_failed() follows, with
 * this number. 0 or a negative errno. */
int nursery_ask(struct nursery *nursery, const struct instance *instance, uint64_t number);
