/* What lane.c and lanes.c share and nobody else needs. */
#pragma once

#include "gateway/instance.h"
#include "gateway/lane.h"

struct worker_frame;

/* Nothing is read from it or written to it any more; its letter frees it. */
void lane_close(struct lane *lane);
/* The worker's end is closed: it dies, and the agent will say of what; or it broke the protocol. */
void lane_hang_up(struct lane *lane);
/* What the worker said before its end still counts. */
void lane_receive_rest(struct lane *lane);
/* False for a frame that does not belong here. */
bool lane_take_frame(struct lane *lane, const struct worker_frame *frame);
void lane_on_socket(struct loop_source *source, uint32_t events);
void lane_on_timer(struct timer *timer);

/* The call was not sent: it waits again, in front of the line. The instance is ENDING, and may be
 * gone afterwards. */
void lanes_return(struct invocation *invocation, const struct slice *parts, size_t count);
/* With the lock held: neither idle nor counted. */
void lane_withdraw(struct lane *lane);
/* The letter. */
void lane_on_letter(struct letter *letter);
