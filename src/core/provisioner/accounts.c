/* Whose memory it is; see accounts.h. */
#include "core/provisioner/accounts.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void accounts_init(struct accounts *accounts, uint64_t budget_bytes)
{
        accounts->budget_bytes = budget_bytes;
        accounts->waiting_users = 0;
        accounts->search = accounts->look = 1;
        for (size_t i = 0; i < ACCOUNTS_BUCKETS; i++)
                list_init(&accounts->buckets[i]);
}

void accounts_deinit(struct accounts *accounts)
{
        for (size_t i = 0; i < ACCOUNTS_BUCKETS; i++) {
                struct list *link;
                while (accounts->buckets[i].next && (link = list_pop_front(&accounts->buckets[i])))
                        free(CONTAINER_OF(link, struct account, link));
        }
}

/* Ids are the server's own, so their hash needs no seed. */
static size_t bucket_of(const char *owner)
{
        return hash_bytes(owner, strlen(owner), 0) % ACCOUNTS_BUCKETS;
}

static struct account *accounts_find(const struct accounts *accounts, const char *owner)
{
        const struct list *bucket = &accounts->buckets[bucket_of(owner)];
        struct account *account;

        LIST_FOR_EACH (account, bucket, link)
                if (strcmp(account->owner, owner) == 0)
                        return account;
        return NULL;
}

static struct account *accounts_open(struct accounts *accounts, const char *owner)
{
        struct account *account = accounts_find(accounts, owner);

        if (account)
                return account;
        account = calloc(1, sizeof(*account));
        if (!account)
                return NULL;
        assert(strlen(owner) < sizeof(account->owner));
        memcpy(account->owner, owner, strlen(owner) + 1);
        list_push_back(&accounts->buckets[bucket_of(owner)], &account->link);
        return account;
}

static void account_close_empty(struct account *account)
{
        if (account->used_bytes > 0 || account->waiting > 0 || account->boots > 0)
                return;
        list_remove(&account->link);
        free(account);
}

void accounts_take(struct accounts *accounts, const char *owner, uint64_t bytes)
{
        struct account *account = accounts_open(accounts, owner);

        if (account)
                account->used_bytes += bytes;
}

void accounts_give(struct accounts *accounts, const char *owner, uint64_t bytes)
{
        struct account *account = accounts_find(accounts, owner);

        if (!account)
                return;
        account->used_bytes -= bytes < account->used_bytes ? bytes : account->used_bytes;
        account_close_empty(account);
}

void accounts_wait(struct accounts *accounts, const char *owner)
{
        struct account *account = accounts_open(accounts, owner);

        if (account && account->waiting++ == 0)
                accounts->waiting_users++;
}

void accounts_wait_no_more(struct accounts *accounts, const char *owner)
{
        struct account *account = accounts_find(accounts, owner);

        if (!account || account->waiting == 0)
                return;
        if (--account->waiting == 0)
                accounts->waiting_users--;
        account_close_empty(account);
}

bool accounts_may_give(const struct holding *giver, const struct holding *taker,
                       uint64_t free_bytes)
{
        uint64_t missing, given, left;

        if (giver->instances == 0)
                return false;
        if (taker->instances == 0)
                return giver->instances > 1;
        missing = taker->instance_bytes > free_bytes ? taker->instance_bytes - free_bytes : 0;
        given = (missing + giver->instance_bytes - 1) / giver->instance_bytes;
        if (given >= giver->instances)
                return false;
        left = (giver->instances - given) * giver->instance_bytes;
        return left >= holding_bytes(taker) + taker->instance_bytes;
}

void accounts_wait_with(struct accounts *accounts, const char *owner, const struct holding *holding)
{
        struct account *account = accounts_find(accounts, owner);

        if (!account || (account->least_look == accounts->look &&
                         holding_bytes(&account->least) <= holding_bytes(holding)))
                return;
        account->least = *holding;
        account->least_look = accounts->look;
}

bool accounts_another_comes_first(const struct accounts *accounts, const char *owner,
                                  const struct holding *holding, bool can_give, uint64_t free_bytes)
{
        const struct account *account = accounts_find(accounts, owner);

        if (!account || account->waiting == 0 || account->least_look != accounts->look ||
            holding_bytes(&account->least) >= holding_bytes(holding))
                return false;
        if (!can_give && account->least.instance_bytes > free_bytes)
                return false;
        return account->least.instances == 0 ||
               accounts_may_give(holding, &account->least, free_bytes);
}

void accounts_begin_look(struct accounts *accounts)
{
        accounts->look++;
}

void accounts_boot_began(struct accounts *accounts, const char *owner)
{
        struct account *account = accounts_open(accounts, owner);

        if (account)
                account->boots++;
}

void accounts_boot_ended(struct accounts *accounts, const char *owner)
{
        struct account *account = accounts_find(accounts, owner);

        if (!account || account->boots == 0)
                return;
        account->boots--;
        account_close_empty(account);
}

size_t accounts_boots(const struct accounts *accounts, const char *owner)
{
        const struct account *account = accounts_find(accounts, owner);

        return account ? account->boots : 0;
}

uint64_t accounts_used(const struct accounts *accounts, const char *owner)
{
        const struct account *account = accounts_find(accounts, owner);

        return account ? account->used_bytes : 0;
}

void accounts_begin_search(struct accounts *accounts)
{
        accounts->search++;
}

void accounts_sought_in_vain(struct accounts *accounts, const char *owner, uint64_t bytes)
{
        struct account *account = accounts_find(accounts, owner);

        if (!account)
                return;
        account->vain_search = accounts->search;
        account->vain_bytes = bytes;
}

bool accounts_would_be_in_vain(const struct accounts *accounts, const char *owner, uint64_t bytes)
{
        const struct account *account = accounts_find(accounts, owner);

        return account && account->vain_search == accounts->search && bytes >= account->vain_bytes;
}

static bool accounts_waits(const struct accounts *accounts, const char *owner)
{
        const struct account *account = accounts_find(accounts, owner);

        return account && account->waiting > 0;
}

/* Of these two (`other` may be NULL), who count whether they wait or not, and of all who wait. */
static uint64_t accounts_share(const struct accounts *accounts, const char *owner,
                               const char *other)
{
        size_t users = accounts->waiting_users + !accounts_waits(accounts, owner);

        if (other && strcmp(owner, other) != 0)
                users += !accounts_waits(accounts, other);
        return accounts->budget_bytes / users;
}

static bool accounts_somebody_with_less_waits(const struct accounts *accounts, const char *owner,
                                              uint64_t used_bytes)
{
        const struct account *account;

        for (size_t i = 0; i < ACCOUNTS_BUCKETS; i++)
                LIST_FOR_EACH (account, &accounts->buckets[i], link)
                        if (account->waiting > 0 && account->used_bytes < used_bytes &&
                            strcmp(account->owner, owner) != 0)
                                return true;
        return false;
}

bool accounts_may_take(const struct accounts *accounts, const char *owner, uint64_t bytes)
{
        if (accounts->waiting_users == accounts_waits(accounts, owner))
                return true; /* nobody else waits */
        return accounts_used(accounts, owner) + bytes <= accounts_share(accounts, owner, NULL) ||
               !accounts_somebody_with_less_waits(accounts, owner, accounts_used(accounts, owner));
}

bool accounts_must_yield(const struct accounts *accounts, const char *owner, const char *other,
                         uint64_t bytes)
{
        uint64_t share = accounts_share(accounts, owner, other);

        return strcmp(owner, other) != 0 && accounts_used(accounts, owner) > share &&
               accounts_used(accounts, other) + bytes <= share;
}

/* Who has what he needs does not wait, and is one of those who share all the same. */
bool accounts_is_spared(const struct accounts *accounts, const char *owner, const char *other,
                        uint64_t bytes)
{
        uint64_t share = accounts_share(accounts, owner, other);

        return strcmp(owner, other) != 0 && accounts_used(accounts, owner) <= share &&
               accounts_used(accounts, other) + bytes > share;
}
