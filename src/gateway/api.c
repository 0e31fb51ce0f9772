/* The REST API's table of routes, and the exchange that collects a body; see api.h, api_call.h. */
#include "gateway/api.h"

#include "base/clock.h"
#include "gateway/api_call.h"
#include "gateway/authentication.h"
#include "gateway/path.h"
#include "gateway/response.h"
#include "ports/images.h"

#include <stdio.h>
#include <stdlib.h>

#define SMALL_BODY_MAX 16384u
#define SETTINGS_BODY_MAX (6 * ENV_MAX_BYTES + 65536u) /* every byte may be written as \u00xx */
#define UPLOADS_MAX 4                                  /* large bodies in memory at once */
#define UPLOAD_BYTES (256u << 10)                      /* what "large" begins with */
#define BODY_RATE 16384 /* bytes a second, on the whole: what is held in memory must get on */

enum api_body { BODY_SMALL, BODY_SETTINGS, BODY_CODE, BODY_CODE_IN_JSON };

struct api_route {
        enum http_method method;
        const char *path;
        bool is_open; /* no user is needed */
        enum api_body body;
        void (*handle)(struct api_call *call);
};

static const struct api_route routes[] = {
        {HTTP_METHOD_GET, "/healthz", true, BODY_SMALL, api_health},
        {HTTP_METHOD_GET, "/readyz", true, BODY_SMALL, api_ready},
        {HTTP_METHOD_GET, "/metrics", true, BODY_SMALL, api_metrics},
        {HTTP_METHOD_POST, "/api/v1/users", true, BODY_SMALL, api_user_create},
        {HTTP_METHOD_POST, "/api/v1/users/login", true, BODY_SMALL, api_user_login},
        {HTTP_METHOD_GET, "/api/v1/users/me", false, BODY_SMALL, api_user_show},
        {HTTP_METHOD_DELETE, "/api/v1/users/me", false, BODY_SMALL, api_user_delete},
        {HTTP_METHOD_POST, "/api/v1/functions", false, BODY_CODE_IN_JSON, api_function_create},
        {HTTP_METHOD_GET, "/api/v1/functions/me", false, BODY_SMALL, api_function_list},
        {HTTP_METHOD_GET, "/api/v1/functions/{id}", false, BODY_SMALL, api_function_show},
        {HTTP_METHOD_PATCH, "/api/v1/functions/{id}", false, BODY_SETTINGS, api_function_change},
        {HTTP_METHOD_DELETE, "/api/v1/functions/{id}", false, BODY_SMALL, api_function_delete},
        {HTTP_METHOD_PUT, "/api/v1/functions/{id}/code", false, BODY_CODE,
         api_function_replace_code},
        {HTTP_METHOD_POST, "/api/v1/functions/{id}/versions", false, BODY_CODE_IN_JSON,
         api_function_add_version},
        {HTTP_METHOD_GET, "/api/v1/functions/{id}/logs", false, BODY_SMALL, api_function_logs},
        {HTTP_METHOD_GET, "/api/v1/pulls", false, BODY_SMALL, api_pull_list},
        {HTTP_METHOD_GET, "/api/v1/layers", false, BODY_SMALL, api_layer_list},
        {HTTP_METHOD_POST, "/api/v1/layers", false, BODY_CODE_IN_JSON, api_layer_create},
        {HTTP_METHOD_GET, "/api/v1/layers/{id}", false, BODY_SMALL, api_layer_show},
        {HTTP_METHOD_PUT, "/api/v1/layers/{id}", false, BODY_CODE, api_layer_publish},
        {HTTP_METHOD_DELETE, "/api/v1/layers/{id}/{version}", false, BODY_SMALL, api_layer_remove},
};

/* Only to name them where another method was used: the router takes the right one. */
static const struct {
        const char *path, *allow;
} invocation_paths[] = {
        {"/api/v1/functions/{id}/invocations", "POST"},
        {"/api/v1/functions/execute/{id}", "POST"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *method_name(enum http_method method)
{
        switch (method) {
        case HTTP_METHOD_GET:
                return "GET, HEAD";
        case HTTP_METHOD_POST:
                return "POST";
        case HTTP_METHOD_PUT:
                return "PUT";
        case HTTP_METHOD_DELETE:
                return "DELETE";
        case HTTP_METHOD_PATCH:
                return "PATCH";
        case HTTP_METHOD_HEAD:
        case HTTP_METHOD_OPTIONS:
        case HTTP_METHOD_TRACE:
                break;
        }
        return "";
}

/* The route, or NULL; then `allow` holds the methods that the path has, "" where it has none. */
static const struct api_route *route_find(const struct http_request *request,
                                          struct path_holes *ret_holes, char *allow,
                                          size_t allow_size)
{
        enum http_method method =
                request->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : request->method;
        size_t used = 0;

        allow[0] = '\0';
        for (size_t i = 0; i < COUNT(routes); i++) {
                if (!path_match(routes[i].path, request->path, ret_holes))
                        continue;
                if (routes[i].method == method)
                        return &routes[i];
                if (!strstr(allow, method_name(routes[i].method)))
                        used += (size_t)snprintf(allow + used, allow_size - used, "%s%s",
                                                 used ? ", " : "", method_name(routes[i].method));
        }
        for (size_t i = 0; i < COUNT(invocation_paths) && used == 0; i++)
                if (path_match(invocation_paths[i].path, request->path, ret_holes))
                        (void)snprintf(allow, allow_size, "%s", invocation_paths[i].allow);
        return NULL;
}

static uint64_t body_max(const struct gateway *gateway, enum api_body body)
{
        switch (body) {
        case BODY_SMALL:
                return SMALL_BODY_MAX;
        case BODY_SETTINGS:
                return SETTINGS_BODY_MAX;
        case BODY_CODE:
                return gateway->config.code_max_bytes;
        case BODY_CODE_IN_JSON:
                break;
        }
        return gateway->config.code_max_bytes / 3 * 4 + SETTINGS_BODY_MAX;
}

static const char *body_too_large(const struct gateway *gateway, enum api_body body,
                                  char ret_text[TOO_LARGE_SIZE])
{
        if (body >= BODY_CODE)
                return response_code_too_large(gateway->config.code_max_bytes, ret_text);
        return response_too_large(body_max(gateway, body), ret_text);
}

/* May this request's body take so much memory that it counts? */
static bool is_upload(const struct http_request *request, const struct api_route *route)
{
        return route->body >= BODY_CODE &&
               (request->body == HTTP_BODY_CHUNKED || request->content_length > UPLOAD_BYTES);
}

/* The exchange ----------------------------------------------------------------------------------- */

static size_t call_room(struct exchange *exchange)
{
        (void)exchange;
        return SIZE_MAX;
}

static void call_ignore_body(struct exchange *exchange, struct slice bytes, bool end)
{
        (void)exchange;
        (void)bytes;
        (void)end;
}

/* The handler carries on: what it has begun is worth finishing, and ends the call. */
static void call_gone_while_handled(struct exchange *exchange)
{
        (void)exchange;
}

static const struct exchange_ops handled_ops = {
        .room = call_room, .body = call_ignore_body, .gone = call_gone_while_handled};

static void call_handle(struct api_call *call)
{
        call->exchange.ops = &handled_ops;
        call->handle(call);
}

/* Each piece renews the connection's own time-out: a byte now and then would hold the rest for ever. */
static bool call_is_too_slow(const struct api_call *call)
{
        uint64_t taken_ms = (call->thread->loop.now_ns - call->began_ns) / NS_PER_MS;

        return taken_ms > api_gateway(call)->config.stall_timeout_ms +
                                  (uint64_t)call->body.length * 1000 / BODY_RATE;
}

/* Uploads are few; all other bodies together have the bound of bytes in flight. */
static bool call_keep_body(struct api_call *call, struct slice bytes)
{
        size_t before = call->body.capacity, grown;

        if (buffer_append(&call->body, bytes.data, bytes.length) < 0)
                return false;
        grown = call->body.capacity - before;
        if (call->is_upload || grown == 0)
                return true;
        if (!blocks_charge(&call->thread->blocks, grown))
                return false;
        call->charged += grown;
        return true;
}

static void call_take_body(struct exchange *exchange, struct slice bytes, bool end)
{
        struct api_call *call = CONTAINER_OF(exchange, struct api_call, exchange);

        if (!call_keep_body(call, bytes)) {
                response_refuse(exchange->connection, 503, "overloaded",
                                "No memory for the request's body at the moment.");
                return; /* the call is gone */
        }
        if (end)
                call_handle(call);
        else if (call_is_too_slow(call))
                response_refuse(exchange->connection, 408, "request.timeout",
                                "The request body came too slowly.");
}

static void call_gone_while_collecting(struct exchange *exchange)
{
        api_call_end(CONTAINER_OF(exchange, struct api_call, exchange));
}

static const struct exchange_ops collecting_ops = {
        .room = call_room, .body = call_take_body, .gone = call_gone_while_collecting};

/* What is too long to be anything stays "". */
static void hole_copy(struct slice hole, char *ret_text, size_t size)
{
        if (hole.length > 0 && hole.length < size)
                memcpy(ret_text, hole.data, hole.length);
}

/* Nobody has all the places: others shall deploy beside whoever is slow. */
static bool upload_begin(struct api_call *call)
{
        struct api *api = &api_gateway(call)->api;
        const struct api_call *other;
        unsigned count = 0, own = 0;

        pthread_mutex_lock(&api->uploads_lock);
        LIST_FOR_EACH (other, &api->uploads, upload_link) {
                count++;
                own += strcmp(other->user->id, call->user->id) == 0;
        }
        call->is_upload = count < UPLOADS_MAX && own < UPLOADS_MAX - 1;
        if (call->is_upload)
                list_push_back(&api->uploads, &call->upload_link);
        pthread_mutex_unlock(&api->uploads_lock);
        return call->is_upload;
}

/* Begins the call, or answers that there are too many uploads. False without memory. */
static bool call_begin(struct connection *connection, const struct http_request *request,
                       const struct api_route *route, struct user *user,
                       const struct path_holes *holes)
{
        struct gateway *gateway = connection->thread->gateway;
        struct api_call *call = calloc(1, sizeof(*call));

        if (!call)
                return false;
        call->query =
                strndup(request->query.length ? request->query.data : "", request->query.length);
        if (!call->query) {
                free(call);
                return false;
        }
        call->exchange = (struct exchange){.ops = &collecting_ops, .connection = connection};
        call->thread = connection->thread;
        call->began_ns = call->thread->loop.now_ns;
        call->handle = route->handle;
        call->user = user ? user_ref(user) : NULL;
        hole_copy(holes->id, call->id, sizeof(call->id));
        hole_copy(holes->version, call->version, sizeof(call->version));
        buffer_init(&call->body, (size_t)body_max(gateway, route->body));
        atomic_fetch_add(&gateway->api.call_count, 1);
        if (is_upload(request, route) && !upload_begin(call)) {
                api_answer_problem(call, 503, "overloaded", "Too many uploads are under way.");
                return true;
        }

        connection->exchange = &call->exchange;
        connection->state = connection->body_ended ? CONNECTION_ANSWER : CONNECTION_BODY;
        if (request->body == HTTP_BODY_CHUNKED)
                http_chunked_init(&connection->chunked, call->body.limit);
        if (connection->body_ended)
                call_handle(call);
        return true;
}

static void refuse(struct connection *connection, const struct problem *problem)
{
        response_problem(connection, problem);
}

static void answer_no_route(struct connection *connection, const char *allow)
{
        if (allow[0])
                refuse(connection,
                       &(struct problem){.status = 405,
                                         .reason = "method_not_allowed",
                                         .detail = "This path does not have that method; the "
                                                   "header Allow says which it has.",
                                         .allow = allow});
        else
                refuse(connection, &(struct problem){.status = 404,
                                                     .reason = "not_found",
                                                     .detail = "There is nothing at this path."});
}

/* Is the body one that can be taken? Otherwise the request has been answered. */
static bool body_is_welcome(struct connection *connection, const struct http_request *request,
                            const struct api_route *route)
{
        struct gateway *gateway = connection->thread->gateway;
        char text[TOO_LARGE_SIZE];

        if (request->body == HTTP_BODY_LENGTH &&
            request->content_length > body_max(gateway, route->body)) {
                refuse(connection,
                       &(struct problem){.status = 413,
                                         .reason = "payload.too_large",
                                         .detail = body_too_large(gateway, route->body, text)});
                return false;
        }
        return true;
}

enum route_result api_route(struct connection *connection, const struct http_request *request,
                            struct slice input, size_t *ret_consumed)
{
        enum authentication known = AUTHENTICATED;
        struct slice go_on = HTTP_CONTINUE;
        struct path_holes holes = {0};
        const struct api_route *route;
        struct user *user = NULL;
        char allow[64];

        (void)ret_consumed; /* the head, as it stands */
        route = route_find(request, &holes, allow, sizeof(allow));
        if (!route) {
                answer_no_route(connection, allow);
                return ROUTE_ANSWERED;
        }
        if (!route->is_open)
                known = authenticate(connection, request, &user);
        if (known == AUTHENTICATION_SUSPENDED)
                return ROUTE_SUSPENDED;
        if (known != AUTHENTICATED) {
                authentication_answer(connection, known);
                return ROUTE_ANSWERED;
        }
        if (!body_is_welcome(connection, request, route))
                return ROUTE_ANSWERED;
        if (!call_begin(connection, request, route, user, &holes))
                refuse(connection, &(struct problem){.status = 503,
                                                     .reason = "overloaded",
                                                     .detail = "No memory at the moment.",
                                                     .retry_after_s = 1});
        if (request->expect_continue && connection->state == CONNECTION_BODY &&
            input.length == request->head_length)
                (void)connection_write(connection, &go_on, 1);
        return connection->exchange ? ROUTE_EXCHANGE : ROUTE_ANSWERED;
}

void api_drain(struct gateway *gateway)
{
        function_logs_end_followers(&gateway->logs);
        if (gateway->images)
                gateway->images->ops->stop(gateway->images);
}
