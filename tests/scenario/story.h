/* A story: functions, calls and instances on virtual time, told line by line.
 *
 * The story plays the part of the gateway and its scheduler. It drives the real pool and the real
 * provisioner, carries out what they decide, and writes down what happens:
 *
 *     AUTO(story_free) struct story *s = story_of_one_function();
 *     story_call(s, "a");
 *     story_pass(s, 12 * MS);
 *     EXPECT_STORY(s, "[  0] a > waits\n"
 *                     "[  0] #1 > boots\n"
 *                     "[ 12] a > runs on #1 (cold)\n");
 *
 * Times are in milliseconds. A call runs until its body is over or, STORY_BY_HAND, until the test
 * says so. There is no clock and no chance that the seed does not decide: a story told twice is the
 * same story.
 */
#pragma once

#include "base/auto.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "core/invoker/outcome.h"
#include "core/pool/pool.h"
#include "core/provisioner/keep_alive.h"
#include "core/provisioner/provisioner.h"

#define US 1000ull
#define MS NS_PER_MS
#define S NS_PER_S
#define MIB (1024ull * 1024)

#define STORY_BY_HAND UINT64_MAX
#define STORY_FUNCTIONS_MAX 4

struct story_function {
        struct pool pool;
        struct boot_record record;
        uint64_t memory_bytes;
        size_t min_instances, max_instances;
        uint64_t boot_ns, body_ns;        /* what its boots and its calls take */
        uint64_t grace_ns, keep_alive_ns; /* in stock: until it is frozen, until it ends */
        uint64_t wait_max_ns;             /* who would wait longer is refused at once */
        struct keep_alive keep_alive;     /* where it is learned; see story_learn() */
        unsigned failing_boots;           /* that many of the next boots fail */
        size_t boots;                     /* begun so far */
};

struct story_instance {
        struct pool_instance pool_instance;
        struct list link;     /* story->instances, from its boot until it is gone */
        struct list due_link; /* story->due */
        uint64_t due_ns;      /* booted, the first of its running calls over, or gone */
        struct story_function *function;
        unsigned number, home_before;
        size_t served; /* calls begun */
};

struct story_call {
        struct pool_call pool_call;
        struct list link; /* story->calls until it ends, then story->ended */
        struct story_function *function;
        char name[16];
        uint64_t body_ns, due_ns;
        uint64_t arrived_ns, began_ns, ended_ns;
        enum outcome outcome;
};

struct story {
        uint64_t now_ns, next_tick_ns;
        struct provisioner provisioner;
        struct story_function functions[STORY_FUNCTIONS_MAX];
        size_t function_count, next_function;
        struct list instances, calls, ended;
        struct list due;         /* instances, the soonest first */
        unsigned instance_count; /* ever */
        size_t open_calls;
        unsigned processors; /* bodies that run at full speed at once; 0: any number */
        uint64_t lag_max_ns; /* how far a thread's clock may be behind */
        uint64_t chance;
        struct buffer log;
        bool quiet;        /* write no log */
        bool unchecked;    /* a crowd is too large to look at after every step */
        bool moved;        /* something has happened since the rules were checked */
        const char *fault; /* the first rule that was broken; see story_check.c */

        /* A call has ended; it is freed afterwards. May call again. */
        void (*on_end)(struct story *s, struct story_call *call);
        void *context; /* the test's own */
};

/* One home, boots of 12 ms, at most two at once, a thousand instances, and calls ended by hand. */
struct story *story_of_one_function(void);
struct story *story_new(unsigned home_count, size_t boots_max, uint64_t memory_budget_bytes);
/* With the defaults of story_of_one_function(). */
struct story_function *story_add_function(struct story *s);
/* Its keep-alive is learned; `bin_ns` takes the part of a minute. */
void story_learn(struct story_function *function, uint64_t bin_ns);
void story_free(struct story **s);

/* A call of the first function, on home 0. What is returned is gone where it was refused. */
struct story_call *story_call(struct story *s, const char *name);
/* `alone`: it streams. */
struct story_call *story_call_with(struct story *s, struct story_function *function, unsigned home,
                                   const char *name, uint64_t body_ns, bool alone);
/* NULL where no call of this name is open. */
struct story_call *story_find(const struct story *s, const char *name);

/* The running call `name` has been answered; its instance dies; the waiter gives up. */
void story_finish(struct story *s, const char *name);
void story_die(struct story *s, const char *name);
void story_give_up(struct story *s, const char *name);
/* Capacity above 1: the running call's time is up, or its client has left in the middle; the others
 * run on. */
void story_time_out(struct story *s, const char *name);
void story_break_off(struct story *s, const char *name);
/* The instance that was given the running call `name` has not begun it: it got no processor. All
 * its calls are received back from its socket. */
void story_starve(struct story *s, const char *name);
void story_starve_instance(struct story *s, struct story_instance *instance);
/* The instance dies, whatever it does. */
void story_kill(struct story *s, struct story_instance *instance);
/* No stock is kept from now on. */
void story_drain(struct story *s, struct story_function *function);

void story_pass(struct story *s, uint64_t duration_ns);
/* Until every call has ended. False where `most_ns` were not enough. */
bool story_settle(struct story *s, uint64_t most_ns);

/* From 0 to `below` - 1. */
uint64_t story_chance(struct story *s, uint64_t below);

/* Called after every step: remembers the first broken rule in s->fault. */
void story_check(struct story *s);
/* A call is refused a place in line: was that necessary? */
void story_check_refusal(struct story *s, const struct story_call *refused,
                         enum wait_verdict verdict);
/* A waiter was served: was it the longest? */
void story_check_turn(struct story *s, const struct story_call *served);

/* The log since the last time, which must be `text`. */
#define EXPECT_STORY(s, text)                                                                      \
        do {                                                                                       \
                ck_assert_msg((s)->fault == NULL, "%s", (s)->fault);                               \
                ck_assert_str_eq(story_log(s), text);                                              \
                buffer_clear(&(s)->log);                                                           \
        } while (0)
const char *story_log(struct story *s);
