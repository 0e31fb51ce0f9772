/* The host's side of outbound network: which addresses are free, where packets leave, what has to be
 * set so that they are passed on, and which connections the kernel remembers. In the network
 * namespace that the calling process is in. */
#pragma once

#include "base/err.h"
#include "wire/address_range.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EGRESS_DEVICES_MAX 8

struct egress_devices {
        size_t count;
        char names[EGRESS_DEVICES_MAX][IFNAMSIZ];
};

/* A range of 65,536 addresses that none of the host's routes leads to, the same each time while that
 * holds: `hash` says where to begin to look. -EADDRINUSE with a sentence where there is none. */
int egress_choose_addresses(int route_fd, uint64_t hash, struct address_range *ret_range,
                            struct err *err);
/* That range, chosen by somebody: -EADDRINUSE where a route leads to it. */
int egress_check_addresses(int route_fd, struct address_range range, struct err *err);

/* The devices that the host's routes lead to, but for the loopback. */
int egress_find_devices(int route_fd, struct egress_devices *ret_devices);
/* The smallest of theirs; 1500 where nobody tells. */
uint32_t egress_find_mtu(const struct egress_devices *devices);

/* "net.ipv4.ip_forward". */
bool egress_host_forwards(void);
bool egress_device_forwards(const char *device);
int egress_set_forwarding(const char *device, bool on);

/* Connections that came from that range are forgotten, but for those of the addresses whose bit is set
 * in `kept` (NULL: none), counted from the range's first. */
int egress_forget_connections(struct address_range range, const uint64_t *kept, struct err *err);
