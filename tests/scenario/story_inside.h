/* What the two halves of a story share. */
#pragma once

#include "story.h"

#define CALL_OF(pointer) CONTAINER_OF(pointer, struct story_call, pool_call)
#define INSTANCE_OF(pointer) CONTAINER_OF(pointer, struct story_instance, pool_instance)

/* Zeroed; never NULL. */
void *story_allocate(size_t size);
void story_say(struct story *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the acting thread takes for the time. */
uint64_t story_time(struct story *s);
/* Things of the same time happen in the order in which they were set. */
void story_set_due(struct story *s, struct story_instance *instance, uint64_t due_ns);
/* The pool has it as ENDING. */
void story_kill_sandbox(struct story *s, struct story_instance *instance, const char *why);
/* All but the running call. */
void story_take_back_from(struct story *s, struct story_instance *instance);

/* Begins the boots that are wanted, as far as they may. */
void story_plan(struct story *s);
/* What time alone brings about. */
void story_tick(struct story *s);
