/* What http_lane.c and http_lane_answer.c have of each other. */
#pragma once

#include "init/http_lane.h"

/* Reads what there is of the answer, and posts what came of it. False where nothing can be read.
 * The outbox is empty. */
bool http_lane_receive_answer(struct http_lane *self);

void http_lane_disconnect(struct http_lane *self);
/* The connection has broken: tries again, or ends the invocation. */
void http_lane_break_off(struct http_lane *self);
/* The invocation ends with an ERROR; `fault` is a constant sentence. */
void http_lane_fail(struct http_lane *self, const char *fault);
