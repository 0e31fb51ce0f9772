/* A ring: memory that the gateway and one native worker share, for calls that are whole in one small frame
 * each way. docs/worker-protocol.md tells it to those who write a shim; docs/adr/0026-rings.md says why.
 *
 * Places are used in turn, from the first to the last and from there to the first. The gateway writes a
 * frame and makes the place SENT. Whoever makes that BEGUN (the worker) or FREE again (the gateway, which
 * takes the call back) by a compare-and-exchange, has the call. The worker puts its answer where the call was
 * and makes the place ANSWERED; or it answers over its socket, and leaves it BEGUN. Either way the gateway
 * makes it FREE. Calls begin and end in the order of their places.
 *
 * Two words spare messages: there is hardly ever more than one BELL on its way, in each direction, and a
 * spare one is harmless. The gateway sends one only where `worker_awake` is 0, and makes it 1 first; the worker makes it 0 before it looks for the last
 * time and waits. The worker sends one only where `gateway_told` is 0, and makes it 1 first; the gateway makes
 * it 0 when it has received one, before it looks.
 */
#pragma once

#include "wire/worker_protocol.h"

#include <stdatomic.h>

#define WORKER_RING_PLACES 66
#define WORKER_RING_FRAME_MAX 1600

enum worker_place_state {
        WORKER_PLACE_FREE = 0,
        WORKER_PLACE_SENT = 1,
        WORKER_PLACE_BEGUN = 2,
        WORKER_PLACE_ANSWERED = 3,
};

struct worker_place {
        _Atomic uint32_t state;
        _Atomic uint32_t length; /* of the frame */
        char frame[WORKER_RING_FRAME_MAX];
        char unused[56]; /* whole cache lines */
};

struct worker_ring {
        _Atomic uint32_t worker_awake;
        _Atomic uint32_t gateway_told;
        char unused[56];
        struct worker_place places[WORKER_RING_PLACES];
};

_Static_assert(sizeof(struct worker_place) == 1664, "no padding");
_Static_assert(sizeof(struct worker_ring) == 64 + WORKER_RING_PLACES * sizeof(struct worker_place),
               "no padding");
