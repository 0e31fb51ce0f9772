/* What the images of the benchmarks run, and what nginx is put in front of: an echo, in whichever
 * language its surroundings speak.
 *
 *     server             of HTTP/1.1 on PORT: one process, epoll, connections that stay; every request
 *                        is answered with its own body
 *     server             with AWS_LAMBDA_RUNTIME_API: WORKERS clients of that, a connection each
 *     server exec TEXT   prints its last argument
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 16384
#define WORKERS 8
#define CONNECTIONS 4096

static struct connection {
        size_t used;
        char data[ROOM];
} * connections[CONNECTIONS];

static void fail(const char *what)
{
        perror(what);
        exit(1);
}

static void set_prompt(int fd)
{
        int one = 1;

        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* What follows `name` in one of the lines up to `end`, the first of which is the message's; or NULL. */
static char *find_header(char *data, const char *end, const char *name)
{
        size_t length = strlen(name);

        while ((data = memchr(data, '\n', (size_t)(end - data))))
                if (strncasecmp(++data, name, length) == 0)
                        return data + length;
        return NULL;
}

/* Where the message that begins at `data` has its body, and how long that is; NULL: not there yet. */
static char *find_body(char *data, size_t used, size_t *ret_length)
{
        char *end = memmem(data, used, "\r\n\r\n", 4), *length;

        if (!end)
                return NULL;
        length = find_header(data, end, "content-length:");
        *ret_length = length ? strtoul(length, NULL, 10) : 0;
        end += 4;
        return (size_t)(data + used - end) >= *ret_length ? end : NULL;
}

static void answer_all(int fd, struct connection *connection)
{
        char *at = connection->data, *body;
        size_t length;

        while ((body = find_body(at, connection->used, &length))) {
                char answer[ROOM + 256];
                int head = snprintf(answer, 256,
                                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n\r\n",
                                    length);
                memcpy(answer + head, body, length);
                if (write(fd, answer, (size_t)head + length) < 0)
                        return;
                connection->used -= (size_t)(body + length - at);
                at = body + length;
        }
        memmove(connection->data, at, connection->used);
}

static void serve(int fd)
{
        struct connection *connection = connections[fd];
        ssize_t got = read(fd, connection->data + connection->used, ROOM - 1 - connection->used);

        if (got <= 0) {
                close(fd);
                return;
        }
        connection->used += (size_t)got;
        answer_all(fd, connection);
}

static void take(int poll_fd, int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        if (fd < 0)
                return;
        if (fd >= CONNECTIONS ||
            (!connections[fd] && !(connections[fd] = malloc(sizeof(**connections))))) {
                close(fd);
                return;
        }
        connections[fd]->used = 0;
        set_prompt(fd);
        (void)epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void serve_http(const char *port)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port = htons((unsigned short)atoi(port))};
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        int poll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event events[256], event = {.events = EPOLLIN, .data.fd = listener};

        (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(listener, 4096) < 0)
                fail("listening");
        (void)epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
        for (;;) {
                int count = epoll_wait(poll_fd, events, 256, -1);
                for (int i = 0; i < count; i++)
                        if (events[i].data.fd == listener)
                                take(poll_fd, listener);
                        else
                                serve(events[i].data.fd);
        }
}

/* One message, whole, into `data`; its body, or NULL at the connection's end. */
static char *receive(int fd, char data[ROOM], size_t *ret_length)
{
        size_t used = 0;
        char *body = NULL;

        while (!body) {
                ssize_t got = read(fd, data + used, ROOM - 1 - used);
                if (got <= 0)
                        return NULL;
                used += (size_t)got;
                data[used] = '\0';
                body = find_body(data, used, ret_length);
        }
        return body;
}

static void serve_lambda(const char *host)
{
        static const char next[] =
                "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: r\r\n\r\n";
        static const char id_header[] = "Lambda-Runtime-Aws-Request-Id: ";
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port =
                                              htons((unsigned short)atoi(strchr(host, ':') + 1))};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char data[ROOM], request[ROOM + 512], *body, *id;
        size_t length;

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                fail("connecting");
        set_prompt(fd);
        for (;;) {
                int head;
                if (write(fd, next, sizeof(next) - 1) < 0 || !(body = receive(fd, data, &length)) ||
                    !(id = find_header(data, body, id_header)))
                        exit(2);
                head = snprintf(request, 512,
                                "POST /2018-06-01/runtime/invocation/%.*s/response HTTP/1.1\r\n"
                                "Host: r\r\nContent-Length: %zu\r\n\r\n",
                                (int)strcspn(id, "\r"), id, length);
                memcpy(request + head, body, length);
                if (write(fd, request, (size_t)head + length) < 0 || !receive(fd, data, &length))
                        exit(3);
        }
}

int main(int count, char **words)
{
        const char *runtime = getenv("AWS_LAMBDA_RUNTIME_API"), *port = getenv("PORT");
        const char *workers = getenv("WORKERS");

        if (count > 1)
                return puts(words[count - 1]) < 0;
        if (runtime) {
                for (int left = workers ? atoi(workers) : 1; left > 1; left--)
                        if (fork() == 0)
                                break;
                serve_lambda(runtime);
        }
        serve_http(port ? port : "8080");
}
