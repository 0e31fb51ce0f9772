/* Names for sandboxes: a process that passes their DNS queries on to the host's name servers.
 *
 * Its listening sockets are in the router's namespace, everything else in the host's: so a sandbox
 * reaches the host's name server, be it on the host's loopback or in a private range, and nothing
 * else of it. It does not read the queries, keeps nothing, runs as nobody behind the agent's system
 * call filter, and follows /etc/resolv.conf.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* In the network namespace that the calling process is in, which has the resolver's address. */
int egress_names_listen(int *ret_datagram_fd, int *ret_stream_fd, struct err *err);

/* Runs it in a child that ends with its parent. The child's pid or a negative errno. */
pid_t egress_names_start(int datagram_fd, int stream_fd);
