/* The process that passes DNS queries on; see egress_names.h. */
#include "agent/egress_names.h"

#include "agent/egress_link.h"
#include "agent/egress_names_parts.h"
#include "agent/file.h"
#include "agent/filter.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define DNS_PORT 53
#define NOBODY 65534
#define CONFIGURATION "/etc/resolv.conf"
#define CONFIGURATION_MAX 16384
#define AT_ONCE 64 /* queries a turn of the loop */

/* Behind the three standard ones. */
enum own_fd { DATAGRAM_FD = 3, STREAM_FD = 4, OWN_FDS_END = 5 };

/* Listening ---------------------------------------------------------------------------------------- */

static int listen_on(int type)
{
        const struct sockaddr_in address = {.sin_family = AF_INET,
                                            .sin_port = htons(DNS_PORT),
                                            .sin_addr = {.s_addr = htonl(EGRESS_RESOLVER)}};
        AUTO(fd_close) int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            (type == SOCK_STREAM && listen(fd, NAMES_STREAMS_MAX) < 0))
                return -errno;
        return fd_steal(&fd);
}

int egress_names_listen(int *ret_datagram_fd, int *ret_stream_fd, struct err *err)
{
        AUTO(fd_close) int datagram_fd = listen_on(SOCK_DGRAM);
        AUTO(fd_close) int stream_fd = listen_on(SOCK_STREAM);

        if (datagram_fd < 0 || stream_fd < 0)
                return err_errno(err, datagram_fd < 0 ? datagram_fd : stream_fd,
                                 "listening for the queries of sandboxes");
        *ret_datagram_fd = fd_steal(&datagram_fd);
        *ret_stream_fd = fd_steal(&stream_fd);
        return 0;
}

/* Name servers ------------------------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
        return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Links are followed: /etc/resolv.conf often is one. */
static size_t read_configuration(char ret_text[CONFIGURATION_MAX])
{
        AUTO(fd_close) int fd = open(CONFIGURATION, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t length = fd < 0 ? 0 : read(fd, ret_text, CONFIGURATION_MAX);

        return length > 0 ? (size_t)length : 0;
}

void names_refresh(struct names *names)
{
        char text[CONFIGURATION_MAX];
        struct stat now = {0};

        if (names->looked_ns != 0 && names->loop.now_ns - names->looked_ns < NS_PER_S)
                return;
        names->looked_ns = names->loop.now_ns;
        (void)stat(CONFIGURATION, &now);
        if (names->resolvers.count > 0 && is_same_file(&now, &names->configuration))
                return;
        names->configuration = now;
        names->current = 0;
        resolver_list_parse(slice_make(text, read_configuration(text)), &names->resolvers);
}

/* The list may have become another one meanwhile. */
void names_blame(struct names *names, size_t resolver)
{
        if (names->current == resolver)
                names->current = (resolver + 1) % names->resolvers.count;
}

int names_connect(const struct names *names, size_t resolver, int type)
{
        const union resolver_address *address = &names->resolvers.addresses[resolver];
        AUTO(fd_close)
        int fd = socket(address->base.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        if (connect(fd, &address->base, resolver_address_size(address)) < 0 && errno != EINPROGRESS)
                return -errno;
        return fd_steal(&fd);
}

/* Serving ------------------------------------------------------------------------------------------ */

static void names_on_datagram(struct loop_source *source, uint32_t events)
{
        struct names *names = CONTAINER_OF(source, struct names, datagrams);
        char bytes[NAMES_QUERY_MAX + 1];

        (void)events;
        names_refresh(names);
        for (int i = 0; i < AT_ONCE; i++) {
                struct sockaddr_in client;
                socklen_t size = sizeof(client);
                ssize_t length = recvfrom(source->fd, bytes, sizeof(bytes), MSG_DONTWAIT,
                                          (struct sockaddr *)&client, &size);
                if (length < 0)
                        return;
                names_query_begin(names, bytes, (size_t)length, &client);
        }
}

static void names_on_connection(struct loop_source *source, uint32_t events)
{
        struct names *names = CONTAINER_OF(source, struct names, streams);
        struct sockaddr_in client;
        socklen_t size = sizeof(client);
        int fd = accept4(source->fd, (struct sockaddr *)&client, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        (void)events;
        if (fd < 0)
                return;
        names_refresh(names);
        names_stream_begin(names, fd, &client);
}

static int serve(int datagram_fd, int stream_fd)
{
        struct names *names = calloc(1, sizeof(*names));
        int r = names ? loop_init(&names->loop) : -ENOMEM;

        if (r < 0)
                return r;
        names_queries_init(names);
        names_streams_init(names);
        loop_source_init(&names->datagrams, names_on_datagram);
        loop_source_init(&names->streams, names_on_connection);
        r = loop_add(&names->loop, &names->datagrams, datagram_fd, EPOLLIN);
        if (r == 0)
                r = loop_add(&names->loop, &names->streams, stream_fd, EPOLLIN);
        return r < 0 ? r : loop_run(&names->loop);
}

static int confine(struct err *err)
{
        const struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096}, none = {0};
        struct sock_filter instructions[FILTER_CHILD_MAX];
        struct sock_fprog program;
        int r;

        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)setrlimit(RLIMIT_CORE, &none);
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return err_errno(err, -errno, "giving up privileges");
        r = filter_install(err);
        if (r < 0)
                return r;
        filter_make_child_program(instructions, &program);
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
                       ? err_errno(err, -errno, "installing the system call filter")
                       : 0;
}

/* What else the parent has open is not its business. */
static int keep_two(int datagram_fd, int stream_fd)
{
        int first = fcntl(datagram_fd, F_DUPFD_CLOEXEC, OWN_FDS_END);
        int second = fcntl(stream_fd, F_DUPFD_CLOEXEC, OWN_FDS_END);

        if (first < 0 || second < 0 || dup3(first, DATAGRAM_FD, O_CLOEXEC) < 0 ||
            dup3(second, STREAM_FD, O_CLOEXEC) < 0 || close_range(OWN_FDS_END, ~0u, 0) < 0)
                return -errno;
        return 0;
}

static void run(int datagram_fd, int stream_fd)
{
        struct err err = {0};
        sigset_t none;
        int r;

        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)prctl(PR_SET_NAME, "magpie-names");
        r = keep_two(datagram_fd, stream_fd);
        if (r < 0)
                (void)err_errno(&err, r, "taking its sockets");
        if (r < 0 || confine(&err) < 0) {
                log_error("passing on the queries of sandboxes: %s", err.text);
                _exit(1);
        }
        r = serve(DATAGRAM_FD, STREAM_FD);
        log_error("passing on the queries of sandboxes: %s", strerror(-r));
        _exit(1);
}

pid_t egress_names_start(int datagram_fd, int stream_fd)
{
        pid_t pid = fork();

        if (pid == 0)
                run(datagram_fd, stream_fd);
        return pid < 0 ? -errno : pid;
}
