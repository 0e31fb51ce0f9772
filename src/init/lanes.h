/* The ways between the gateway and this worker: descriptor 3, which is lane 0, and those that the
 * gateway has sent over it (docs/worker-protocol.md, "Lanes"). For contracts that serve several
 * invocations at once, from one loop. What is whole in one frame may go by a trunk (trunk.h), where the
 * contract has said so in READY; it is received and posted like all else.
 *
 * All lanes are watched edge-triggered: what an event has told is remembered (`readable`) until a
 * receive has found nothing, so that an invocation changes nothing about what is watched. A lane
 * makes progress in steps, each of which does what can be done without waiting.
 */
#pragma once

#include "base/list.h"
#include "base/loop.h"
#include "wire/worker_protocol.h"

/* The gateway opens a thousand at most, and may open one before it shuts another. */
#define LANES_MAX 2048

struct lanes;
struct trunk;

/* The first member of what a contract keeps for a lane. */
struct lane {
        struct lanes *lanes;
        struct list link;
        struct loop_source source;
        struct loop_task task; /* a step that somebody else's event has made possible */
        uint32_t number;
        bool readable;   /* there may be a frame */
        bool looked;     /* what stands in front of it is known to be no LANE */
        bool lost;       /* the gateway has closed it */
        bool body_ended; /* the request's body has been received whole */
        uint32_t id;     /* of the invocation that runs; 0: none does */
        bool outbox_full;
        struct worker_frame outbox; /* waits for room */
        struct trunk *trunk;        /* NULL: it is on none */
        uint32_t place;             /* there */
        struct slice handed;        /* what has come for it by the trunk: a call, whole */
};

struct lane_contract {
        /* A lane for `lane`'s source to be added, all else being the contract's; NULL: no memory. */
        struct lane *(*open)(struct lanes *lanes);
        /* Does something that can be done now; false where nothing can. */
        bool (*step)(struct lane *lane);
        /* The gateway has closed it: frees it. Never the main one. */
        void (*close)(struct lane *lane);
};

struct lanes {
        struct loop *loop;
        const struct lane_contract *contract;
        struct list all;
        struct list trunks;
        size_t count;
        struct lane *main;
        bool broken; /* what came is not the protocol */
};

/* Opens lane 0. 0 or a negative errno. The loop stops when lane 0 has ended, or `broken`. */
int lanes_init(struct lanes *lanes, struct loop *loop, const struct lane_contract *contract);

/* Sends what waits for the end of this turn. */
void lanes_flush(struct lanes *lanes);

/* Takes steps until none can be taken, or others are to have their turn. Not within a step. */
void lane_run(struct lane *lane);
/* The same, at the end of this turn. */
void lane_run_soon(struct lane *lane);

enum lane_received {
        LANE_FRAME,
        LANE_NOTHING, /* or no more to come: lane->lost */
};

/* The next frame, into WORKER_FRAME_MAX bytes. Whoever calls it claims the invocation that the
 * frame begins. New lanes that come on the way are opened. */
enum lane_received lane_receive(struct lane *lane, char *bytes, struct worker_frame *ret_frame);

/* Sends a frame, or keeps it for as long as there is no room: lane->outbox_full then, and what the
 * frame points to has to stay. Not while the outbox is full. */
void lane_post(struct lane *lane, const struct worker_frame *frame);
/* Tries again. False while there is no room. */
bool lane_flush(struct lane *lane);

/* Posts an ERROR for the running invocation. The payload lies in `bytes`, WORKER_FRAME_MAX large. */
void lane_post_error(struct lane *lane, char *bytes, const char *type, const char *text);

/* What came is not the protocol: the worker ends. */
void lane_break(struct lane *lane);
