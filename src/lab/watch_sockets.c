/* Sockets of the target's port by sock_diag(7), and what its network namespace has counted; see
 * watch_parts.h. */
#include "lab/watch_parts.h"

#include "base/auto.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STATES_ALL 0xfffu
#define STATE_BIT(state) (1u << (state))
#define COUNT_EVERY_NS NS_PER_S
#define COUNT_SHARE 50 /* counting takes at most a fiftieth of the time */
#define TEXT_SIZE 16384

/* May an address be bound here? Then it is this machine's. */
static bool is_local(const struct origin *origin)
{
        struct sockaddr_storage address = origin->address;
        AUTO(fd_close) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (address.ss_family == AF_INET)
                ((struct sockaddr_in *)(void *)&address)->sin_port = 0;
        else
                ((struct sockaddr_in6 *)(void *)&address)->sin6_port = 0;
        return fd >= 0 &&
               bind(fd, (struct sockaddr *)(void *)&address, origin->address_length) == 0;
}

static uint16_t port_of(const struct origin *origin)
{
        const void *address = &origin->address;

        return origin->address.ss_family == AF_INET
                       ? ntohs(((const struct sockaddr_in *)address)->sin_port)
                       : ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
}

void watched_sockets_init(struct watched_sockets *sockets, const struct watch_options *options)
{
        *sockets = (struct watched_sockets){.netlink_fd = -1,
                                            .is_local = is_local(options->origin),
                                            .port = port_of(options->origin),
                                            .backlog = NAN};
        for (int i = 0; i < SAMPLE_COUNT; i++)
                sockets->by_state[i] = NAN;
        if (options->pid > 0) {
                (void)snprintf(sockets->netstat, sizeof(sockets->netstat), "/proc/%d/net/netstat",
                               options->pid);
                (void)snprintf(sockets->device, sizeof(sockets->device), "/proc/%d/net/dev",
                               options->pid);
        } else if (sockets->is_local) {
                strcpy(sockets->netstat, "/proc/net/netstat");
                strcpy(sockets->device, "/proc/net/dev");
        }
        if (sockets->is_local)
                sockets->netlink_fd =
                        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

void watched_sockets_deinit(struct watched_sockets *sockets)
{
        fd_close(&sockets->netlink_fd);
}

static int ask(int fd, uint8_t family, uint32_t states)
{
        const struct {
                struct nlmsghdr head;
                struct inet_diag_req_v2 request;
        } message = {
                .head = {.nlmsg_len = sizeof(message),
                         .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                         .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                .request = {.sdiag_family = family,
                            .sdiag_protocol = IPPROTO_TCP,
                            .idiag_states = states},
        };

        return send(fd, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

static enum sample_figure figure_of(uint8_t state)
{
        switch (state) {
        case TCP_ESTABLISHED:
                return SAMPLE_ESTABLISHED;
        case TCP_SYN_RECV:
                return SAMPLE_SYN_RECEIVED;
        case TCP_CLOSE_WAIT:
                return SAMPLE_CLOSE_WAIT;
        case TCP_TIME_WAIT:
                return SAMPLE_TIME_WAIT;
        case TCP_LISTEN:
                return SAMPLE_ACCEPT_QUEUE;
        default:
                return SAMPLE_COUNT;
        }
}

static void note_socket(struct watched_sockets *sockets, const struct inet_diag_msg *socket,
                        double counts[SAMPLE_COUNT])
{
        enum sample_figure figure = figure_of(socket->idiag_state);

        if (ntohs(socket->id.idiag_sport) != sockets->port || figure == SAMPLE_COUNT)
                return;
        if (figure != SAMPLE_ACCEPT_QUEUE) {
                counts[figure]++;
                return;
        }
        /* Of a listening socket these are the queue's length and bound. Several may listen
         * (SO_REUSEPORT): the fullest one counts. */
        if (!isnan(sockets->backlog) && socket->idiag_rqueue < counts[figure])
                return;
        counts[figure] = socket->idiag_rqueue;
        sockets->backlog = socket->idiag_wqueue;
}

/* Reads answers up to the end of the dump. */
static int hear(struct watched_sockets *sockets, double counts[SAMPLE_COUNT])
{
        for (;;) {
                char bytes[32768] __attribute__((aligned(8)));
                ssize_t length = recv(sockets->netlink_fd, bytes, sizeof(bytes), 0);
                const struct nlmsghdr *head = (const void *)bytes;

                if (length < 0 && errno == EINTR)
                        continue;
                if (length <= 0)
                        return length < 0 ? -errno : -EIO;
                for (; NLMSG_OK(head, (size_t)length); head = NLMSG_NEXT(head, length)) {
                        if (head->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (head->nlmsg_type == NLMSG_ERROR)
                                return -EIO;
                        if (head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
                                note_socket(sockets, NLMSG_DATA(head), counts);
                }
        }
}

/* Both families: who listens at :: serves IPv4, too. */
static int count_sockets(struct watched_sockets *sockets, uint32_t states,
                         double counts[SAMPLE_COUNT])
{
        const uint8_t families[] = {AF_INET, AF_INET6};
        int r = 0;

        for (size_t i = 0; i < sizeof(families) && r == 0; i++) {
                r = ask(sockets->netlink_fd, families[i], states);
                if (r == 0)
                        r = hear(sockets, counts);
        }
        if (r < 0)
                fd_close(&sockets->netlink_fd); /* this kernel does not tell */
        return r;
}

static void count_by_state(struct watched_sockets *sockets, uint64_t now_ns)
{
        double counts[SAMPLE_COUNT] = {0};
        uint64_t took_ns;

        if (now_ns < sockets->count_again_ns)
                return;
        if (count_sockets(sockets, STATES_ALL & ~STATE_BIT(TCP_LISTEN), counts) == 0)
                memcpy(sockets->by_state, counts, sizeof(counts));
        took_ns = clock_now_ns() - now_ns;
        sockets->count_again_ns = now_ns + COUNT_EVERY_NS;
        if (took_ns * COUNT_SHARE > COUNT_EVERY_NS)
                sockets->count_again_ns = now_ns + took_ns * COUNT_SHARE;
}

/* A pair of lines, names and numbers: the number in the column of that name. */
static double column_of(const char *text, const char *group, const char *name)
{
        const char *names = strstr(text, group), *values;
        char *end;
        size_t length = strlen(name);
        double value;

        if (!names || !(values = strstr(names + 1, group)))
                return NAN;
        names += strlen(group);
        values += strlen(group);
        for (;;) {
                while (*names == ' ')
                        names++;
                value = strtod(values, &end);
                if (*names == '\n' || *names == '\0' || end == values)
                        return NAN;
                if (strncmp(names, name, length) == 0 &&
                    (names[length] == ' ' || names[length] == '\n'))
                        return value;
                names += strcspn(names, " \n");
                values = end;
        }
}

static void take_network(struct watched_sockets *sockets, double seconds,
                         double values[SAMPLE_COUNT])
{
        char text[TEXT_SIZE];
        double received = 0, sent = 0;

        if (watch_read(sockets->netstat, text, sizeof(text)) > 0)
                values[SAMPLE_OVERFLOWS] =
                        rate_of(&sockets->overflows, column_of(text, "TcpExt:", "ListenOverflows"),
                                seconds);
        if (watch_read(sockets->device, text, sizeof(text)) <= 0)
                return;
        /* "  eth0: BYTES PACKETS ... (8 columns) BYTES ..." */
        for (const char *at = strchr(text, ':'); at; at = strchr(at + 1, ':')) {
                double in, out;
                if (sscanf(at + 1, "%lf %*f %*f %*f %*f %*f %*f %*f %lf", &in, &out) != 2)
                        continue;
                received += in;
                sent += out;
        }
        values[SAMPLE_RECEIVED] = rate_of(&sockets->received, received, seconds);
        values[SAMPLE_SENT] = rate_of(&sockets->sent, sent, seconds);
}

void watched_sockets_take(struct watched_sockets *sockets, uint64_t now_ns, double seconds,
                          double values[SAMPLE_COUNT])
{
        double listening[SAMPLE_COUNT] = {0};

        if (sockets->netstat[0])
                take_network(sockets, seconds, values);
        if (sockets->netlink_fd >= 0)
                count_by_state(sockets, now_ns);
        if (sockets->netlink_fd < 0)
                return;
        for (int i = SAMPLE_ESTABLISHED; i <= SAMPLE_TIME_WAIT; i++)
                values[i] = sockets->by_state[i];
        if (count_sockets(sockets, STATE_BIT(TCP_LISTEN), listening) == 0 &&
            !isnan(sockets->backlog))
                values[SAMPLE_ACCEPT_QUEUE] = listening[SAMPLE_ACCEPT_QUEUE];
}
