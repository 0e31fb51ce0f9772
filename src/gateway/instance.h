/* One instance as the gateway holds it: three descriptors and what is known of the sandbox.
 *
 * Its input and output happen on one thread, its home (`thread`); it moves by being detached there
 * and handed over by letter. Frames to it are collected in the thread's arena and sent at the end
 * of the turn, all of an instance with one sendmmsg(2): a sleeping worker is woken once. Small ones go by
 * memory where it has a ring (ring.h).
 *
 * The worker is hostile: a frame that does not fit the protocol ends the instance. When it dies, by
 * whatever cause, the call that it had begun fails, and those it had not begun (still in its ring, or in
 * its socket, received back through our duplicate of the worker's end) wait again in front of the line.
 */
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "core/invoker/outcome.h"
#include "core/pool/pool.h"
#include "gateway/cold_start.h"
#include "ports/sandbox_host.h"
#include "wire/worker_protocol.h"

struct gateway;
struct gateway_thread;
struct invocation;
struct lanes;
struct live;
struct pool_call;
struct ring;
struct trial;

/* Larger frames are never ahead, so that a running call and all ahead of it fit the socket of a worker that
 * reads none of them. Of the buffer, 212,992 bytes (net.core.wmem_default), Linux takes 2,304 for a frame
 * that fits 2 KiB together with what it adds, and 4,352 for a larger one. */
#define AHEAD_FRAME_MAX 1600
_Static_assert((POOL_AHEAD_MAX + 1) * 2304 <= 212992, "they fit");

struct instance {
        struct pool_instance pool;
        struct live *live;
        struct trial *trial; /* set: it only shows whether the function loads */
        _Atomic(struct gateway_thread *) thread;
        uint64_t id;
        struct sandbox_descriptors fds;
        struct loop_source socket_source, log_source;
        struct timer timer;     /* booting: the boot's limit; later: looks at a slow head */
        struct timer log_timer; /* output or LOG frames came too fast: it fires, reading goes on */
        struct letter move_letter; /* to its home: hand it to `moving_to`, or await room */
        struct letter end_letter; /* to its home: it is dead; then to the first thread: forget it */
        struct instance *next_forgotten;
        struct letter kill_letter;     /* to the scheduler */
        struct letter leave_letter;    /* likewise: its program has been asked to end ... */
        struct timer leave_timer;      /* ... until then; the scheduler's */
        struct letter courtesy_letter; /* likewise: it is called often, or is not any more */
        struct invocation *moving_to;
        struct lanes
                *lanes;    /* set: it runs several calls at once, none on its own socket; lane.h */
        struct ring *ring; /* small calls go by it; ring.h */
        struct list ring_link; /* in its home's `rings`, while calls are there */
        unsigned crowds; /* how often several calls at once were sent; counted to RING_AFTER */
        bool takes_ring; /* its worker does */
        bool is_polite;  /* what the host was told last; guarded by the pool's lock, as */
        bool courtesy_posted;
        bool attached;   /* its sources are in its home's loop */
        bool paused;     /* the client is slow: nothing is read */
        bool loud;       /* it sends too much log: nothing is read until log_timer */
        bool gone;       /* the scheduler knows that its sandbox is gone */
        bool ended;      /* its home knows too; `end` and `end_code` are set */
        bool is_evicted; /* the scheduler's: it makes room for another function's */
        atomic_bool kill_asked;
        bool spoke_nonsense;
        bool timed_watch;  /* `timer` looks at the head */
        bool has_answered; /* a call; not set beside lanes */
        enum sandbox_end end;
        int end_code;
        uint64_t peak_memory_bytes;
        uint32_t last_wire_id;
        uint32_t
                unsent_id; /* of the first call whose frame is pending: nobody can know it; 0: none */
        uint64_t log_since_ns;                  /* LOG frames and the like count from then on ... */
        size_t log_bytes;                       /* ... and were so many bytes */
        uint64_t ordered_ns, made_ns, ready_ns; /* its boot */
        struct cold_start cold_start;           /* where the time of that went */
};

struct instance *instance_new(struct live *live, uint64_t id, struct gateway_thread *thread);
void instance_free(struct instance *instance); /* closes its descriptors */
void instance_close(struct instance *instance);
struct gateway *instance_gateway(const struct instance *instance);

/* Registers its descriptors with this thread's loop. 0 or a negative errno. */
int instance_attach(struct instance *instance, struct gateway_thread *thread);
void instance_detach(struct instance *instance);

/* The pool made this call (NULL is fine) a running one: notes who belongs to whom. With the pool's
 * lock held, right after the pool said so, on thread `here`. */
void instance_bind(struct pool_call *call, const struct gateway_thread *here);
/* Brings a bound pair together, from thread `here`, wherever each of them is; then it is sent. */
void instance_give(struct instance *instance, struct invocation *invocation,
                   struct gateway_thread *here);
/* Calls that wait run on what is there for them, or are demand. */
void live_rematch(struct gateway_thread *thread, struct live *live);
/* Before a call's end is told: what it wrote to its raw stdout belongs to it. */
void instance_drain_log(struct instance *instance);
/* Before a call's time is told to be up: what was said in time still counts. False where that was the end of
 * it. */
bool instance_hear_call(const struct invocation *invocation);
/* Wakes it up, if it was frozen. */
void instance_thaw(struct instance *instance);
void instance_freeze(struct instance *instance);
/* Tells its magpie-init that there are no more calls, frozen or not. From any thread. */
void instance_close_way_in(struct instance *instance);

/* Sends one frame, at the end of the turn where it is small. The bytes are copied. */
void instance_send(struct instance *instance, const struct slice *parts, size_t count);
/* Sends one frame at once, with a descriptor, which is queued there whatever becomes of ours. 0 or a negative
 * errno. */
int instance_pass(const struct instance *instance, const struct worker_frame *frame, int fd);
/* A piece of a request's body: -EAGAIN when it does not fit now (instance_watch_room). */
int instance_send_data(struct instance *instance, uint32_t wire_id, struct slice bytes, bool end);
void instance_watch_room(struct instance *instance, bool wanted);
/* Stops and starts reading from it (its client does not take more). */
void instance_pause(struct instance *instance, bool paused);
/* A call was put ahead: look at the running one in a while. */
void instance_watch_head(struct instance *instance);

/* Ends it: the running call (if any; or all of them, on their threads) fails so, the calls ahead wait
 * again, the sandbox is killed. */
void instance_fail(struct instance *instance, enum outcome outcome, const char *detail);
/* From the scheduler, on any thread: its sandbox is gone. */
void instance_post_end(struct instance *instance);

void gateway_thread_flush(struct loop_task *task);
void gateway_thread_look(struct loop_task *task);

/* Room for what one recvmmsg(2) brings. */
struct frame_inbox *frame_inbox_new(void);
void frame_inbox_free(struct frame_inbox *inbox);
