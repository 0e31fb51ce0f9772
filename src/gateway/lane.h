/* Where one instance runs several calls at once, each has a lane: a socket of its own to the worker,
 * with the same protocol, for one call after the other.
 *
 * The instance's own socket (descriptor 3 of the worker) then carries no call. READY comes there, and
 * LANE frames go there, each with the worker's end of a fresh pair: so a lane can always be opened,
 * whatever body is stuck in another. Where there are so many at once that one finds no room, it waits for
 * that, and its call lies in its lane meanwhile.
 *
 * A lane belongs to the gateway thread that opened it, for as long as it is open; an instance, to its
 * first thread for all but its calls. So calls of all threads run in one instance, and it never moves.
 * Of lanes there are never more than the instance has places: a thread that needs one where all are
 * open shuts one that is idle on another.
 *
 * A lane is open for its instance's life, but is closed where its call ends without the function's
 * answer (its time is up, its client has left in the middle of its body, its answer is too large or
 * nobody is left to hear it): that is how the worker learns of it, and the other calls run on. What
 * breaks the protocol ends the instance and all its calls.
 *
 * What is whole in one frame goes by a trunk, one for all lanes of a thread (trunk.h).
 *
 * When the instance ends, each lane hears of it by letter, takes what the worker said before, fails
 * its call, and is closed; whoever lets go of the instance last tells the scheduler.
 *
 * The function's lock (live->lock) guards struct lanes, and of a lane what says so; all else is its
 * thread's. A letter frees the lane, in a later turn than the one that closed it: whoever is in the
 * middle of using it sees that its descriptor is -1.
 */
#pragma once

#include "base/loop.h"
#include "base/mailbox.h"
#include "core/invoker/outcome.h"
#include "gateway/gateway.h"

struct instance;
struct invocation;
struct trunk;

struct lane {
        struct list link;      /* lanes->open; guarded */
        struct list idle_link; /* lanes->idle of its thread, while it has no call; guarded */
        struct instance *instance;
        struct gateway_thread *thread;
        struct invocation *invocation; /* its call */
        struct loop_source source;
        struct timer timer;   /* too much log: reading goes on; hung up: it is no accident */
        struct letter letter; /* to its thread: the instance ends, or the lane has been closed */
        int fd;               /* -1: closed */
        int worker_fd;   /* its other end, until the instance's socket has room for it; else -1 */
        uint32_t number; /* for that LANE frame ... */
        uint64_t value;  /* ... all three guarded */
        struct trunk *trunk; /* NULL: it has none */
        uint32_t place;      /* there */
        bool known;          /* the worker has answered over it */
        bool unsent;         /* its call's INVOKE frame is pending: no answer can be meant for it */
        bool paused;         /* its client is slow: nothing is read */
        bool loud;           /* it sends too much log: nothing is read until `timer` */
        bool owes_answer;    /* closed before its call was answered: that may come by the trunk */
        bool hung_up;        /* the worker's end is closed */
        bool shut;           /* another thread needs its place; guarded */
        bool counted;        /* in lanes->count; guarded */
        bool told;           /* the letter is on its way; guarded */
};

struct lanes {
        struct list open;
        unsigned count; /* lanes that are open or about to be */
        uint32_t last_number;
        atomic_uint last_wire_id;
        uint64_t log_since_ns; /* LOG frames and the like count from then on ... */
        size_t log_bytes;      /* ... and were so many bytes */
        bool home_has_left;    /* its first thread is done with the instance */
        bool forgotten;
        bool takes_trunks;
        bool wants_room; /* its first thread is told, or waits for it; guarded */
        bool failed;     /* `outcome` and `detail` are set: why its calls fail */
        enum outcome outcome;
        char detail[160]; /* "": as the outcome says */
        struct lanes_share {
                struct list idle;    /* the latest first; guarded */
                struct trunk *trunk; /* the thread's own; NULL: there is none */
        } shares[];                  /* of each gateway thread */
};

/* NULL without memory. */
struct lanes *lanes_new(unsigned thread_count);

/* With the lock held, on the call's thread: a call that was given a place gets an idle lane, or the
 * right to open one. */
void lanes_choose(struct invocation *invocation);
/* The call was given a place by thread `here`: brings it there, wherever it is. */
void lanes_give(struct invocation *invocation, struct gateway_thread *here);

/* On the instance's first thread: there is room in its socket for LANE frames that found none. */
void lanes_use_room(struct instance *instance);

/* Sees to it that the call has a lane. False where it has not, and is taken care of: it waits again
 * (`parts` are its INVOKE frame, which is copied), or has failed. */
bool lane_prepare(struct invocation *invocation, const struct slice *parts, size_t count);
/* Sends the call's INVOKE frame, at the end of the turn where it is small. The bytes are copied. */
void lane_send(struct lane *lane, const struct slice *parts, size_t count);
void lane_flush(struct lane *lane, struct slice frame);
/* As for instances; see instance.h. */
int lane_send_data(struct lane *lane, uint32_t wire_id, struct slice bytes, bool end);
void lane_watch_room(struct lane *lane, bool wanted);
void lane_pause(struct lane *lane, bool paused);
/* Takes what has come, unless its client is slow. Returns the number of frames, 0 when there was none. */
int lane_hear(struct lane *lane);

/* The function has said all: the lane is free for the next call. */
void lane_finish(struct invocation *invocation, enum outcome outcome);
/* The call ends without the function's answer: its lane is closed, the others run on. */
void lane_drop(struct invocation *invocation, enum outcome outcome, const char *detail);
/* The worker broke the protocol here: the instance ends, and all its calls so. */
void lane_ruin(struct lane *lane, enum outcome outcome, const char *detail);

/* Ends the instance: every call fails so, on its thread, and the sandbox is killed. For the first
 * reason that is given. From any thread. */
void lanes_fail(struct instance *instance, enum outcome outcome, const char *detail);
/* On the instance's first thread, which is done with it: its sandbox is gone. */
void lanes_end(struct instance *instance, enum outcome outcome, const char *detail);
