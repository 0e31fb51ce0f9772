/* What a client is sent, and what its socket does not take at once; see connection.h. */
#include "gateway/connection.h"

#include "gateway/connection_parts.h"
#include "gateway/gateway.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define WRITE_PARTS_MAX 8
#define GATHER_MAX 1024 /* bytes that are copied in less time than a list of them takes to send */

size_t connection_backlog(const struct connection *connection)
{
        return connection->output_end - connection->output_start;
}

/* Wiped, as blocks are: the allocator gives it to the next who asks. */
static void output_free(struct connection *connection)
{
        if (connection->output)
                explicit_bzero(connection->output, connection->output_capacity);
        free(connection->output);
}

void connection_drop_output(struct connection *connection)
{
        blocks_release(&connection->thread->blocks, connection->output_capacity);
        output_free(connection);
        connection->output = NULL;
        connection->output_start = connection->output_end = connection->output_capacity = 0;
}

static int connection_grow_output(struct connection *connection, size_t capacity)
{
        struct blocks *blocks = &connection->thread->blocks;
        size_t more = capacity - connection->output_capacity;
        char *grown;

        if (!blocks_charge(blocks, more))
                return -ENOMEM;
        grown = malloc(capacity);
        if (!grown) {
                blocks_release(blocks, more);
                return -ENOMEM;
        }
        if (connection->output)
                memcpy(grown, connection->output, connection->output_end);
        output_free(connection);
        connection->output = grown;
        connection->output_capacity = capacity;
        return 0;
}

/* Keeps what the socket did not take. */
static int connection_keep_output(struct connection *connection, const struct slice *parts,
                                  size_t count, size_t skip)
{
        size_t length = 0, waiting = connection_backlog(connection);

        for (size_t i = 0; i < count; i++)
                length += parts[i].length;
        length -= skip;
        if (connection->output_start > 0) {
                memmove(connection->output, connection->output + connection->output_start, waiting);
                connection->output_start = 0;
                connection->output_end = waiting;
        }
        if (waiting + length > connection->output_capacity &&
            connection_grow_output(connection, waiting + length) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                size_t from = skip < parts[i].length ? skip : parts[i].length;
                skip -= from;
                memcpy(connection->output + connection->output_end, parts[i].data + from,
                       parts[i].length - from);
                connection->output_end += parts[i].length - from;
        }
        return 0;
}

static ssize_t connection_send(const struct connection *connection, struct iovec *parts,
                               size_t count, size_t total)
{
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        char gathered[GATHER_MAX];
        size_t length = 0;

        if (total > GATHER_MAX)
                return sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (size_t i = 0; i < count; i++) {
                memcpy(gathered + length, parts[i].iov_base, parts[i].iov_len);
                length += parts[i].iov_len;
        }
        return send(connection->fd, gathered, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int connection_write(struct connection *connection, const struct slice *parts, size_t count)
{
        struct iovec vector[WRITE_PARTS_MAX];
        size_t total = 0;
        ssize_t sent = 0;

        assert(count <= WRITE_PARTS_MAX);
        if (connection->fd < 0)
                return -EPIPE;
        for (size_t i = 0; i < count; i++) {
                vector[i] = (struct iovec){.iov_base = (void *)(uintptr_t)parts[i].data,
                                           .iov_len = parts[i].length};
                total += parts[i].length;
        }
        if (connection_backlog(connection) == 0)
                sent = connection_send(connection, vector, count, total);
        if (sent == (ssize_t)total)
                return 0;
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                connection_close(connection);
                return -EPIPE;
        }
        if (connection_keep_output(connection, parts, count, sent > 0 ? (size_t)sent : 0) < 0) {
                connection_close(connection);
                return -EPIPE;
        }
        connection_touch(connection, connection->thread->gateway->config.stall_timeout_ms);
        connection_watch(connection);
        return 0;
}

void connection_send_output(struct connection *connection)
{
        ssize_t sent = send(connection->fd, connection->output + connection->output_start,
                            connection_backlog(connection), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        connection_close(connection);
                return;
        }
        connection->output_start += (size_t)sent;
        connection_touch(connection, connection->thread->gateway->config.stall_timeout_ms);
        if (connection_backlog(connection) > 0)
                return;

        connection_drop_output(connection);
        if (connection->state == CONNECTION_FLUSH) {
                connection_finish(connection);
                return;
        }
        if (connection->exchange && connection->exchange->ops->drained)
                connection->exchange->ops->drained(connection->exchange);
        if (connection->fd >= 0 && connection->state == CONNECTION_HEAD) {
                connection_rest(connection);
                connection_resume(connection);
        }
}
