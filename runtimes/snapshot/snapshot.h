/* Copies of a process that stand in for a fork where no fork can reach.
 *
 * A function's module may take seconds to import. Whoever has done it could fork itself for every new
 * instance; but each instance has namespaces of its own, and an unprivileged process cannot put a
 * fork of itself into those. Its memory can go, though: all interpreters are forks of one nursery,
 * so they agree in addresses and in nearly every page. What one of them has changed is written to a
 * memfd (saved), and another puts that over its own memory and goes on where the first was (loaded).
 * Both are ordinary processes of their sandboxes; no privilege takes part, and only a function's own
 * version ever sees what it has saved.
 *
 *     nursery:   snapshot_begin()       the pages that all its forks start with, and their hashes
 *     any fork:  snapshot_wait()        what it has changed since; then it waits for its BOOT frame
 *     the first: import, snapshot_save()
 *     others:    snapshot_wait() loads, and "returns" from the first one's snapshot_save()
 *
 * What a snapshot cannot hold is refused when it is saved: threads, children, timers, descriptors
 * beyond the first four, shared mappings. What a fork would wipe (MADV_WIPEONFORK) comes up empty.
 *
 * It is a library for ctypes: load it without releasing the interpreter's lock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#define SNAPSHOT_FD 4 /* where the memfd is while there is one */

/* Once, in the nursery, with /proc mounted. 0 or a negative errno: then the rest does nothing. */
int snapshot_begin(void);

/* One message from `socket_fd` into snapshot_message(). Its length, 0 at the end, or a negative
 * errno. A complete snapshot that came with it is loaded, and this does not return. An empty memfd
 * is left at SNAPSHOT_FD, for snapshot_save(); *ret_has_fd says so. */
long snapshot_wait(int socket_fd, int *ret_has_fd);
const void *snapshot_message(void);

/* 0: saved; 1: this is a process that has loaded it; or a negative errno, when nothing was saved:
 * -EBUSY where the process has something that no snapshot can hold. */
int snapshot_save(uint64_t memory_limit);
/* There will be none. */
void snapshot_refuse(void);
/* Since the message came. */
uint64_t snapshot_age_us(void);
/* The process needs nothing of all this any more: its tables are given back. */
void snapshot_forget(void);

#pragma GCC visibility pop
