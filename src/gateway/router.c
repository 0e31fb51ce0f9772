/* From a request's head to whoever answers it; see router.h.
 *
 *      /f/{functionId}[/path]  /f/{namespace}/{name}[/path]     the function URL
 *      POST /api/v1/functions/execute/{id}                      201 and the result
 *      POST /api/v1/functions/{id}/invocations                  200 and the result
 *      all else                                                 api.c
 */
#include "gateway/router.h"

#include "gateway/api.h"
#include "gateway/authentication.h"
#include "gateway/gateway.h"
#include "gateway/invocation.h"
#include "gateway/response.h"

/* A body up to this comes whole before the function is asked for; a larger one streams. */
#define WHOLE_BODY_MAX 49152
/* What the function is told of a head up to this fits the frame beside such a body: a host is told
 * twice. */
#define WHOLE_HEAD_MAX 8000

/* Splits "a/b/c" into "a" and "/b/c"; the rest is empty where there is no slash. */
static struct slice take_segment(struct slice *path)
{
        const char *slash = memchr(path->data, '/', path->length);
        struct slice segment = *path;

        if (slash)
                segment.length = (size_t)(slash - path->data);
        *path = slice_skip(*path, segment.length);
        return segment;
}

static enum route_result answer_problem(struct connection *connection, int status,
                                        const char *reason, const char *detail)
{
        struct problem problem = {.status = status, .reason = reason, .detail = detail};

        /* Without an exchange nobody takes the body that may follow. */
        response_problem(connection, &problem);
        return ROUTE_ANSWERED;
}

/* Begins the invocation, once as much of the body is here as it needs. */
static enum route_result route_invoke(struct connection *connection,
                                      const struct http_request *request,
                                      const struct invocation_request *wanted, struct slice input,
                                      size_t *ret_consumed)
{
        const struct gateway *gateway = connection->thread->gateway;
        size_t here = input.length - request->head_length;
        struct slice body = {0};
        char text[TOO_LARGE_SIZE];

        if (request->body == HTTP_BODY_LENGTH &&
            request->content_length > gateway->config.payload_max_bytes)
                return answer_problem(connection, 413, "payload.too_large",
                                      response_too_large(gateway->config.payload_max_bytes, text));
        if (atomic_load_explicit(&gateway->draining, memory_order_relaxed))
                return answer_problem(connection, 503, "draining", "The server is going down.");
        if (request->expect_continue && here == 0) {
                struct slice go_on = HTTP_CONTINUE;
                if (!connection->continued && connection_write(connection, &go_on, 1) < 0)
                        return ROUTE_ANSWERED;
                connection->continued = true;
        }
        if (request->body == HTTP_BODY_CHUNKED) {
                http_chunked_init(&connection->chunked, gateway->config.payload_max_bytes);
        } else if (request->content_length == 0 || (request->content_length <= WHOLE_BODY_MAX &&
                                                    request->head_length <= WHOLE_HEAD_MAX)) {
                if (here < request->content_length) {
                        connection->needed = request->head_length + (size_t)request->content_length;
                        connection_touch(connection, gateway->config.stall_timeout_ms);
                        return ROUTE_MORE;
                }
                body = slice_make(input.data + request->head_length,
                                  (size_t)request->content_length);
                connection->body_ended = true;
                connection->body_left = 0;
                *ret_consumed += body.length;
        }
        connection->continued = false;
        invocation_begin(connection, request, wanted, body, connection->body_ended);
        return connection->exchange ? ROUTE_EXCHANGE : ROUTE_ANSWERED;
}

/* True when `user` may be told that the function is there. */
static bool may_call(const struct function *function, const struct user *user)
{
        return function->is_public || (user && strcmp(function->owner_id, user->id) == 0);
}

static enum route_result route_url(struct connection *connection,
                                   const struct http_request *request, struct slice path,
                                   struct slice input, size_t *ret_consumed)
{
        const struct catalog *catalog = gateway_catalog(connection->thread->gateway);
        struct slice first = take_segment(&path);
        struct user *user = NULL;
        struct invocation_request wanted = {.url = true, .default_status = 200};
        enum authentication known;

        if (first.length == ID_LENGTH)
                wanted.function = catalog_find_function(catalog, first);
        if (!wanted.function && path.length > 1) {
                path = slice_skip(path, 1);
                wanted.function =
                        catalog_find_function_by_route(catalog, first, take_segment(&path));
        }
        if (!wanted.function || !wanted.function->is_public || request->authorization.data) {
                known = authenticate(connection, request, &user);
                if (known == AUTHENTICATION_SUSPENDED)
                        return ROUTE_SUSPENDED;
                wanted.has_own_credentials = known == AUTHENTICATION_FOREIGN;
                if (known != AUTHENTICATED && !(wanted.function && wanted.function->is_public)) {
                        authentication_answer(connection, known);
                        return ROUTE_ANSWERED;
                }
        }
        if (!wanted.function || !may_call(wanted.function, user))
                return answer_problem(connection, 404, "not_found", "There is no such function.");
        wanted.user = user;
        wanted.path = path.length > 0 ? path : SLICE("/");
        return route_invoke(connection, request, &wanted, input, ret_consumed);
}

static enum route_result route_call(struct connection *connection,
                                    const struct http_request *request, struct slice id, int status,
                                    struct slice input, size_t *ret_consumed)
{
        const struct catalog *catalog = gateway_catalog(connection->thread->gateway);
        struct invocation_request wanted = {.default_status = status};
        struct user *user = NULL;
        enum authentication known = authenticate(connection, request, &user);

        if (known == AUTHENTICATION_SUSPENDED)
                return ROUTE_SUSPENDED;
        if (known != AUTHENTICATED) {
                authentication_answer(connection, known);
                return ROUTE_ANSWERED;
        }
        wanted.function = catalog_find_function(catalog, id);
        if (!wanted.function)
                wanted.function = catalog_find_function_by_name(catalog, slice_of(user->id), id);
        if (!wanted.function || !may_call(wanted.function, user))
                return answer_problem(connection, 404, "not_found", "There is no such function.");
        wanted.user = user;
        return route_invoke(connection, request, &wanted, input, ret_consumed);
}

enum route_result gateway_route(struct connection *connection, const struct http_request *request,
                                struct slice input, size_t *ret_consumed)
{
        static const struct slice url = {"/f/", 3};
        static const struct slice functions = {"/api/v1/functions/", 18};
        struct slice rest, first;

        if (slice_starts_with(request->path, url))
                return route_url(connection, request, slice_skip(request->path, url.length), input,
                                 ret_consumed);
        if (request->method == HTTP_METHOD_POST && slice_starts_with(request->path, functions)) {
                rest = slice_skip(request->path, functions.length);
                first = take_segment(&rest);
                if (slice_equal(first, SLICE("execute")) && rest.length > 1)
                        return route_call(connection, request, slice_skip(rest, 1), 201, input,
                                          ret_consumed);
                if (slice_equal(rest, SLICE("/invocations")) && first.length > 0)
                        return route_call(connection, request, first, 200, input, ret_consumed);
        }
        return api_route(connection, request, input, ret_consumed);
}
