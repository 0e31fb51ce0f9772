/* Which name servers a machine asks: the "nameserver" lines of resolv.conf(5). */
#pragma once

#include "base/slice.h"

#include <netinet/in.h>
#include <stddef.h>

#define RESOLVERS_MAX 3 /* as the C library */

union resolver_address {
        struct sockaddr base;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
};

struct resolver_list {
        size_t count;
        union resolver_address addresses[RESOLVERS_MAX];
};

/* Lines that are not understood are skipped. Where none names a server, it is the one on this
 * machine, 127.0.0.1, as for the C library. Ports are 53. A scope ("fe80::1%eth0") is looked up among
 * this machine's interfaces. */
void resolver_list_parse(struct slice text, struct resolver_list *ret_list);
socklen_t resolver_address_size(const union resolver_address *address);
