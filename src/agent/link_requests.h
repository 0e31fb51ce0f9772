/* Requests to the kernel about interfaces, addresses, neighbours and routes of IPv4: rtnetlink(7).
 * Addresses are in host order. */
#pragma once

#include "agent/netlink.h"
#include "wire/address_range.h"

#define MAC_SIZE 6

/* One end of a pair of interfaces. */
struct link_end {
        const char *name;
        uint32_t index;   /* 0: the kernel's choice; then the second end's is, too */
        uint32_t group;   /* 0: none */
        int namespace_fd; /* -1: that of the socket */
        uint8_t mac[MAC_SIZE];
};

struct link_route {
        struct address_range to;
        uint32_t index;
        uint32_t
                gateway; /* 0: whoever is at the other end; else reached over `index` in any case */
        uint32_t source; /* 0: whichever */
        bool is_unreachable;
};

/* A locally administered address of the pair that `number` stands for. */
void link_make_mac(uint32_t number, uint8_t end, uint8_t ret_mac[MAC_SIZE]);

/* The first end is up then; the second cannot be before the first is there. */
void link_request_pair(struct netlink_requests *requests, const struct link_end *first,
                       const struct link_end *second, uint32_t mtu);
void link_request_up(struct netlink_requests *requests, uint32_t index);
void link_request_removal(struct netlink_requests *requests, const char *name);
void link_request_address(struct netlink_requests *requests, uint32_t index, uint32_t address);
/* For good: nobody is asked who it is. */
void link_request_neighbour(struct netlink_requests *requests, uint32_t index, uint32_t address,
                            const uint8_t mac[MAC_SIZE]);
/* In place of one that leads to the same addresses. */
void link_request_route(struct netlink_requests *requests, const struct link_route *route);
