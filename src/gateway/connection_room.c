/* Who goes where connections are too many; see connection.h. */
#include "gateway/connection.h"

#include "gateway/connection_parts.h"
#include "gateway/gateway.h"

#include <sys/socket.h>

/* Some round trips to the other end of the world. What a client has sent when it learns of its connection's
 * end is lost, and whoever asks again as soon as he has been answered is not idle. */
#define GRACE_MS 1000

void connection_rest(struct connection *connection)
{
        list_remove(&connection->link);
        list_push_back(&connection->thread->idle, &connection->link);
        connection->since_ms = connection_now_ms(connection);
        connection_touch(connection, connection->thread->gateway->config.idle_timeout_ms);
}

void connection_begin_head(struct connection *connection)
{
        list_remove(&connection->link);
        list_push_back(&connection->thread->heads, &connection->link);
        connection->since_ms = connection_now_ms(connection);
}

static bool connection_is_silent(const struct connection *connection)
{
        char next;

        return recv(connection->fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

bool connection_is_alone(const struct connection *connection)
{
        return !connection->is_followed && block_length(connection->input) == 0 &&
               connection_is_silent(connection);
}

bool connection_is_unasked(const struct connection *connection)
{
        return connection->state == CONNECTION_HEAD && block_length(connection->input) == 0 &&
               connection_is_silent(connection);
}

static bool connection_is_idle(const struct connection *connection)
{
        return connection_backlog(connection) == 0 && connection_is_unasked(connection);
}

static bool connection_is_young(const struct connection *connection)
{
        return connection->since_ms + GRACE_MS > connection_now_ms(connection);
}

/* Who has begun a request since it came to rest is still in line: a request costs no more than one move
 * in a list. */
static bool make_room_of_idle(struct gateway_thread *thread)
{
        struct list *link;

        while ((link = list_peek_front(&thread->idle))) {
                struct connection *connection = CONTAINER_OF(link, struct connection, link);
                if (connection_is_idle(connection)) {
                        if (connection_is_young(connection))
                                return false;
                        connection_close(connection);
                        return true;
                }
                list_remove(link);
                list_push_back(&thread->connections, link);
        }
        return false;
}

static bool connection_is_in_head(const struct connection *connection)
{
        return connection->state == CONNECTION_HEAD && connection->scanned > 0;
}

/* Likewise, who has completed its head since. What has not been read may complete it. */
static bool make_room_of_slow_heads(struct gateway_thread *thread)
{
        struct connection *connection, *after;

        LIST_FOR_EACH_SAFE (connection, after, &thread->heads, link) {
                if (!connection_is_in_head(connection)) {
                        list_remove(&connection->link);
                        list_push_back(&thread->connections, &connection->link);
                } else if (connection_is_young(connection)) {
                        return false;
                } else if (connection_is_silent(connection)) {
                        connection_close(connection);
                        return true;
                }
        }
        return false;
}

bool connection_make_room(struct gateway_thread *thread)
{
        return make_room_of_idle(thread) || make_room_of_slow_heads(thread);
}
