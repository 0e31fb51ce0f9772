/* Outbound network for sandboxes whose functions ask for it.
 *
 * Each has a line of its own to a router in a namespace of its own (egress_link.h), which has one line to
 * the host (egress_keeper.h). docs/adr/0018-outbound-network.md
 *
 * A namespace that had a way out is never used again: it ends with its sandbox, and with it whatever
 * could be left there - sockets that still say good-bye, ports, routes, both ends of the line. An
 * address is used again only when the host has forgotten the connections that it had.
 */
#pragma once

#include "agent/egress_keeper.h"
#include "agent/egress_link.h"
#include "base/loop.h"

struct egress {
        struct loop *loop; /* NULL until egress_watch() */
        struct loop_source keeper;
        int keeper_fd; /* -1: there is no keeper (any more) */
        struct egress_router router;
        struct address_range addresses;
        uint32_t next_offset, next_number, link_count;
        uint32_t range_count;
        uint64_t used[EGRESS_ADDRESSES_MAX / 64]; /* a bit for each address that a sandbox has */
        uint64_t not_before_ns;                   /* after a failure */
        struct err failure;
};

/* Starts the keeper: while the host's file system is in reach, and before the system call filter. Where
 * that fails there is no outbound network, and everything else. `own_fd` and `proc_fd` are borrowed:
 * the agent's network namespace, the host's /proc. */
void egress_init(struct egress *egress, const struct egress_settings *settings,
                 const char *data_dir, int own_fd, int proc_fd);
int egress_watch(struct egress *egress, struct loop *loop);
/* Waits until the host is as it was before. No link may be left. */
void egress_deinit(struct egress *egress);

/* Gives the namespace `sandbox_fd` a way out. `reach`: a bit for each range of the settings. On failure
 * *ret_link may have been set all the same, and is to be detached. */
int egress_attach(struct egress *egress, int sandbox_fd, uint32_t reach, uint64_t now_ns,
                  struct egress_link *ret_link, struct err *err);
/* The sandbox is gone, and the caller has closed its namespace. Harmless where there is no link. */
void egress_detach(struct egress *egress, struct egress_link *link);
