/* Slots: what a sandbox borrows while it lives. A slot's number names its control group and gives
 * it a host user of its own; no two sandboxes have one at the same time. Several agents on a host
 * (one a data directory) draw their users from different ranges, chosen by a hash.
 *
 * The user namespace that maps the function's user to it is made when the slot is first used and
 * kept for the next one: entering it costs 3 us, making it 100.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define SLOT_COUNT 16384
#define SLOT_UID_FIRST 2000000000u
#define SLOT_UID_RANGES 8192u /* of SLOT_COUNT users each; the last ends below 2^31 */
#define SLOT_UID_INSIDE 1000u

struct slots {
        int proc_fd;         /* borrowed: the host's /proc */
        uint32_t uid_first;  /* slot 0's host user */
        uint32_t used_count; /* slots that were ever taken: 0 .. used_count - 1 */
        uint32_t free_count;
        uint32_t *free_slots; /* a stack: the one given back last is warm in the caches */
        int *user_fds;        /* user namespaces, -1: not made */
};

/* `hash` chooses the range of users. */
int slots_init(struct slots *slots, int proc_fd, uint64_t hash);
void slots_deinit(struct slots *slots);

/* 0; -EBUSY: all are taken. The user namespace stays the pool's. */
int slots_take(struct slots *slots, uint32_t *ret_slot, int *ret_user_fd, struct err *err);
void slots_give_back(struct slots *slots, uint32_t slot);
