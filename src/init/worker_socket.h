/* Sending whole frames, to descriptor 3 or a lane. */
#pragma once

#include "base/slice.h"
#include "wire/worker_protocol.h"

#include <stdbool.h>

/* Tells the gateway in words for the function's owner that the function cannot be run. */
void worker_socket_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Sends a frame on descriptor 3, waiting for room. 0 or a negative errno. */
int worker_socket_send(const struct worker_frame *frame);
/* Whether the gateway has closed its end of descriptor 3. */
bool worker_socket_is_closed(void);
/* -EAGAIN where there is no room. */
int worker_socket_try_send(int fd, const struct worker_frame *frame);
