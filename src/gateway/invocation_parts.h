/* What invocation.c and invocation_answer.c share and nobody else needs. */
#pragma once

#include "gateway/invocation.h"

/* It is not in the pool and outlives the turn: its live must not go. */
void invocation_hold_live(struct invocation *invocation);
/* Its connection (if any) goes on to the next request. */
void invocation_free(struct invocation *invocation);
