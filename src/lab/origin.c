/* Resolving and trying; see origin.h. */
#include "lab/origin.h"

#include "base/auto.h"
#include "base/text.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static void addresses_free(struct addrinfo **addresses)
{
        if (*addresses)
                freeaddrinfo(*addresses);
}

/* 0 when a connection was made (and closed again), or a negative errno. */
static int try_address(const struct addrinfo *address, unsigned timeout_ms)
{
        AUTO(fd_close)
        int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t length = sizeof(int);
        int code = 0;

        if (fd < 0)
                return -errno;
        if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return -errno;
        if (poll(&wait, 1, (int)timeout_ms) == 0)
                return -ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
                return -errno;
        return -code;
}

int origin_find(const struct url *url, unsigned timeout_ms, struct origin *ret_origin,
                struct err *err)
{
        AUTO(addresses_free) struct addrinfo *addresses = NULL;
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        struct origin origin = {.is_tls = url->is_tls};
        char port[8];
        int r;

        if (url->host.length >= sizeof(origin.host))
                return err_set(err, -EINVAL, "'%s' is too long for a host's name",
                               text_quote(url->host).text);
        memcpy(origin.host, url->host.data, url->host.length);
        (void)snprintf(port, sizeof(port), "%u", url->port);
        r = getaddrinfo(origin.host, port, &hints, &addresses);
        if (r != 0)
                return err_set(err, -EHOSTUNREACH, "cannot find '%s': %s", origin.host,
                               gai_strerror(r));
        r = -EHOSTUNREACH;
        for (const struct addrinfo *at = addresses; at; at = at->ai_next) {
                if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
                        continue;
                r = try_address(at, timeout_ms);
                if (r < 0)
                        continue;
                memcpy(&origin.address, at->ai_addr, at->ai_addrlen);
                origin.address_length = at->ai_addrlen;
                *ret_origin = origin;
                return 0;
        }
        (void)err_set(err, -EHOSTUNREACH, "nothing answers at %s:%s: %s", origin.host, port,
                      strerror(-r));
        return -EHOSTUNREACH;
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
        return a->is_tls == b->is_tls && a->address_length == b->address_length &&
               memcmp(&a->address, &b->address, a->address_length) == 0 &&
               strcmp(a->host, b->host) == 0;
}
