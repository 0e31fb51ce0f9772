/* Verified credentials; see token_cache.h. */
#include "core/auth/token_cache.h"

_Static_assert(sizeof(struct token_cache_entry) == 64, "an entry is a cache line");
_Static_assert((TOKEN_CACHE_SETS & (TOKEN_CACHE_SETS - 1)) == 0, "bits of the digest choose a set");

/* The digest is as good as random, so any of its bits will do. */
static size_t set_of(const struct credential_digest *digest)
{
        uint32_t bits;

        memcpy(&bits, digest->bytes, sizeof(bits));
        return bits & (TOKEN_CACHE_SETS - 1);
}

static bool digest_equal(const struct credential_digest *a, const struct credential_digest *b)
{
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void token_cache_init(struct token_cache *cache)
{
        memset(cache, 0, sizeof(*cache));
}

const struct token_cache_entry *token_cache_find(const struct token_cache *cache,
                                                 const struct credential_digest *digest,
                                                 uint64_t now_s)
{
        const struct token_cache_entry *set = cache->sets[set_of(digest)];

        for (size_t i = 0; i < TOKEN_CACHE_WAYS; i++)
                if (set[i].until_s > now_s && digest_equal(&set[i].digest, digest))
                        return &set[i];
        return NULL;
}

void token_cache_put(struct token_cache *cache, const struct credential_digest *digest,
                     const char *user_id, uint64_t epoch, uint64_t until_s, uint64_t now_s)
{
        struct token_cache_entry *set = cache->sets[set_of(digest)];
        struct token_cache_entry entry = {.digest = *digest, .until_s = until_s, .epoch = epoch};
        size_t victim = 0;

        memcpy(entry.user_id, user_id, strnlen(user_id, ID_LENGTH));
        while (victim < TOKEN_CACHE_WAYS - 1 && set[victim].until_s > now_s &&
               !digest_equal(&set[victim].digest, digest))
                victim++;
        memmove(set + 1, set, victim * sizeof(*set));
        set[0] = entry;
}
