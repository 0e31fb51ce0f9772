/* The line between a sandbox and the router: a pair of interfaces, one end in either namespace.
 *
 * Nothing on it is learned: addresses, routes and link-layer addresses are all set here. So there is no
 * ARP to answer wrongly, and the kernel's table of neighbours, which all namespaces share, stays as
 * small as it is (1,024 entries by default; permanent ones do not count).
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* In every sandbox with a way out; on the router's loopback. */
#define EGRESS_GATEWAY 0xa9fe0001u  /* 169.254.0.1 */
#define EGRESS_RESOLVER 0xa9fe0035u /* 169.254.0.53, which /etc/resolv.conf names */
#define EGRESS_LINK_NAME "eth0"
/* The group of the router's end: this, and a bit for each range that may be reached by name. The
 * router's rules look at it, so that no rule is ever changed for a sandbox. */
#define EGRESS_GROUP 0x4d000000u
#define EGRESS_LINK_PREFIX "s" /* of the router's ends' names */

struct egress_router {
        int namespace_fd;
        int route_fd; /* a NETLINK_ROUTE socket of that namespace */
        uint32_t mtu;
        int own_fd;  /* borrowed: the agent's own network namespace */
        int proc_fd; /* borrowed: the host's /proc */
};

struct egress_link {
        uint32_t address; /* the sandbox's, in host order; 0: there is no link */
        uint32_t number;  /* the router's end: its index, and what its name ends with */
};

/* In the namespace `sandbox_fd`, which had none yet: when that namespace ends, both ends are gone.
 * `reach`: a bit for each range. On failure that namespace is good for nothing more. */
int egress_link_make(const struct egress_router *router, int sandbox_fd,
                     const struct egress_link *link, uint32_t reach, struct err *err);
