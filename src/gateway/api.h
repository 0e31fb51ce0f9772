/* The REST API: users, functions, logs, health and metrics. Everything that is not an invocation. */
#pragma once

#include "gateway/collector.h"
#include "gateway/router.h"

#include <pthread.h>
#include <stdatomic.h>

struct gateway;

/* Finds the route (404, 405 with Allow), authenticates where it needs that, and makes the exchange
 * that collects the body and answers. As gateway_route(). */
enum route_result api_route(struct connection *connection, const struct http_request *request,
                            struct slice input, size_t *ret_consumed);

/* Bounds on what all calls together may use, and what is still under way. */
struct api {
        atomic_uint call_count; /* also those whose client has gone: 0 before threads are joined */
        pthread_mutex_t uploads_lock;
        struct list uploads; /* struct api_call: large bodies in memory; guarded by uploads_lock */
        atomic_uint check_count; /* passwords being hashed */
        atomic_uint look_count;  /* at our own descriptors, for /metrics */
        struct collector collector;
};

/* Once at start-up, before connections are accepted: removes code and logs that no function in the
 * catalog has, makes the administrator (admin@localhost, no password) where there is no user yet,
 * and DATA-DIR/admin.token (0600) where it is missing or stale. done() is called on the first
 * thread's loop; `problem` is NULL when all is well. */
void api_start(struct gateway *gateway, void (*done)(struct gateway *gateway, const char *problem));

/* Draining begins: ends the answers that would never end by themselves (logs that are followed), or
 * take too long (images that are pulled).
 * From any thread. */
void api_drain(struct gateway *gateway);
