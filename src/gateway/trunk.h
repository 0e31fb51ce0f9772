/* A trunk: one socket to the worker for what is whole in one frame on any lane of one gateway thread.
 *
 * A small call over a lane costs two system calls on either side, and the worker's loop an event. By a
 * trunk all calls of a turn leave in one sendmmsg(2), and all answers that came meanwhile are taken by one
 * recvmmsg(2). Whatever streams goes over the lane itself, whose buffer is its window; so does what finds
 * no room here. Which of the two a frame comes by makes no difference to what it means.
 *
 * All of it is its thread's. It lives as long as a lane is on it.
 */
#pragma once

#include "gateway/lane.h"

#define TRUNK_FRAMES 31 /* that are taken at once, at most: the thread's inbox has one place more */

struct trunk {
        struct instance *instance;
        struct gateway_thread *thread;
        struct loop_source source;
        int fd;
        unsigned lane_count, place_count;
        unsigned
                left_count; /* calls that were given up with their lanes: an answer each may come */
        struct lane *places[];
};

/* A fresh lane gets a place on its thread's trunk, where the worker takes one; `ret_value` is for its LANE
 * frame then. */
void trunk_join(struct lane *lane, uint64_t *ret_value);
/* The lane is about to be freed. */
void trunk_leave(struct lane *lane);

/* Does this INVOKE frame, pending on a lane, go by the lane's trunk? */
bool trunk_takes(const struct pending_frame *frame);
/* Sends the thread's pending frames for it, from the one at `first` on. Those that find no room stay
 * pending, to go by their lanes. */
void trunk_flush(struct trunk *trunk, size_t first);
/* Takes what has come, of at most `most` frames. Returns their number, 0 when there was none. */
int trunk_receive(struct trunk *trunk, unsigned most);
