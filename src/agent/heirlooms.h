/* What the first instance of a function leaves to the others when it has loaded the function's module:
 *
 * - Python: a snapshot of itself (runtimes/snapshot/snapshot.h), in a memfd;
 * - Node: what V8 has compiled (runtimes/node/compile_cache.js), in a file of the agent's own tmpfs,
 *   because Node can receive no descriptor.
 *
 * The agent keeps them and never looks into one but for its first word. An instance writes to one, or
 * reads one that only an instance of the same function, code, handler, layers and environment (which
 * names the version) can have written; before anybody reads it, nobody can change it any more.
 *
 * They are bounded in number and size, and the first to go when the host is short of memory.
 */
#pragma once

#include "agent/template.h"
#include "base/list.h"
#include "base/loop.h"
#include "wire/agent_protocol.h"

#include <stddef.h>
#include <stdint.h>

struct heirlooms {
        struct loop *loop; /* borrowed, like the next two */
        const struct template *template;
        int proc_fd;                /* the host's /proc */
        struct loop_source written; /* a file of Node's has been closed */
        int watch_fd;
        struct list all; /* the last used one first */
        size_t count;
        uint64_t bytes, last_number;
};

enum heirloom_use { HEIRLOOM_NONE, HEIRLOOM_TO_FILL, HEIRLOOM_TO_TAKE };

struct heirloom_lent {
        enum heirloom_use use;
        uint64_t number;
        int fd; /* the heirlooms' own, valid until their next call */
};

int heirlooms_init(struct heirlooms *heirlooms, struct loop *loop, const struct template *template,
                   int proc_fd);
/* No more of them: the agent ends. */
void heirlooms_close(struct heirlooms *heirlooms);
/* Snapshots go with the address layout of their nursery, Python's. */
void heirlooms_lost_nursery(struct heirlooms *heirlooms);
/* Drops what nobody has used for an hour or filled in a minute, and all where memory is short. */
void heirlooms_review(struct heirlooms *heirlooms, uint64_t now_ns);

/* For the next instance of this request. */
struct heirloom_lent heirlooms_lend(struct heirlooms *heirlooms, const struct agent_spawn *request,
                                    uint64_t now_ns);
/* An instance that was to fill that one has ended. What it has not finished is given up: nobody is
 * charged for it any more. `by_itself`: the function starts the plain way from now on, lest each of
 * its instances dies of the writing. Unknown numbers are ignored, here and below. */
void heirlooms_left(struct heirlooms *heirlooms, uint64_t number, bool by_itself);
/* An instance that had taken that one has ended by a signal or because it could not use it: nobody
 * else shall take it. */
void heirlooms_condemn(struct heirlooms *heirlooms, uint64_t number);
