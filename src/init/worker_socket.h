/* Sending whole frames on descriptor 3, and waiting for room. */
#pragma once

#include "base/slice.h"
#include "wire/worker_protocol.h"

/* Tells the gateway in words for the function's owner that the function cannot be run. */
void worker_socket_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Sends header and payload, waiting for room. 0 or a negative errno. */
int worker_socket_send(const struct worker_frame *frame);
/* As worker_socket_send(), but -EAGAIN where there is no room. */
int worker_socket_try_send(const struct worker_frame *frame);
