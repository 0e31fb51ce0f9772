/* The REST API's routes; see api.h. */
#include "gateway/api.h"

#include "gateway/response.h"

enum route_result api_route(struct connection *connection, const struct http_request *request,
                            struct slice input, size_t *ret_consumed)
{
        struct problem problem = {
                .status = 404, .reason = "not_found", .detail = "There is no such page."};

        (void)request;
        (void)input;
        (void)ret_consumed;
        response_problem(connection, &problem);
        return ROUTE_ANSWERED;
}

void api_drain(struct gateway *gateway)
{
        (void)gateway;
}
