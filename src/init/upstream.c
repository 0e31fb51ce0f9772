/* Connecting; see upstream.h. */
#include "init/upstream.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_PAUSE_NS 200000
#define LONGEST_PAUSE_NS 5000000

int upstream_connect(uint16_t port, bool ipv6)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 address6 = {.sin6_family = AF_INET6,
                                        .sin6_port = htons(port),
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        AUTO(fd_close) int fd = -1;
        int one = 1, r;

        fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* Heads and pieces of bodies are written when they are complete: none shall wait. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        r = ipv6 ? connect(fd, (struct sockaddr *)&address6, sizeof(address6))
                 : connect(fd, (struct sockaddr *)&address, sizeof(address));
        if (r < 0 && errno != EINPROGRESS)
                return -errno;
        return fd_steal(&fd);
}

enum upstream_state upstream_state(int fd)
{
        struct pollfd wanted = {.fd = fd, .events = POLLOUT};
        int error = 0;
        socklen_t length = sizeof(error);

        if (poll(&wanted, 1, 0) <= 0)
                return UPSTREAM_WAITS;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
                return UPSTREAM_REFUSED;
        return UPSTREAM_CONNECTED;
}

/* One attempt: a connection, or -1. */
static int attempt(uint16_t port, bool ipv6)
{
        AUTO(fd_close) int fd = upstream_connect(port, ipv6);

        /* One that waits finds a full queue: its server will be as ready for the next attempt. */
        if (fd < 0 || upstream_state(fd) != UPSTREAM_CONNECTED)
                return -1;
        return fd_steal(&fd);
}

/* That a port is listened on is no event in Linux: inotify does not see /proc/net, netlink can be
 * asked for sockets but does not tell of new ones, and to trace the server would cost it more than
 * this costs us, about 30 microseconds an attempt. */
int upstream_await(uint16_t port, int child_fd, int worker_fd, bool *ret_ipv6)
{
        uint64_t pause_ns = FIRST_PAUSE_NS;

        for (;;) {
                struct pollfd others[] = {{.fd = child_fd, .events = POLLIN}, {.fd = worker_fd}};
                struct timespec pause = {.tv_nsec = (long)pause_ns};

                for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
                        int fd = attempt(port, ipv6);
                        if (fd < 0)
                                continue;
                        *ret_ipv6 = ipv6;
                        return fd;
                }
                if (ppoll(others, 2, &pause, NULL) > 0)
                        return -1;
                pause_ns =
                        pause_ns * 3 / 2 < LONGEST_PAUSE_NS ? pause_ns * 3 / 2 : LONGEST_PAUSE_NS;
        }
}
