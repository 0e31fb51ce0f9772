/* The REST API: users, functions, logs, health and metrics. Everything that is not an invocation. */
#pragma once

#include "gateway/router.h"

struct gateway;

/* Finds the route (404, 405 with Allow), authenticates where it needs that, and makes the exchange
 * that collects the body and answers. As gateway_route(). */
enum route_result api_route(struct connection *connection, const struct http_request *request,
                            struct slice input, size_t *ret_consumed);

/* What the API needs beside the registry: the key of tokens, the folder of logs. Made once. */
struct api_ports;
/* Reads or makes DATA-DIR/secret; 0, or a negative errno and a sentence. */
int api_ports_open(const char *data_dir, struct api_ports **ret_ports, struct err *err);
void api_ports_close(struct api_ports *ports);

/* The first start: makes the administrator (admin@localhost, no password) where there is no user
 * yet, and DATA-DIR/admin.token (0600) where that file is missing. Calls done() on the first
 * thread's loop; `problem` is NULL when all is well. */
void api_prepare_administrator(struct gateway *gateway,
                               void (*done)(struct gateway *gateway, const char *problem));
