/* The files of one function's log: two segments of whole lines, "current" and "previous", in a
 * folder of its own.
 *
 * A segment that is full becomes "previous" in one rename(2). A crash or a full disk may leave part
 * of a line at the end of "current": readers stop before it, and the next writer cuts it off.
 * Everything blocks; callers see to it that only one is at work. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

struct log_ring {
        char *folder; /* owned */
        uint32_t segment_bytes;
};

/* Makes nothing yet. 0 or -ENOMEM. */
int log_ring_init(struct log_ring *ring, const char *parent, const char *name,
                  uint32_t segment_bytes);
void log_ring_deinit(struct log_ring *ring);

/* Whole lines. 0 or a negative errno; part of them may then be written. */
int log_ring_write(const struct log_ring *ring, struct slice lines);
/* Visits the lines, without their newlines, newest first, until `visit` returns false. */
int log_ring_read(const struct log_ring *ring, bool (*visit)(struct slice line, void *context),
                  void *context);
/* Removes the files and the folder. */
void log_ring_remove(const struct log_ring *ring);
