/* What a nursery does, whatever its language: it hears the agent on descriptor 3 alone, and gives birth.
 *
 * A request is eight bytes, the agent's number for it, with the descriptors that birth.h names. The answer
 * is the number, an errno (0: it waits for its function now) and the name of the failed step. */
#pragma once

#include "birth.h"
#include "scout.h"

#define NURSERY_FD 3

/* Gives up what it does not need, and takes the system call filter that its children shall have. 0, or
 * a negative errno with the step's name. */
int nursery_begin(const char **ret_step);

/* What a language does around a copy; each may be NULL. */
struct nursery_hooks {
        void (*before)(void);
        void (*after_in_parent)(void);
        void (*after_in_child)(void);
};

/* Returns in a new process; the nursery itself ends with the agent. */
void nursery_serve(const struct nursery_hooks *hooks, const struct birth_ways *ways,
                   const struct scout_errand *errand);
