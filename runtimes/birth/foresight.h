/* Which pages of memory a copy of the nursery will write to.
 *
 * Every copy goes through the same steps until its first call is answered, and at each page that it is the
 * first to write to it meets a page fault, after which the processor has forgotten half of what it was
 * doing. So the nursery sends one copy ahead (scout.h), and looks what that has written to when it has gone
 * through these steps. These pages are made every later copy's own in one go, when it is born. */
#pragma once

#include <sys/types.h>

/* In the nursery: what the scout has written to since it was copied. */
void foresight_learn(pid_t scout);
/* In a later copy: these pages become its own. */
void foresight_use(void);
