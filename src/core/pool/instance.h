/* One instance of a function as the pool sees it, and the one table of what may become of it.
 *
 *            +--------- taken ----------+
 *            v                          |
 *   BOOTING -> BUSY -- given back --> IDLE -- grace over --> FROZEN
 *      |        |  ^                    |                       |
 *      |        |  +------------------- | ------- taken --------+
 *      +--------+-----> ENDING <--------+-----------------------+
 *
 * BOOTING also becomes IDLE, when nobody waits any more. ENDING is final: its kill has been asked
 * for, or it died; the memory stays until the last process of the sandbox is gone.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum instance_state {
        INSTANCE_BOOTING,
        INSTANCE_IDLE,
        INSTANCE_FROZEN,
        INSTANCE_BUSY,
        INSTANCE_ENDING,
};

#define INSTANCE_STATE_COUNT 5

struct pool_instance {
        struct list link;     /* on the pool's list for its state (and home) */
        struct list assigned; /* struct pool_call: the running one first, then those ahead; or all
                                 of them running */
        enum instance_state state;
        unsigned home; /* index of the thread that does its input and output */
        unsigned assigned_count;
        bool exclusive; /* its running call still streams: nothing may be put behind it */
        bool in_doubt;  /* a call's time was up and none was answered since: see pool_drop() */
        bool is_fresh;  /* has served nobody yet */
        bool is_ahead;  /* was booted ahead of calls: nobody had asked for it */
        uint64_t boot_since_ns;
        size_t brings_to; /* when its boot began, so many lived or booted, itself included */
        uint64_t idle_since_ns;
        uint64_t head_since_ns; /* when the running call became the running one */
};

/* Each thread has the time at which its loop's turn began: "now" may lie before "since". */
static inline uint64_t pool_elapsed(uint64_t since_ns, uint64_t now_ns)
{
        return now_ns > since_ns ? now_ns - since_ns : 0;
}

const char *instance_state_name(enum instance_state state);
/* The transition table. */
bool instance_may_become(enum instance_state from, enum instance_state to);
