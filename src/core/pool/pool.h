/* The pool of one function: idle stock, running instances, waiters, and who takes what.
 *
 * Competitive consumption: a call that finds no idle instance waits in line *and* is demand for the
 * provisioner. The next instance that comes free goes to the longest waiter, whether it was just
 * made (the call's start is then cold) or given back by another call (stolen).
 *
 * Idle stock is last in, first out, so that few instances stay hot and the rest can freeze and
 * expire; waiters are first in, first out. Where a function is quick, calls are also put *ahead*: sent
 * to a busy instance before its running call has ended, so that neither side sleeps in between. How
 * many is bounded by what the function has lately needed (POOL_AHEAD_BUDGET_NS), and a call that the
 * instance has not begun can be taken back (pool_take_back).
 *
 * Where one instance runs several calls at once (`capacity` above 1), each has a place of its own
 * there, nothing is put ahead, and homes do not matter: every call has its own way to the instance,
 * on its own thread, so an instance need not move to serve a waiter of another thread, and who waits
 * longest gets whatever place comes free. A call takes a place in the instance that is being filled,
 * then an idle instance, then a frozen one: few are full, and the rest runs empty. places.c.
 *
 * Pure: no clock, no lock, no memory of its own. The caller holds the function's lock, passes the
 * time, embeds struct pool_instance and struct pool_call in its own, and carries out what it is
 * told. Times are monotonic nanoseconds.
 */
#pragma once

#include "core/pool/instance.h"
#include "core/pool/pace.h"
#include "core/pool/patience.h"

struct keep_alive;

#define POOL_HOME_MAX 64
#define POOL_AHEAD_MAX 64
#define POOL_QUICK_RUN_NS 250000ull     /* nothing is put ahead where calls take longer */
#define POOL_AHEAD_BUDGET_NS 1000000ull /* what all calls ahead in one instance may need together */
/* Up to this much work, waiting behind a busy instance is sooner over than waking an idle one. */
#define POOL_RATHER_AHEAD_NS 60000ull
/* A call that runs longer is slow. Longer than a turn of a busy loop, which is all that a thread
 * knows of time. */
#define POOL_HEAD_PATIENCE_NS 5000000ull
/* From so many calls on run_ns is good enough to refuse by. The first one may have been out of the
 * ordinary, and counts for an eighth of it by then. */
#define POOL_RUNS_KNOWN 16

enum start_kind {
        START_NONE, /* no instance has begun it */
        START_WARM,
        START_THAWED,
        START_STOLEN,
        START_COLD,
};
#define START_KIND_COUNT 5

const char *start_kind_name(enum start_kind start); /* as in the header Magpie-Start */

enum call_state {
        CALL_OUT,     /* not in the pool */
        CALL_WAITING, /* in line */
        CALL_AHEAD,   /* sent to an instance that still runs another (capacity 1) */
        CALL_RUNNING,
};

struct pool_call {
        struct list link;
        struct pool_instance *instance; /* while AHEAD or RUNNING */
        enum call_state state;
        enum start_kind start;
        unsigned home;         /* the thread that asks */
        bool alone;            /* must not share an instance: its body streams */
        uint64_t since_ns;     /* when it arrived */
        uint64_t run_since_ns; /* when it was given a place; where capacity is above 1 */
        uint64_t ran_ns;       /* set before its release: what the instance itself measured; 0:
                                           unknown, the pool goes by its own clock */
        uint64_t ticket;       /* counts arrivals: equal times have an order too */
};

struct pool {
        struct list idle[POOL_HOME_MAX]; /* newest first */
        struct list frozen;              /* newest first */
        struct list busy[POOL_HOME_MAX]; /* in front the one that is being filled; with a capacity
                                            above 1 all on the first, those without room behind */
        struct list booting, ending;
        struct list waiters; /* longest first */
        size_t idle_count, frozen_count, busy_count, booting_count, ending_count;
        size_t waiting_count, ahead_count;
        unsigned home_count;
        unsigned capacity;   /* calls that one instance runs at once; 1 where it is single_use */
        unsigned processors; /* for instances; home_count until somebody knows better */
        uint64_t next_ticket;

        uint64_t run_ns;    /* moving average of a call's run time; 0: unknown */
        unsigned run_count; /* how many it is of, up to POOL_RUNS_KNOWN */
        uint64_t boot_ns;   /* moving average of a boot; 0: none was seen yet */
        uint64_t spare_ns;  /* when stock was last taken, or an instance new */
        bool stealing;      /* off only to measure what it is worth */
        bool single_use;    /* keep-alive 0: an instance serves one call */
        bool never_ahead;   /* its output must be told apart call by call */
        bool draining;      /* retired version or shutdown: no stock is kept */
        bool yielding; /* the next instance that comes free ends, though calls wait: somebody else
                              has a better claim to its memory. Where capacity is 1 */

        bool boot_failed; /* the last one did */

        struct pace pace;           /* of the calls that arrive */
        struct patience patience;   /* when who comes is refused */
        struct keep_alive *learned; /* keep-alive is learned here; NULL: it is fixed */
};

enum take_result {
        TAKE_RUNNING, /* call->instance is idle no more: send. call->start is warm or thawed */
        TAKE_AHEAD,   /* call->instance is busy: send all the same */
        TAKE_WAITING, /* in line; tell the provisioner */
};

enum release_result {
        RELEASE_NEXT,   /* a call ahead runs now: *ret_next, already sent */
        RELEASE_HANDED, /* goes to a waiter: *ret_next must be sent */
        RELEASE_IDLE,   /* nobody waits: stock */
        RELEASE_END,    /* nobody waits and none is kept: end it */
        RELEASE_BUSY,   /* nobody waits, and it runs other calls (capacity above 1) */
};

void pool_init(struct pool *pool, unsigned home_count);
void pool_instance_init(struct pool_instance *instance);
void pool_call_init(struct pool_call *call, unsigned home);

/* A call arrives. */
enum take_result pool_take(struct pool *pool, struct pool_call *call, uint64_t now_ns);

/* May the call that pool_take() has just put in line wait there? */
enum wait_verdict {
        WAIT_ALLOWED,
        WAIT_SHED,     /* the line stands and is long enough: see patience.h */
        WAIT_HOPELESS, /* its turn would not come within `wait_max_ns` */
};

/* What is not WAIT_ALLOWED is to be taken out again by pool_cancel() and refused. Nobody is refused
 * while a boot that is under way may help, however long it takes. */
enum wait_verdict pool_judge_wait(struct pool *pool, size_t max_instances, uint64_t wait_max_ns,
                                  uint64_t now_ns);
/* How long the line lasts that there is now; 0: unknown. */
uint64_t pool_drain_ns(const struct pool *pool, uint64_t now_ns);

/* An instance will be made. */
void pool_add_booting(struct pool *pool, struct pool_instance *instance, uint64_t now_ns);
/* It is ready. HANDED (the call's start is cold), IDLE or END. */
enum release_result pool_ready(struct pool *pool, struct pool_instance *instance, uint64_t now_ns,
                               struct pool_call **ret_next);

/* The running call (one of them) of an instance has been answered in full. Where capacity is above
 * 1, an answer or a new instance may have opened several places: see pool_can_match(). */
enum release_result pool_release(struct pool *pool, struct pool_call *call, uint64_t now_ns,
                                 struct pool_call **ret_next);
/* Capacity above 1: the call is over without an answer, and the others run on. BUSY, or as
 * pool_release(). `overdue`: its time was up. What works on it still may take the processor, or hang
 * for good, so the instance is *in doubt*: it is given nothing until it has answered a call, and ends
 * when it has none left. */
enum release_result pool_drop(struct pool *pool, struct pool_call *call, bool overdue,
                              uint64_t now_ns, struct pool_call **ret_next);
/* After a release: one more waiter that may be put ahead into this instance, or NULL. */
struct pool_call *pool_put_ahead(struct pool *pool, struct pool_instance *instance,
                                 uint64_t now_ns);

/* The running call has used up what all calls ahead may need together: those behind it had better
 * be taken back. Nothing more is put ahead here. */
bool pool_head_is_slow(const struct pool_instance *instance, uint64_t now_ns);
/* The caller has received a call back from the instance's socket before the worker did: it waits
 * again, in front. An instance that is left without calls is stock; see pool_match(). Where capacity
 * is above 1, only from an instance that ends, for what it was not sent any more. */
void pool_take_back(struct pool *pool, struct pool_call *call);
/* After calls came back in line: the longest waiter runs on stock that is there (or in a place that is
 * free), or NULL. Ask until NULL; the returned call must be sent, its start is stolen or thawed, or
 * cold where the instance is as new to it as to the call that it was made for. */
struct pool_call *pool_match(struct pool *pool, uint64_t now_ns);
/* Capacity above 1: pool_match() would find something. */
bool pool_can_match(const struct pool *pool);

/* Takes the longest waiter out of the line, to be refused; NULL when nobody waits. */
struct pool_call *pool_pop(struct pool *pool);
/* A waiter gives up. True when it was waiting (and is out now); false when it has an instance. */
bool pool_cancel(struct pool *pool, struct pool_call *call);

/* The instance dies or is to die. It leaves the stock; calls assigned to it stay on its list, and
 * the caller takes each off with pool_take_back() or pool_fail(). */
void pool_end(struct pool *pool, struct pool_instance *instance);
/* Takes an assigned call off an ending instance. */
void pool_fail(struct pool *pool, struct pool_call *call);
/* Every process of it is gone: forget it. */
void pool_remove(struct pool *pool, struct pool_instance *instance);

/* The oldest idle instance that has been idle since `before_ns` or longer: now FROZEN, to be frozen
 * in fact by the caller while it holds the lock. NULL when there is none. */
struct pool_instance *pool_freeze_one(struct pool *pool, uint64_t before_ns);
/* The stock that was idle longest, frozen or not, idle since `before_ns` or longer: now ENDING. */
struct pool_instance *pool_expire_one(struct pool *pool, uint64_t before_ns);

/* What bounds the stock of a function. */
struct pool_bounds {
        size_t min_instances, max_instances;
        uint64_t keep_alive_ns; /* where it is learned: that of the instances above the places */
};

/* The next one of the stock that is not worth its memory any more: now ENDING. NULL when there is
 * none. */
struct pool_instance *pool_expire_excess(struct pool *pool, const struct pool_bounds *bounds,
                                         uint64_t now_ns);
/* How many boots should begin now ahead of the calls that are expected. */
size_t pool_wanted_ahead(struct pool *pool, const struct pool_bounds *bounds, uint64_t now_ns);

/* How many boots should begin now, those under way not counted: what the provisioner tries to do.
 * demand.c tells the rule. Time alone changes the answer (a line stands still): while calls wait
 * or are ahead, ask again every few milliseconds. */
size_t pool_wanted_boots(const struct pool *pool, uint64_t now_ns, size_t min_instances,
                         size_t max_instances);

static inline size_t pool_live_count(const struct pool *pool)
{
        return pool->idle_count + pool->frozen_count + pool->busy_count;
}
