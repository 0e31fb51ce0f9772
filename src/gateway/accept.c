/* Newcomers; see accept.h. */
#include "gateway/accept.h"

#include "base/auto.h"
#include "base/log.h"
#include "core/invoker/outcome.h"
#include "gateway/connection.h"
#include "gateway/gateway.h"
#include "gateway/gateway_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ACCEPT_BATCH 64
#define ACCEPT_PAUSE_MS 100
#define WANTED_MOST 256         /* connections that make room at once */
#define LEAVING_MOST 4          /* that are looked at for a newcomer */
#define DRAIN_ACCEPT_BATCHES 64 /* as many as wait in a backlog, and no more */

static void peer_text(const struct sockaddr_storage *address, char ret_text[INET6_ADDRSTRLEN])
{
        const void *bytes =
                address->ss_family == AF_INET6
                        ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                        : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

        if (!inet_ntop(address->ss_family, bytes, ret_text, INET6_ADDRSTRLEN))
                ret_text[0] = '\0';
}

/* Who waits, so many at most. */
static unsigned accept_count_waiting(const struct accept *accept, unsigned most)
{
        struct tcp_info info = {0};
        socklen_t length = sizeof(info);
        unsigned waiting = accept->first_fd >= 0;

        if (getsockopt(accept->listen_fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
                waiting += info.tcpi_unacked; /* of a listener: its backlog */
        return waiting < most ? waiting : most;
}

/* Without descriptors or room for connections the backlog holds the clients for a moment. As many of
 * those who are answered meanwhile are asked to come again. */
static void accept_pause(struct gateway_thread *thread)
{
        struct accept *accept = &thread->accept;
        unsigned waiting = accept_count_waiting(accept, WANTED_MOST);

        accept->wanted = waiting > accept->told ? waiting - accept->told : 0;
        (void)loop_modify(&thread->loop, &thread->accept.listener, 0);
        loop_set_timer(&thread->loop, &thread->accept.pause, ACCEPT_PAUSE_MS);
}

static bool has_event(int fd, short events)
{
        struct pollfd socket = {.fd = fd, .events = events};

        return poll(&socket, 1, 0) == 1;
}

/* Those who only hold their connections lock nobody out: one of them goes where somebody waits. */
static bool accept_make_room(struct gateway_thread *thread)
{
        for (int i = 0; i < LEAVING_MOST; i++)
                if (connection_let_one_go(thread))
                        return true;
        if (!connection_make_room(thread))
                return false;
        atomic_fetch_add_explicit(&thread->made_room, 1, memory_order_relaxed);
        return true;
}

static int accept_from_backlog(struct gateway_thread *thread)
{
        socklen_t length = sizeof(thread->accept.first_address);
        int fd = accept4(thread->accept.listen_fd, (struct sockaddr *)&thread->accept.first_address,
                         &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* False where nobody waits, or no descriptor may be had. One is asked for before anybody is looked for:
 * accept(2) may fail where nobody waits. */
static bool accept_first(struct gateway_thread *thread)
{
        int r;

        if (thread->accept.first_fd >= 0)
                return true;
        r = accept_from_backlog(thread);
        if (r == -EMFILE || r == -ENFILE) {
                if (!has_event(thread->accept.listen_fd, POLLIN))
                        return false;
                if (accept_make_room(thread))
                        r = accept_from_backlog(thread);
        }
        if (r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM)
                accept_pause(thread);
        if (r < 0)
                return false;
        thread->accept.first_fd = r;
        return true;
}

/* It has hung up, or sends no more and still reads, or the node ends. */
static void accept_turn_away(struct gateway_thread *thread)
{
        static const char detail[] = "The node takes no more connections at the moment.";
        const struct outcome_answer *why = outcome_answer(
                atomic_load(&thread->gateway->draining) ? OUTCOME_DRAINING : OUTCOME_OVERLOADED);
        int *fd = &thread->accept.first_fd;
        char body[512], answer[768];
        int length = snprintf(body, sizeof(body),
                              "{\"title\":\"%s\",\"status\":503,\"reason\":\"%s\","
                              "\"detail\":\"%s\",\"message\":\"%s\"}\n",
                              why->title, why->reason, detail, detail);

        length = snprintf(answer, sizeof(answer),
                          "HTTP/1.1 503 Service Unavailable\r\n"
                          "Content-Type: application/problem+json\r\nContent-Length: %d\r\n"
                          "Retry-After: 1\r\nConnection: close\r\n\r\n%s",
                          length, body);
        (void)send(*fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
        /* What is left unread at the end resets the answer away. */
        (void)recv(*fd, thread->scratch, SCRATCH_SIZE, MSG_DONTWAIT);
        fd_close(fd);
}

bool accept_asks_to_leave(struct connection *connection, bool complete)
{
        struct gateway_thread *thread = connection->thread;

        if (thread->accept.wanted == 0 || !connection_is_alone(connection))
                return false;
        connection->makes_room = complete;
        (void)loop_put_first(&thread->loop, &connection->source, true); /* its end is waited for */
        thread->accept.wanted--;
        thread->accept.told += complete;
        atomic_fetch_add_explicit(&thread->made_room, 1, memory_order_relaxed);
        return true;
}

void accept_expect_no_more(struct connection *connection)
{
        connection->thread->accept.told -= connection->makes_room;
        connection->makes_room = false;
}

static bool accept_is_full(const struct gateway *gateway)
{
        return atomic_load_explicit(&gateway->connection_count, memory_order_relaxed) >=
               gateway->config.connections_max;
}

/* True when more may wait. */
static bool accept_some(struct gateway_thread *thread)
{
        struct accept *accept = &thread->accept;

        for (int i = 0; i < ACCEPT_BATCH; i++) {
                char peer[INET6_ADDRSTRLEN];

                if (!accept_first(thread))
                        return false;
                if (!accept_is_full(thread->gateway) || accept_make_room(thread)) {
                        peer_text(&accept->first_address, peer);
                        (void)connection_open(thread, accept->first_fd, peer);
                        accept->first_fd = -1;
                        /* Else those who leave would become ever more where all come for a single call. */
                        (void)connection_let_one_go(thread);
                } else if (has_event(accept->first_fd, POLLRDHUP)) {
                        accept_turn_away(thread);
                } else {
                        accept_pause(thread);
                        return false;
                }
        }
        return true;
}

/* A crowd is let in turn by turn. The loop itself comes back to the listener only behind all clients that
 * have something to say: where those are thousands, the last of a crowd waited for seconds. */
static void accept_more(struct loop_task *task)
{
        struct gateway_thread *thread = CONTAINER_OF(task, struct gateway_thread, accept.more);

        if (thread->accept.listener.fd >= 0 && thread->accept.listener.events &&
            accept_some(thread))
                loop_defer_turn(&thread->loop, task);
}

static void accept_on_event(struct loop_source *source, uint32_t events)
{
        struct gateway_thread *thread =
                CONTAINER_OF(source, struct gateway_thread, accept.listener);

        (void)events;
        if (accept_some(thread))
                loop_defer_turn(&thread->loop, &thread->accept.more);
}

static void accept_on_timer(struct timer *timer)
{
        struct gateway_thread *thread = CONTAINER_OF(timer, struct gateway_thread, accept.pause);

        if (thread->accept.listener.fd < 0)
                return;
        thread->accept.wanted = 0;
        (void)loop_modify(&thread->loop, &thread->accept.listener, EPOLLIN);
        loop_defer_turn(&thread->loop, &thread->accept.more); /* the first is no event any more */
}

static void accept_by_letter(struct letter *letter)
{
        struct gateway_thread *thread = CONTAINER_OF(letter, struct gateway_thread, accept.begin);
        struct accept *accept = &thread->accept;
        int r = 0;

        if (accept->listen_fd >= 0) /* else it is draining already */
                r = loop_add(&thread->loop, &accept->listener, accept->listen_fd, EPOLLIN);
        if (r < 0)
                log_error("accepting connections: %s", strerror(-r));
}

void gateway_accept(struct gateway *gateway)
{
        scheduler_reconcile(&gateway->scheduler);
        for (unsigned i = 0; i < gateway->config.thread_count; i++)
                mailbox_post(&gateway->threads[i].mailbox, &gateway->threads[i].accept.begin);
}

void accept_init(struct gateway_thread *thread, int listen_fd)
{
        struct accept *accept = &thread->accept;

        accept->listen_fd = listen_fd;
        accept->first_fd = -1;
        loop_source_init(&accept->listener, accept_on_event);
        accept->listener.comes_first = true;
        timer_init(&accept->pause, accept_on_timer);
        loop_task_init(&accept->more, accept_more);
        accept->begin.deliver = accept_by_letter;
}

void accept_deinit(struct gateway_thread *thread)
{
        fd_close(&thread->accept.listen_fd);
        fd_close(&thread->accept.first_fd);
}

void accept_end(struct gateway_thread *thread)
{
        struct accept *accept = &thread->accept;
        int batches = 0;

        while (accept->listener.fd >= 0 && batches++ < DRAIN_ACCEPT_BATCHES && accept_some(thread))
                ;
        for (int i = 0; i < DRAIN_ACCEPT_BATCHES * ACCEPT_BATCH && accept->listener.fd >= 0; i++) {
                if (!accept_first(thread))
                        break;
                accept_turn_away(thread);
        }
        loop_remove_timer(&thread->loop, &accept->pause);
        loop_remove(&thread->loop, &accept->listener);
        accept_deinit(thread);
}
