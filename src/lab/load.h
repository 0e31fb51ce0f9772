/* What a run does: whom it asks what, by which plan. Made by the caller; the lab only reads it. */
#pragma once

#include "lab/arrivals.h"
#include "lab/plan.h"

#include <openssl/types.h>
#include <sys/socket.h>

#define LOAD_TARGETS_MAX 64
#define LOAD_HOST_MAX 256

/* Where connections go. */
struct origin {
        struct sockaddr_storage address;
        socklen_t address_length;
        bool is_tls;
        char host[LOAD_HOST_MAX]; /* for TLS: whose certificate it must be */
};

/* One request that may be made. */
struct target {
        size_t origin;       /* index */
        struct slice bytes;  /* head and body */
        bool is_head;        /* its answers have no body */
        double weight_until; /* the shares of all targets up to this one; the last has 1 */
};

struct load {
        const struct plan *plan;
        enum arrivals_kind arrivals; /* of PLAN_RATE */
        uint64_t seed;
        size_t origin_count, target_count;
        struct origin origins[LOAD_TARGETS_MAX];
        struct target targets[LOAD_TARGETS_MAX];
        size_t clients_max;    /* of PLAN_RATE: how many may wait for an answer at once */
        uint64_t requests_max; /* in all; 0: as many as the plan's time allows */
        bool keep_alive;
        uint64_t think_ns; /* of PLAN_CLIENTS: from an answer to the next request */
        uint64_t connect_timeout_ns;
        uint64_t request_timeout_ns; /* from the sending to the whole answer */
        uint64_t total_timeout_ns;   /* from the intended start; 0: none */
        unsigned thread_count;
        SSL_CTX *tls; /* NULL where no origin wants it */
};
