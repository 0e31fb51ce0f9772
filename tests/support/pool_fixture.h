/* One pool with instances and calls to play with, for tests of single decisions. */
#pragma once

#include "base/clock.h"
#include "core/pool/pool.h"
#include "testing.h"

#define US 1000ull
#define MS NS_PER_MS
#define S NS_PER_S

static struct pool pool;
static struct pool_instance instances[64];
static struct pool_call calls[256];
static size_t instance_count, call_count;

static inline void start(unsigned home_count)
{
        pool_init(&pool, home_count);
        instance_count = call_count = 0;
}

static inline struct pool_call *call_from(unsigned home)
{
        struct pool_call *call = &calls[call_count++];
        pool_call_init(call, home);
        return call;
}

static inline struct pool_call *take(unsigned home, uint64_t now_ns, enum take_result expected)
{
        struct pool_call *call = call_from(home);
        ck_assert_int_eq(pool_take(&pool, call, now_ns), expected);
        return call;
}

static inline struct pool_instance *boot(void)
{
        struct pool_instance *instance = &instances[instance_count++];
        pool_instance_init(instance);
        pool_add_booting(&pool, instance, 0);
        return instance;
}

static inline struct pool_instance *stock(unsigned home, uint64_t now_ns)
{
        struct pool_instance *instance = boot();
        struct pool_call *next = NULL;

        instance->home = home;
        ck_assert_int_eq(pool_ready(&pool, instance, now_ns, &next), RELEASE_IDLE);
        return instance;
}

static inline struct pool_call *release(struct pool_call *call, uint64_t now_ns,
                                        enum release_result expected)
{
        struct pool_call *next = NULL;
        ck_assert_int_eq(pool_release(&pool, call, now_ns, &next), expected);
        return next;
}

/* One instance that has served a call of `run_ns`, idle from then on. */
static inline struct pool_instance *stock_that_took(unsigned home, uint64_t run_ns)
{
        struct pool_instance *instance = stock(home, 0);
        struct pool_call *call = take(home, 0, TAKE_RUNNING);

        ck_assert_ptr_eq(call->instance, instance);
        release(call, run_ns, RELEASE_IDLE);
        return instance;
}
