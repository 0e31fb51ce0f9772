/* A sandbox's line to the router; see egress_link.h. */
#include "agent/egress_link.h"

#include "agent/file.h"
#include "agent/link_requests.h"
#include "base/auto.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>

/* In a sandbox's namespace; above what the kernel may have made there by itself (sit0, ...). */
#define INSIDE_INDEX 1000

/* In the sandbox's namespace. Where /proc/sys cannot be written, what is set here is not the only wall:
 * the router has no IPv6 either. */
static void write_settings(int proc_fd)
{
        (void)file_write_at(proc_fd, "sys/net/ipv6/conf/default/disable_ipv6", "1");
        /* What a dead sandbox's sockets have still to say is not tried for minutes: as long as they
         * try, the namespace stays. */
        (void)file_write_at(proc_fd, "sys/net/ipv4/tcp_orphan_retries", "4");
}

static int make_inside(const struct egress_router *router, const struct egress_link *link,
                       uint32_t reach)
{
        AUTO(fd_close) int fd = netlink_open(NETLINK_ROUTE);
        char name[IFNAMSIZ];
        struct netlink_requests requests;
        struct link_end inside = {
                .name = EGRESS_LINK_NAME, .index = INSIDE_INDEX, .namespace_fd = -1};
        struct link_end outside = {.name = name,
                                   .index = link->number,
                                   .group = EGRESS_GROUP | reach,
                                   .namespace_fd = router->namespace_fd};
        const struct link_route way_out = {
                .index = INSIDE_INDEX, .gateway = EGRESS_GATEWAY, .source = link->address};

        if (fd < 0)
                return fd;
        write_settings(router->proc_fd);
        (void)snprintf(name, sizeof(name), EGRESS_LINK_PREFIX "%u", link->number);
        link_make_mac(link->address, 0, inside.mac);
        link_make_mac(link->address, 1, outside.mac);
        netlink_init(&requests);
        link_request_pair(&requests, &inside, &outside, router->mtu);
        link_request_address(&requests, INSIDE_INDEX, link->address);
        link_request_neighbour(&requests, INSIDE_INDEX, EGRESS_GATEWAY, outside.mac);
        link_request_route(&requests, &way_out);
        return netlink_send(fd, &requests);
}

static int make_way_back(const struct egress_router *router, const struct egress_link *link)
{
        const struct link_route way_back = {.to = {link->address, 32}, .index = link->number};
        struct netlink_requests requests;
        uint8_t mac[MAC_SIZE];

        link_make_mac(link->address, 0, mac);
        netlink_init(&requests);
        link_request_up(&requests, link->number);
        link_request_neighbour(&requests, link->number, link->address, mac);
        link_request_route(&requests, &way_back);
        return netlink_send(router->route_fd, &requests);
}

int egress_link_make(const struct egress_router *router, int sandbox_fd,
                     const struct egress_link *link, uint32_t reach, struct err *err)
{
        int r = setns(sandbox_fd, CLONE_NEWNET) < 0 ? -errno : 0;

        if (r < 0)
                return err_errno(err, r, "entering its network namespace");
        r = make_inside(router, link, reach);
        if (setns(router->own_fd, CLONE_NEWNET) < 0 && r == 0)
                r = -errno;
        if (r < 0)
                return err_errno(err, r, "making its network interface");
        r = make_way_back(router, link);
        return r < 0 ? err_errno(err, r, "making a route to it") : 0;
}
