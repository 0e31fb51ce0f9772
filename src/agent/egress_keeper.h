/* The keeper: a process that makes, for the agent, what outbound network takes of the host, and takes it
 * away again.
 *
 * The agent leaves the host's file system and most system calls behind when it starts; the keeper does
 * not, and does nothing until the first function wants a way out. Until then nothing of the host is
 * changed: where nobody asks, no connection is tracked and no packet forwarded. What it hears from the
 * agent are three requests of fixed size; no byte of a function's or gateway's reaches it.
 *
 * Open: the namespace of the router with its rules; the line from there to the host; the host's rules,
 * its route to the sandboxes, and forwarding where that is off; and the process that passes on DNS
 * queries (egress_names.h). When the agent ends, in order or not, the keeper undoes it. What it would
 * have to undo is written down before it is done, in a file that lives as long as the kernel's memory
 * of it: whoever comes after a keeper that was killed as well begins with undoing that.
 */
#pragma once

#include "base/err.h"
#include "wire/address_range.h"

#include <stdint.h>

#define EGRESS_ADDRESSES_MAX 65536
/* Of each range, these are the host's, the router's, and nobody's. */
#define EGRESS_ADDRESSES_RESERVED 4

struct egress_settings {
        uint64_t hash;                  /* of the data directory: names everything on the host */
        struct address_range addresses; /* prefix 0: the keeper's choice */
        size_t range_count;
        const struct named_range *ranges; /* bit i of `reach` is for ranges[i] */
};

enum egress_request_type { EGRESS_OPEN = 1, EGRESS_FORGET = 2 };

struct egress_request {
        uint32_t type; /* enum egress_request_type */
        uint32_t unused;
        uint64_t kept[EGRESS_ADDRESSES_MAX / 64]; /* FORGET: addresses in use */
};

/* EGRESS_OPEN's comes with two descriptors: the router's namespace, and a route socket in it. */
struct egress_answer {
        struct err err; /* code 0: done */
        struct address_range addresses;
        uint32_t mtu;
};

/* Starts the keeper. The agent's end of the connection, or a negative errno. `data_dir`: only one
 * keeper at a time works for one. */
int egress_keeper_start(const struct egress_settings *settings, const char *data_dir,
                        struct err *err);
