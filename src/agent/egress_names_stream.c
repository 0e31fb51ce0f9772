/* DNS queries over TCP: two connections, and bytes from either to the other; see egress_names.h. */
#include "agent/egress_names_parts.h"
#include "base/auto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE 4096

/* One of the two: what it has sent and the other has not taken. */
struct end {
        struct loop_source source;
        int fd;
        bool has_ended; /* nothing more comes from here ... */
        bool has_told;  /* ... and the other one knows */
        size_t length;
        char bytes[BUFFER_SIZE];
};

struct stream_pair {
        struct names_place place;
        struct names *names;
        size_t resolver;
        bool has_heard; /* the name server has said something */
        struct timer idle;
        struct end ends[2]; /* the sandbox's, the name server's */
};

static void pair_end(struct stream_pair *pair)
{
        struct names *names = pair->names;

        for (int i = 0; i < 2; i++) {
                loop_remove(&names->loop, &pair->ends[i].source);
                fd_close(&pair->ends[i].fd);
        }
        loop_remove_timer(&names->loop, &pair->idle);
        names_share_leave(&names->stream_pairs, &pair->place);
        free(pair);
}

static void pair_give_up(struct names_place *place)
{
        pair_end(CONTAINER_OF(place, struct stream_pair, place));
}

void names_streams_init(struct names *names)
{
        names_share_init(&names->stream_pairs, NAMES_STREAMS_MAX, NAMES_STREAMS_PER_CLIENT,
                         pair_give_up);
}

static bool is_transient(ssize_t result)
{
        return result < 0 && (errno == EAGAIN || errno == EINTR);
}

/* False where that connection is broken. */
static bool end_read(struct end *from)
{
        ssize_t length;

        if (from->has_ended || from->length == BUFFER_SIZE)
                return true;
        length = recv(from->fd, from->bytes + from->length, BUFFER_SIZE - from->length,
                      MSG_DONTWAIT);
        if (length < 0)
                return is_transient(length);
        from->length += (size_t)length;
        from->has_ended = length == 0;
        return true;
}

static bool end_write(struct end *from, struct end *to)
{
        ssize_t length;

        if (from->length > 0) {
                length = send(to->fd, from->bytes, from->length, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (length < 0)
                        return is_transient(length);
                from->length -= (size_t)length;
                memmove(from->bytes, from->bytes + length, from->length);
        }
        if (from->has_ended && from->length == 0 && !from->has_told) {
                from->has_told = true;
                return shutdown(to->fd, SHUT_WR) == 0;
        }
        return true;
}

static int end_watch(struct names *names, struct end *own, const struct end *other)
{
        uint32_t events = 0;

        if (own->source.fd < 0)
                return 0;
        if (!own->has_ended && own->length < BUFFER_SIZE)
                events |= EPOLLIN;
        if (other->length > 0)
                events |= EPOLLOUT;
        return loop_modify(&names->loop, &own->source, events);
}

static void pair_move(struct stream_pair *pair, int which, uint32_t events)
{
        struct end *own = &pair->ends[which], *other = &pair->ends[1 - which];
        bool good = true;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                good = end_read(own);
        /* While it is still being connected to, nothing is sent, and EPOLLOUT tells. */
        good = good && end_write(own, other) && end_write(other, own);
        if (own->has_told && other->has_told)
                good = false;
        if (good && events & (EPOLLHUP | EPOLLERR) && own->has_ended) {
                /* It would be told again and again while the other takes what it has left. */
                loop_remove(&pair->names->loop, &own->source);
                good = own->length > 0;
        }
        if (!good || end_watch(pair->names, own, other) < 0 ||
            end_watch(pair->names, other, own) < 0) {
                if (!good && which == 1 && !pair->has_heard)
                        names_blame(pair->names, pair->resolver);
                pair_end(pair);
                return;
        }
        if (which == 1 && own->length > 0)
                pair->has_heard = true;
        loop_set_timer(&pair->names->loop, &pair->idle, NAMES_STREAM_IDLE_MS);
}

static void pair_on_client(struct loop_source *source, uint32_t events)
{
        pair_move(CONTAINER_OF(source, struct stream_pair, ends[0].source), 0, events);
}

static void pair_on_resolver(struct loop_source *source, uint32_t events)
{
        pair_move(CONTAINER_OF(source, struct stream_pair, ends[1].source), 1, events);
}

static void pair_on_idle(struct timer *timer)
{
        pair_end(CONTAINER_OF(timer, struct stream_pair, idle));
}

void names_stream_begin(struct names *names, int fd, const struct sockaddr_in *client)
{
        AUTO(fd_close) int owned_fd = fd;
        struct stream_pair *pair = calloc(1, sizeof(*pair));

        if (!pair)
                return;
        if (!names_share_enter(&names->stream_pairs, &pair->place, client->sin_addr.s_addr)) {
                free(pair);
                return;
        }
        pair->names = names;
        pair->resolver = names->current;
        pair->ends[0].fd = fd_steal(&owned_fd);
        pair->ends[1].fd = names_connect(names, names->current, SOCK_STREAM);
        loop_source_init(&pair->ends[0].source, pair_on_client);
        loop_source_init(&pair->ends[1].source, pair_on_resolver);
        timer_init(&pair->idle, pair_on_idle);
        if (pair->ends[1].fd < 0 ||
            loop_add(&names->loop, &pair->ends[0].source, pair->ends[0].fd, EPOLLIN) < 0 ||
            loop_add(&names->loop, &pair->ends[1].source, pair->ends[1].fd, EPOLLIN) < 0) {
                pair_end(pair);
                return;
        }
        loop_set_timer(&names->loop, &pair->idle, NAMES_STREAM_IDLE_MS);
}
