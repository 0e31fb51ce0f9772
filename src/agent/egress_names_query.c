/* DNS queries by datagram; see egress_names.h. Each is asked from a socket of its own, so that the
 * kernel chooses a port nobody can guess and keeps out answers of others. */
#include "agent/egress_names_parts.h"
#include "base/auto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER_SIZE 12 /* RFC 1035, 4.1.1 */
#define ID_SIZE 2
#define IS_ANSWER 0x80 /* of the third byte */

struct query {
        struct names_place place;
        struct names *names;
        struct sockaddr_in client;
        int fd;
        struct loop_source source;
        struct timer patience;
        size_t resolver, asked;
        size_t length;
        char bytes[];
};

static void query_end(struct query *query)
{
        struct names *names = query->names;

        loop_remove(&names->loop, &query->source);
        loop_remove_timer(&names->loop, &query->patience);
        fd_close(&query->fd);
        names_share_leave(&names->queries, &query->place);
        free(query);
}

static void query_give_up(struct names_place *place)
{
        query_end(CONTAINER_OF(place, struct query, place));
}

void names_queries_init(struct names *names)
{
        names_share_init(&names->queries, NAMES_QUERIES_MAX, NAMES_QUERIES_PER_CLIENT,
                         query_give_up);
}

static int query_ask(struct query *query)
{
        struct names *names = query->names;

        loop_remove(&names->loop, &query->source);
        fd_close(&query->fd);
        query->asked++;
        query->fd = names_connect(names, query->resolver, SOCK_DGRAM);
        if (query->fd < 0)
                return query->fd;
        if (send(query->fd, query->bytes, query->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return -errno;
        loop_set_timer(&names->loop, &query->patience, NAMES_PATIENCE_MS);
        return loop_add(&names->loop, &query->source, query->fd, EPOLLIN);
}

/* The next name server, or silence: whoever has asked will ask again. */
static void query_go_on(struct query *query)
{
        struct names *names = query->names;
        int r = -EHOSTUNREACH;

        while (r < 0 && query->asked < names->resolvers.count) {
                query->resolver = query->asked == 0
                                          ? names->current
                                          : (query->resolver + 1) % names->resolvers.count;
                r = query_ask(query);
        }
        if (r < 0)
                query_end(query);
}

static void query_on_patience(struct timer *timer)
{
        struct query *query = CONTAINER_OF(timer, struct query, patience);

        names_blame(query->names, query->resolver);
        query_go_on(query);
}

static void query_on_answer(struct loop_source *source, uint32_t events)
{
        struct query *query = CONTAINER_OF(source, struct query, source);
        struct names *names = query->names;
        ssize_t length = recv(query->fd, names->buffer, sizeof(names->buffer), MSG_DONTWAIT);

        (void)events;
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (length < 0) { /* "nobody listens there", for one */
                query_on_patience(&query->patience);
                return;
        }
        if (length < HEADER_SIZE || memcmp(names->buffer, query->bytes, ID_SIZE) != 0)
                return;
        (void)sendto(names->datagrams.fd, names->buffer, (size_t)length,
                     MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&query->client,
                     sizeof(query->client));
        query_end(query);
}

void names_query_begin(struct names *names, const char *bytes, size_t length,
                       const struct sockaddr_in *client)
{
        struct query *query;

        if (length < HEADER_SIZE || length > NAMES_QUERY_MAX || (bytes[2] & IS_ANSWER))
                return;
        query = malloc(sizeof(*query) + length);
        if (!query)
                return;
        *query = (struct query){.names = names, .client = *client, .fd = -1, .length = length};
        if (!names_share_enter(&names->queries, &query->place, client->sin_addr.s_addr)) {
                free(query);
                return;
        }
        memcpy(query->bytes, bytes, length);
        loop_source_init(&query->source, query_on_answer);
        timer_init(&query->patience, query_on_patience);
        query_go_on(query);
}
