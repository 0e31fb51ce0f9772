/* A server of the function's own; see contract.h. One loop serves all lanes (http_lane.c). */
#include "init/contract.h"
#include "init/http_lane.h"
#include "init/ready.h"
#include "init/upstream.h"
#include "init/worker_socket.h"

#include "base/auto.h"
#include "wire/http_head.h"

#include <errno.h>
#include <stdlib.h>

/* Waits for the server to listen. 0, or a negative errno; also where it has ended instead, or the
 * gateway has. */
static int await_server(struct http_server *server)
{
        int fd = -1;

        for (;;) {
                fd = upstream_await(server->port, server->service.child_fd, WORKER_FD,
                                    &server->ipv6);
                if (fd >= 0)
                        break;
                if (service_reap(&server->service))
                        return -ECHILD;
                if (worker_socket_is_closed())
                        return -EPIPE;
        }
        server->first_is_spare = true;
        http_lane_connected(CONTAINER_OF(server->lanes.main, struct http_lane, lane), fd);
        return 0;
}

static int start(struct http_server *server, const char *port, char *const *command)
{
        const struct ready ready = ready_begin();
        int r;

        r = service_init(&server->service);
        if (r < 0)
                return r;
        if (setenv("PORT", port, 0) < 0)
                return -errno;
        r = service_start(&server->service, command);
        if (r == 0)
                r = lanes_init(&server->lanes, &server->service.loop, &http_lane_contract);
        if (r == 0)
                r = await_server(server);
        return r < 0 ? r : ready_say(&ready, WORKER_FLAG_TRUNKS);
}

/* What the server has said before it ended is still to be read. */
static void take_last_words(struct http_server *server)
{
        struct lane *lane;

        LIST_FOR_EACH (lane, &server->lanes.all, link)
                http_lane_hear_out(CONTAINER_OF(lane, struct http_lane, lane));
        lanes_flush(&server->lanes);
}

/* The port that the environment names, or else `standard`; false where it is none. */
static bool choose_port(const char *standard, uint16_t *ret_port)
{
        const char *chosen = getenv("PORT");
        uint64_t port;

        if (!http_head_parse_length(slice_of(chosen ? chosen : standard), &port) || port == 0 ||
            port > UINT16_MAX) {
                worker_socket_refuse("'%s' is no port to listen on", chosen ? chosen : standard);
                return false;
        }
        *ret_port = (uint16_t)port;
        return true;
}

struct outcome contract_http(const char *port, char *const *command)
{
        const struct outcome failed = {.number = 127}, ended = {.number = 0};
        struct http_server *server = calloc(1, sizeof(*server));
        int r;

        if (!server || !choose_port(port, &server->port))
                return failed;
        r = start(server, port, command);
        if (r == 0)
                r = service_run(&server->service);
        if (server->service.ended) {
                if (r == 0)
                        take_last_words(server);
                return outcome_of_status(server->service.status);
        }
        if (r == 0 && !server->lanes.broken)
                service_end(&server->service);
        return (r < 0 && r != -EPIPE) || server->lanes.broken ? failed : ended;
}
