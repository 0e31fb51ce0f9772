/* From a request's head to whoever answers it. */
#pragma once

#include "gateway/connection.h"

enum route_result {
        ROUTE_ANSWERED,  /* the answer is (being) sent */
        ROUTE_EXCHANGE,  /* connection->exchange answers it; the state is BODY or ANSWER */
        ROUTE_SUSPENDED, /* connection_resume() when the password was checked */
        ROUTE_MORE,      /* connection->needed bytes are wanted first */
};

/* `input` begins with the head; *ret_consumed is what ROUTE_EXCHANGE and ROUTE_ANSWERED used of it
 * (the head, and the body where it was taken at once). */
enum route_result gateway_route(struct connection *connection, const struct http_request *request,
                                struct slice input, size_t *ret_consumed);
