/* What the keeper's two files share; see egress_keeper.h. */
#pragma once

#include "agent/egress_host.h"
#include "agent/egress_keeper.h"
#include "agent/egress_rules.h"

#include <sys/types.h>

/* What is to be undone: in memory, and in a file. */
struct egress_record {
        struct egress_host_rules rules; /* those guarded are those whose forwarding was off */
        uint64_t host;                  /* the inode of the host's network namespace */
        char path[64];
};

struct egress_keeper {
        struct egress_settings settings;
        int agent_fd, lock_fd;
        int host_fd;       /* the host's network namespace */
        int host_route_fd; /* a route socket there */
        bool is_open;
        struct egress_record record;
        /* The router's. */
        int namespace_fd, route_fd, datagram_fd, stream_fd;
        uint32_t mtu;
        pid_t names; /* 0: not running */
};

/* egress_open.c. On failure nothing is left. */
int egress_open(struct egress_keeper *keeper, struct err *err);
/* Fine for what was opened in part. */
void egress_close(struct egress_keeper *keeper);
/* What an earlier keeper has left. */
void egress_sweep(struct egress_keeper *keeper);
/* Somebody else has turned forwarding on meanwhile: then it is theirs to guard. */
void egress_review(struct egress_keeper *keeper);
