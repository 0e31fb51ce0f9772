/* Demand -> boots, within what the machine has.
 *
 * The pool of each function says how many boots it wants (pool_wanted_boots); the provisioner says
 * whether one may begin now. It keeps four bounds: memory promised to instances, boots at once (a
 * boot is processor work: more at once makes all of them late), boots of one owner (some only sleep,
 * and for as long as they may: the last one is somebody else's), and patience with a function whose
 * instances die before they are ready (its boots back off exponentially).
 *
 * Pure, and not locked: one thread, the scheduler's, owns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_BACKOFF_FIRST_NS 100000000ull
#define BOOT_BACKOFF_MAX_NS 30000000000ull

struct provisioner {
        uint64_t memory_budget_bytes; /* the sum of the limits of live instances stays below */
        uint64_t memory_used_bytes;
        size_t boots_max;
        size_t boots;
};

/* One function's record. */
struct boot_record {
        unsigned failures; /* since a boot succeeded; boots that began together count as one */
        uint64_t not_before_ns;
};

enum boot_answer {
        BOOT_NOW,
        BOOT_LATER, /* enough boots are under way, or of this owner's: ask again when one ends */
        BOOT_NO_MEMORY,   /* end an idle instance of somebody and ask again */
        BOOT_TOO_LARGE,   /* would not fit into an empty machine */
        BOOT_BACKING_OFF, /* its last boots failed: not before record->not_before_ns */
};

void provisioner_init(struct provisioner *provisioner, uint64_t memory_budget_bytes,
                      size_t boots_max);
/* `owner_boots`: of the function's owner, under way. */
enum boot_answer provisioner_ask(const struct provisioner *provisioner,
                                 const struct boot_record *record, size_t owner_boots,
                                 uint64_t memory_bytes, uint64_t now_ns);
static inline uint64_t provisioner_free_bytes(const struct provisioner *provisioner)
{
        return provisioner->memory_budget_bytes - provisioner->memory_used_bytes;
}
static inline bool provisioner_is_full(const struct provisioner *provisioner)
{
        return provisioner->boots >= provisioner->boots_max;
}
/* May one begin now that nobody waits for? It takes nobody's place and nobody's memory, and tries no
 * function whose last boot failed: the next call will. */
bool provisioner_may_boot_ahead(const struct provisioner *provisioner,
                                const struct boot_record *record, size_t owner_boots,
                                uint64_t memory_bytes, uint64_t now_ns);
/* A boot begins, and later is ready or has failed; when the instance is gone, its memory is back. */
void provisioner_boot_began(struct provisioner *provisioner, uint64_t memory_bytes);
void provisioner_boot_ready(struct provisioner *provisioner, struct boot_record *record);
void provisioner_boot_failed(struct provisioner *provisioner, struct boot_record *record,
                             uint64_t now_ns);
void provisioner_gone(struct provisioner *provisioner, uint64_t memory_bytes);
