/* The snapshots of Python functions: what the first instance of a version leaves to the others when it
 * has imported the function's module (runtimes/snapshot/snapshot.h).
 *
 * The agent keeps the memfds and never looks into one but for its first word. An instance writes to
 * one, or reads one that only an instance of the same code, handler and environment can have
 * written; before anybody reads it, it is sealed.
 *
 * They are bounded in number and size, and the first to go when the host is short of memory.
 */
#pragma once

#include "base/list.h"
#include "wire/agent_protocol.h"

#include <stddef.h>
#include <stdint.h>

struct snapshots {
        struct list all; /* the last used one first */
        size_t count;
        uint64_t bytes, last_number;
        int proc_fd; /* borrowed: the host's /proc */
};

void snapshots_init(struct snapshots *snapshots, int proc_fd);
/* Also when the nursery has ended: they go with its address layout. */
void snapshots_clear(struct snapshots *snapshots);
/* Drops what nobody has used for an hour, and all where memory is short. */
void snapshots_review(struct snapshots *snapshots, uint64_t now_ns);

/* A descriptor that is to go with this request's BOOT, lent until the next call: a snapshot to load,
 * *ret_loaded then says which, or an empty one to fill. -1: neither. */
int snapshots_lend(struct snapshots *snapshots, const struct agent_spawn *request, uint64_t now_ns,
                   uint64_t *ret_loaded);
/* An instance that had loaded that one has ended by a signal or as broken: nobody else shall. Unknown
 * numbers are ignored. */
void snapshots_condemn(struct snapshots *snapshots, uint64_t loaded);
