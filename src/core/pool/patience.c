/* When a line is too long; see patience.h. */
#include "core/pool/patience.h"

#include "core/pool/instance.h"

void patience_begin(struct patience *patience, size_t instances)
{
        *patience = (struct patience){.target_ns = patience->target_ns, .instances = instances};
}

static void patience_add(struct patience *patience, uint64_t now_ns)
{
        struct patience_count *now = &patience->now;

        if (now->since_ns == 0) {
                now->since_ns = now_ns;
                return;
        }
        now->served++;
        now->lasted_ns = pool_elapsed(now->since_ns, now_ns);
        if (now->lasted_ns < PATIENCE_INTERVAL * patience->target_ns)
                return;
        patience->before = *now;
        *now = (struct patience_count){.since_ns = now_ns};
}

void patience_served(struct patience *patience, uint64_t sojourn_ns, uint64_t now_ns)
{
        /* A line that sheds is kept at about the target: it ends clearly below, lest it begin anew at
         * once and everybody wait for another interval too long. */
        uint64_t good_ns = patience->shedding ? patience->target_ns / 2 : patience->target_ns;

        if (patience->target_ns == 0)
                return;
        patience_add(patience, now_ns);
        if (sojourn_ns < good_ns) {
                patience->above_since_ns = 0;
                patience->shedding = false;
        } else if (patience->above_since_ns == 0) {
                patience->above_since_ns = now_ns;
        }
}

void patience_grew(struct patience *patience, size_t instances)
{
        if (instances <= patience->instances)
                return; /* in the place of another: where many die, one will always be new */
        patience_begin(patience, instances);
}

bool patience_is_over(struct patience *patience, uint64_t head_ns, uint64_t now_ns)
{
        if (patience->target_ns == 0)
                return false;
        if (patience->above_since_ns == 0) {
                if (head_ns < patience->target_ns)
                        return false;
                patience->above_since_ns = now_ns;
        }
        if (pool_elapsed(patience->above_since_ns, now_ns) >=
            PATIENCE_INTERVAL * patience->target_ns)
                patience->shedding = true;
        return patience->shedding;
}

/* What was counted, until now. */
static struct patience_count patience_sum(const struct patience *patience, uint64_t now_ns)
{
        struct patience_count sum = patience->before;

        if (patience->now.since_ns > 0) {
                sum.lasted_ns += pool_elapsed(patience->now.since_ns, now_ns);
                sum.served += patience->now.served;
        }
        return sum;
}

size_t patience_most(const struct patience *patience, size_t places, uint64_t now_ns)
{
        struct patience_count sum = patience_sum(patience, now_ns);
        size_t most = places * PATIENCE_SHORT_PER_PLACE, served = 0;

        if (most < PATIENCE_SHORT)
                most = PATIENCE_SHORT;
        if (sum.lasted_ns > 0)
                served = (size_t)(sum.served * patience->target_ns / sum.lasted_ns);
        return served > most ? served : most;
}

uint64_t patience_drain_ns(const struct patience *patience, size_t count, uint64_t now_ns)
{
        struct patience_count sum = patience_sum(patience, now_ns);

        return sum.served > 0 ? count * (sum.lasted_ns / sum.served) : 0;
}
