/* Whose is the memory that instances are promised? When all of it is given away, who holds more than an
 * even share of it gets no more while somebody with less waits, and is the first to give some back.
 *
 * An even share is the budget divided by the users who want memory now: nobody is held to it while there
 * is enough, or while nobody else waits. Only stock that was used lately is spared for who wants none.
 *
 * Pure, and not locked: it belongs to the scheduler, as the provisioner does.
 */
#pragma once

#include "base/list.h"
#include "core/registry/function.h"

#define ACCOUNTS_BUCKETS 256
/* Stock of somebody within his share that was used so lately is not taken for somebody beyond his. */
#define ACCOUNTS_GRACE_NS 10000000000ull

/* What a function has, in instances of one size. */
struct holding {
        size_t instances;
        uint64_t instance_bytes;
};

static inline uint64_t holding_bytes(const struct holding *holding)
{
        return holding->instances * holding->instance_bytes;
}

struct account {
        struct list link;
        char owner[ID_LENGTH + 1];
        uint64_t used_bytes;
        size_t waiting;       /* functions that want an instance and found no memory for it */
        struct holding least; /* of those of them that were seen in this look */
        uint64_t least_look;
        size_t boots;                     /* that are under way */
        uint64_t vain_search, vain_bytes; /* the last search that found nothing, and for how many */
};

struct accounts {
        uint64_t budget_bytes;
        size_t waiting_users;
        uint64_t search, look; /* count them */
        struct list buckets[ACCOUNTS_BUCKETS];
};

void accounts_init(struct accounts *accounts, uint64_t budget_bytes);
void accounts_deinit(struct accounts *accounts);

/* An instance of this user's is made, and later gone. Without memory for the account he is simply not
 * seen to use any. */
void accounts_take(struct accounts *accounts, const char *owner, uint64_t bytes);
void accounts_give(struct accounts *accounts, const char *owner, uint64_t bytes);
/* One of his functions waits for memory from now on, or waits no more. */
void accounts_wait(struct accounts *accounts, const char *owner);
void accounts_wait_no_more(struct accounts *accounts, const char *owner);

/* May one of his functions give another as much as that needs for one more, besides `free_bytes`, and still
 * have no less than that then has? To one that has none it may, as long as it keeps one. */
bool accounts_may_give(const struct holding *giver, const struct holding *taker,
                       uint64_t free_bytes);
/* One of those that wait has so much. Until all who wait are looked at again, what comes free is for it before
 * it is for those of his others that may give it some; where it has none, before it is for all of them. Who
 * can give nothing does not wait for what would not do without. */
void accounts_wait_with(struct accounts *accounts, const char *owner,
                        const struct holding *holding);
bool accounts_another_comes_first(const struct accounts *accounts, const char *owner,
                                  const struct holding *holding, bool can_give,
                                  uint64_t free_bytes);
void accounts_begin_look(struct accounts *accounts);

/* One of his instances begins to boot, and is ready or has failed. */
void accounts_boot_began(struct accounts *accounts, const char *owner);
void accounts_boot_ended(struct accounts *accounts, const char *owner);
/* Of those who want to boot, whoever has the fewest under way comes first. */
size_t accounts_boots(const struct accounts *accounts, const char *owner);

uint64_t accounts_used(const struct accounts *accounts, const char *owner);
/* May this user have so many bytes, if they are there? */
bool accounts_may_take(const struct accounts *accounts, const char *owner, uint64_t bytes);
/* Is stock that `owner` has used lately not to be taken, so that `other` can have so many bytes? */
bool accounts_is_spared(const struct accounts *accounts, const char *owner, const char *other,
                        uint64_t bytes);
/* Who looks for somebody to take memory from looks at everybody: where nobody had so many bytes for this
 * user, nobody has as many or more for another function of his until the next search begins. */
void accounts_begin_search(struct accounts *accounts);
void accounts_sought_in_vain(struct accounts *accounts, const char *owner, uint64_t bytes);
bool accounts_would_be_in_vain(const struct accounts *accounts, const char *owner, uint64_t bytes);
/* Must `owner` end an instance that is in use, so that `other` can have so many bytes? */
bool accounts_must_yield(const struct accounts *accounts, const char *owner, const char *other,
                         uint64_t bytes);
