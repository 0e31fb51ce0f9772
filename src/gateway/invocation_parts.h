/* What invocation*.c share and nobody else needs. */
#pragma once

#include "gateway/invocation.h"

/* Writes the header (its id is patched later) and the meta. The length, or 0 when it is too long. */
size_t invocation_write_head(const struct invocation *invocation,
                             const struct http_request *request,
                             const struct invocation_request *wanted, const char *peer,
                             bool complete, char *bytes, size_t capacity);
/* It is not in the pool and outlives the turn: its live must not go. */
void invocation_hold_live(struct invocation *invocation);
/* It has been given an instance that is not here yet. With the lock held. */
bool invocation_is_promised(const struct invocation *invocation);
/* It ends without the function's answer. Its instance does so, too, unless it runs others. */
void invocation_break_off(struct invocation *invocation, enum outcome outcome, const char *detail);
/* The worker broke the protocol: its instance ends, and all its calls. */
void invocation_ruin(struct invocation *invocation, enum outcome outcome, const char *detail);
/* Stops and starts reading its answer. */
void invocation_pause(struct invocation *invocation, bool paused);
/* Its connection (if any) goes on to the next request. */
void invocation_free(struct invocation *invocation);
