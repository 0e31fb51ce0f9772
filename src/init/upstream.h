/* The connections to the function's own server, on the loopback. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum upstream_state {
        UPSTREAM_CONNECTED,
        UPSTREAM_WAITS, /* becomes writable when it is known */
        UPSTREAM_REFUSED,
};

/* Begins a connection to 127.0.0.1, or ::1, port `port`. Non-blocking, or a negative errno where
 * nobody listens. On the loopback the answer is mostly there at once: upstream_state() tells. */
int upstream_connect(uint16_t port, bool ipv6);
enum upstream_state upstream_state(int fd);

/* Waits until somebody accepts connections on the port, or `child_fd` or `worker_fd` has something
 * to say. A connection, and which of the two addresses it is to; -1: look at the others. */
int upstream_await(uint16_t port, int child_fd, int worker_fd, bool *ret_ipv6);
