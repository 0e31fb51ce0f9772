/* What packets of sandboxes may do, as rules of nftables.
 *
 * Two sets, each replaced as a whole and never changed for a sandbox. The router's, in its namespace:
 * who may send what where. The host's, in a table of this node's own: what comes from the router is
 * passed on from behind the host's address, counted and bounded, and reaches the host itself not at
 * all. docs/adr/0018-outbound-network.md
 */
#pragma once

#include "base/err.h"
#include "wire/address_range.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#define EGRESS_UPLINK "up"           /* the router's end of the line to the host */
#define EGRESS_HOST_PREFIX "magpie-" /* of the host's ends, of all nodes on it */
#define EGRESS_TABLE_MAX 32
#define EGRESS_GUARDED_MAX 8

/* What a sandbox may have at once, and begin in a second. */
#define EGRESS_CONNECTIONS_MAX 512
#define EGRESS_CONNECTIONS_PER_SECOND 100
#define EGRESS_CONNECTIONS_BURST 400
#define EGRESS_NAMES_PER_SECOND 200
#define EGRESS_NAMES_BURST 400

struct egress_host_rules {
        char table[EGRESS_TABLE_MAX];
        char uplink[IFNAMSIZ]; /* the host's end of the line to the router */
        struct address_range addresses;
        /* Interfaces that forward for our sake alone: for no others but nodes then. */
        size_t guarded_count;
        char guarded[EGRESS_GUARDED_MAX][IFNAMSIZ];
};

/* NULL where there is none. */
const char *egress_rules_program(void);

/* In the network namespace that the calling process is in. */
int egress_rules_set_router(const struct named_range *ranges, size_t range_count, struct err *err);
/* The uplink must be there: rules know it by its number. */
int egress_rules_set_host(const struct egress_host_rules *rules, struct err *err);
/* Fine where there are none. */
int egress_rules_remove_host(const char *table, struct err *err);
