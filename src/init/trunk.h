/* Trunks, the worker's end: whole calls come over them, and whole answers go, many in one system call
 * (docs/worker-protocol.md, "Trunks"). Lanes see none of it: what has come is the next that
 * lane_receive() gives, and lane_post() posts here what may go here.
 */
#pragma once

#include "init/lanes.h"

#define TRUNK_BATCH 32

struct trunk {
        struct list link;
        struct loop_source source;
        struct loop_task task; /* flushes, at the end of the turn */
        struct lanes *lanes;
        uint32_t number;
        struct lane *places[LANES_MAX];
        /* what leaves with this turn: a place and a frame each, one behind the other */
        size_t posted_count, posted_length;
        struct slice posted[TRUNK_BATCH];
        char outbox[8 * (WORKER_PLACE_SIZE + WORKER_TRUNK_MAX)];
        char inbox[TRUNK_BATCH][WORKER_PLACE_SIZE + WORKER_TRUNK_MAX];
};

/* Takes `fd` over. Where there is no memory for it, its lanes go without. */
void trunk_open(struct lanes *lanes, uint32_t number, int fd);
/* `value` is that of the lane's LANE frame. */
void trunk_join(struct lane *lane, uint64_t value);
void trunk_leave(struct lane *lane);

/* Copies a frame that may go by the lane's trunk. False where it may not. */
bool trunk_post(const struct lane *lane, const struct worker_frame *frame);
void trunk_flush(struct trunk *trunk);
