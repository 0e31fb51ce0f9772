/* Which pages of memory a copy of the nursery will write to.
 *
 * Every copy goes through the same steps until its first call is answered, and at each page that it is the
 * first to write to it meets a page fault, after which the processor has forgotten half of what it was
 * doing. So the nursery makes one copy for trial, which goes through these steps and tells what it has
 * written to, and ends. These pages are made every later copy's own in one go, when it is born. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Pages in sequence. */
struct foresight_span {
        size_t start, size; /* bytes */
};

/* In the trial: those that it has written to since it was copied, sent to a pipe. 0 or a negative errno. */
int foresight_tell(int fd);
/* In the nursery: reads them, until the trial has ended. A part of them is as good as it is long. */
void foresight_hear(int fd);
/* In a later copy: they become its own. */
void foresight_use(void);
