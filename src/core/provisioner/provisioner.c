/* When a boot may begin; see provisioner.h. */
#include "core/provisioner/provisioner.h"

#include <assert.h>

void provisioner_init(struct provisioner *provisioner, uint64_t memory_budget_bytes,
                      size_t boots_max)
{
        *provisioner = (struct provisioner){.memory_budget_bytes = memory_budget_bytes,
                                            .boots_max = boots_max};
}

static bool provisioner_is_full_for(const struct provisioner *provisioner, size_t owner_boots)
{
        return provisioner_is_full(provisioner) ||
               (provisioner->boots_max > 1 && owner_boots >= provisioner->boots_max - 1);
}

enum boot_answer provisioner_ask(const struct provisioner *provisioner,
                                 const struct boot_record *record, size_t owner_boots,
                                 uint64_t memory_bytes, uint64_t now_ns)
{
        if (memory_bytes > provisioner->memory_budget_bytes)
                return BOOT_TOO_LARGE;
        if (now_ns < record->not_before_ns)
                return BOOT_BACKING_OFF;
        if (provisioner_is_full_for(provisioner, owner_boots))
                return BOOT_LATER;
        if (memory_bytes > provisioner_free_bytes(provisioner))
                return BOOT_NO_MEMORY;
        return BOOT_NOW;
}

bool provisioner_may_boot_ahead(const struct provisioner *provisioner,
                                const struct boot_record *record, size_t owner_boots,
                                uint64_t memory_bytes, uint64_t now_ns)
{
        return record->failures == 0 &&
               provisioner_ask(provisioner, record, owner_boots, memory_bytes, now_ns) == BOOT_NOW;
}

void provisioner_boot_began(struct provisioner *provisioner, uint64_t memory_bytes)
{
        assert(memory_bytes <= provisioner_free_bytes(provisioner));
        provisioner->boots++;
        provisioner->memory_used_bytes += memory_bytes;
}

void provisioner_boot_ready(struct provisioner *provisioner, struct boot_record *record)
{
        assert(provisioner->boots > 0);
        provisioner->boots--;
        *record = (struct boot_record){0};
}

void provisioner_boot_failed(struct provisioner *provisioner, struct boot_record *record,
                             uint64_t now_ns)
{
        uint64_t delay_ns = BOOT_BACKOFF_FIRST_NS;

        assert(provisioner->boots > 0);
        provisioner->boots--;
        if (now_ns < record->not_before_ns)
                return; /* it began beside one whose failure is counted: the same bad moment */
        for (unsigned i = 0; i < record->failures && delay_ns < BOOT_BACKOFF_MAX_NS; i++)
                delay_ns *= 2;
        if (delay_ns > BOOT_BACKOFF_MAX_NS)
                delay_ns = BOOT_BACKOFF_MAX_NS;
        record->failures++;
        record->not_before_ns = now_ns + delay_ns;
}

void provisioner_gone(struct provisioner *provisioner, uint64_t memory_bytes)
{
        assert(provisioner->memory_used_bytes >= memory_bytes);
        provisioner->memory_used_bytes -= memory_bytes;
}
