/* TCP and TLS under one roof; see engine_parts.h. */
#include "lab/engine_parts.h"

#include "base/auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif

/* The system's range, though all of it, one port after the other. By itself the kernel takes every second
 * one, and when those have all gone to one server, it looks through them (14,000 usually, in milliseconds)
 * before each connection that follows. */
static void transport_use_all_ports(int fd)
{
        const uint32_t range = 65535u << 16; /* to the highest there is, from the lowest (0) */

        (void)setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range));
}

int transport_connect(struct link *link)
{
        const struct origin *origin = link->origin;
        int one = 1;
        AUTO(fd_close)
        int fd = socket(origin->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        /* Without it a body in two pieces would wait for the other side's delayed acknowledgement. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        transport_use_all_ports(fd);
        if (connect(fd, (const struct sockaddr *)&origin->address, origin->address_length) < 0 &&
            errno != EINPROGRESS)
                return -errno;
        link->fd = fd_steal(&fd);
        return 0;
}

/* Whose certificate it must be: an address is not a name. */
static bool tls_expect(SSL *tls, const char *host)
{
        unsigned char address[sizeof(struct in6_addr)];

        if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
                return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1;
        return SSL_set_tlsext_host_name(tls, host) == 1 && SSL_set1_host(tls, host) == 1;
}

static int tls_open(struct link *link, const struct load *load)
{
        link->tls = SSL_new(load->tls);
        if (!link->tls || SSL_set_fd(link->tls, link->fd) != 1 ||
            !tls_expect(link->tls, link->origin->host))
                return -ENOMEM;
        SSL_set_connect_state(link->tls);
        return 0;
}

/* What the last call on the connection meant. */
static ssize_t tls_result(const SSL *tls, int r)
{
        int code = SSL_get_error(tls, r), saved = errno;

        if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
                return -EAGAIN;
        if (code == SSL_ERROR_ZERO_RETURN)
                return 0;
        if (code == SSL_ERROR_SYSCALL)
                return saved ? -saved : -ECONNRESET;
        return -EPROTO;
}

int transport_handshake(struct link *link, const struct load *load, uint32_t *ret_events)
{
        int r = link->tls ? 0 : tls_open(link, load);

        if (r < 0)
                return r;
        ERR_clear_error();
        errno = 0;
        r = SSL_do_handshake(link->tls);
        if (r == 1)
                return 0;
        *ret_events = SSL_want_write(link->tls) ? EPOLLOUT : EPOLLIN;
        r = (int)tls_result(link->tls, r);
        return r == 0 ? -EPROTO : r;
}

ssize_t transport_send(struct link *link, const char *data, size_t length)
{
        ssize_t r;

        if (link->tls) {
                ERR_clear_error();
                errno = 0;
                r = SSL_write(link->tls, data, length < INT_MAX ? (int)length : INT_MAX);
                return r > 0 ? r : tls_result(link->tls, (int)r);
        }
        r = send(link->fd, data, length, MSG_NOSIGNAL);
        return r < 0 ? -errno : r;
}

ssize_t transport_receive(struct link *link, char *data, size_t size)
{
        ssize_t r;

        if (link->tls) {
                ERR_clear_error();
                errno = 0;
                r = SSL_read(link->tls, data, size < INT_MAX ? (int)size : INT_MAX);
                return r > 0 ? r : tls_result(link->tls, (int)r);
        }
        r = recv(link->fd, data, size, 0);
        return r < 0 ? -errno : r;
}

void transport_close(struct link *link)
{
        SSL_free(link->tls);
        link->tls = NULL;
        fd_close(&link->fd);
}
