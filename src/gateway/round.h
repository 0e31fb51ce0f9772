/* A round: a letter goes to every gateway thread, and when each has delivered it, done() runs on the
 * first. Between turns a thread holds no borrowed pointer, so whatever could not be found any more
 * when the round began is used by nobody when it is done. */
#pragma once

#include "base/mailbox.h"

#define ROUND_THREADS_MAX 64

struct gateway;
struct gateway_round;

struct gateway_round_stop {
        struct letter letter;
        struct gateway_round *round;
};

struct gateway_round {
        struct gateway *gateway;
        void (*done)(struct gateway_round *round);
        atomic_uint missing;
        struct letter home;
        struct gateway_round_stop stops[ROUND_THREADS_MAX];
};

/* From the first thread, or before the threads run. The round belongs to the letters until done(). */
void gateway_round(struct gateway *gateway, struct gateway_round *round,
                   void (*done)(struct gateway_round *round));
