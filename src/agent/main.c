/* magpie-agent: the only code of magpie that runs as root.
 *
 * Theory of operation
 *
 * The supervisor starts the agent with a control socket on descriptor 3. Every message on it brings
 * one descriptor: the connection of a gateway (gateway.c), on which there are three requests -
 * greet, make a sandbox, end a sandbox - checked by wire/agent_protocol.c as if an enemy had sent
 * them. The answer to SPAWN is a handful of descriptors, so that afterwards gateway and function
 * talk without the agent.
 *
 * At the start (spawn.c, spawner_init) the agent finds its control group hierarchies
 * (cgroup_layout.c) and kills what an earlier life left in them; compiles the system call filter
 * (filter.c); builds the sandboxes' root file system in a mount namespace, the template
 * (template.c, rootfs.c); and leaves the host's file system for good.
 *
 * Sandboxes are made ahead of need where that can be known (stock.c): parked without a function, and
 * assigned to one on request (assign.c). For Python's and Node's there is one process besides, a nursery
 * (nursery.c), which forks interpreters into them; and what the first instance of a function has
 * imported or compiled, the others begin with (heirlooms.c).
 *
 * A sandbox is made in two halves. The parent (spawn.c) takes a slot, which stands for a control
 * group and a host user and keeps what can be used again (slots.c), makes what is missing of the
 * groups, the socket and the log pipe, and clones. The child (child.c) takes its own copy of the
 * template, mounts what is private, gives up every privilege and executes magpie-init. The parent
 * sleeps meanwhile (CLONE_VFORK), so the two halves can share a struct, and a failed step comes back
 * as a sentence.
 *
 * A sandbox is watched (instance.c) by a pidfd in the one epoll loop. When its first process has
 * died, its v2 group is removed as soon as the kernel says that it is empty, and EXITED goes out.
 * Who runs out of memory is ended as a whole by the kernel, or, under v1, by us (oom.c).
 *
 * Who dies when: a gateway's connection ends - its sandboxes are killed. The control socket ends,
 * or SIGTERM - all are killed, and the agent ends when the last one is gone. The agent is killed -
 * the kernel kills each sandbox's first process (PR_SET_PDEATHSIG) and with it all others; the next
 * agent removes the groups.
 */
#include "agent/agent.h"
#include "agent/gateway.h"
#include "base/auto.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define CONTROL_FD 3
#define EXIT_USAGE 2

struct settings {
        const char *data_dir;
        size_t stock_most;
        struct egress_settings egress; /* its ranges are those below */
        struct named_range ranges[NAMED_RANGES_MAX];
};

#ifdef __SANITIZE_ADDRESS__
/* LeakSanitizer reads /proc, which the agent has left behind. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
        return "detect_leaks=0";
}
#endif

struct list *agent_bucket(struct agent *agent, uint64_t id)
{
        return &agent->by_id[hash_mix(id, 0x9e3779b97f4a7c15ull) % AGENT_BUCKETS];
}

struct instance *agent_find_instance(struct agent *agent, const struct gateway *gateway,
                                     uint64_t id)
{
        struct instance *instance;

        LIST_FOR_EACH (instance, agent_bucket(agent, id), by_id)
                if (instance->id == id && instance->gateway == gateway)
                        return instance;
        return NULL;
}

void agent_check_end(struct agent *agent)
{
        if (agent->ending && list_is_empty(&agent->instances) && list_is_empty(&agent->gateways))
                loop_stop(&agent->loop);
}

/* No gateway any more, so no sandbox either. */
static void agent_end(struct agent *agent)
{
        struct gateway *gateway, *after;

        agent->ending = true;
        loop_remove(&agent->loop, &agent->control);
        stock_close(&agent->stock);
        nursery_close(&agent->python_nursery);
        nursery_close(&agent->node_nursery);
        heirlooms_close(&agent->heirlooms);
        LIST_FOR_EACH_SAFE (gateway, after, &agent->gateways, link)
                gateway_end(gateway, NULL);
        agent_check_end(agent);
}

/* Receives one descriptor. It, or -1: the message brought none; -EPIPE: the end; -EAGAIN. */
static int receive_descriptor(int socket_fd)
{
        char byte;
        struct iovec part = {.iov_base = &byte, .iov_len = 1};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr message = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        ssize_t length = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        struct cmsghdr *header;
        int fd;

        if (length < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        header = CMSG_FIRSTHDR(&message);
        if (!header)
                return length == 0 ? -EPIPE : -EBADMSG;
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
            header->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EBADMSG;
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
}

static void on_control(struct loop_source *source, uint32_t events)
{
        struct agent *agent = CONTAINER_OF(source, struct agent, control);
        int r = receive_descriptor(CONTROL_FD);

        (void)events;
        if (r == -EAGAIN)
                return;
        if (r >= 0)
                r = gateway_accept(agent, r);
        else if (r == -EPIPE || r == -ECONNRESET)
                agent_end(agent);
        if (r < 0 && !agent->ending)
                log_warn("taking a gateway's connection: %s", strerror(-r));
}

static void on_signal(struct loop_source *source, uint32_t events)
{
        struct agent *agent = CONTAINER_OF(source, struct agent, signals);
        struct signalfd_siginfo info;

        (void)events;
        if (read(agent->signal_fd, &info, sizeof(info)) == sizeof(info))
                agent_end(agent);
}

/* What was ignored by whoever started us would be ignored by every function too, so all signals get
 * their default first. SIGINT is the supervisor's to interpret: the terminal sends it to the whole
 * process group. */
static int open_signals(struct agent *agent)
{
        sigset_t terminating;

        for (int number = 1; number < NSIG; number++)
                (void)signal(number, SIG_DFL); /* not all can be set */
        sigemptyset(&terminating);
        sigaddset(&terminating, SIGTERM);
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGINT, SIG_IGN) == SIG_ERR ||
            sigprocmask(SIG_BLOCK, &terminating, NULL) < 0)
                return -errno;
        agent->signal_fd = signalfd(-1, &terminating, SFD_CLOEXEC | SFD_NONBLOCK);
        return agent->signal_fd < 0 ? -errno : 0;
}

static int agent_init(struct agent *agent, struct settings *settings, struct err *err)
{
        int r;

        list_init(&agent->gateways);
        list_init(&agent->instances);
        for (size_t i = 0; i < AGENT_BUCKETS; i++)
                list_init(&agent->by_id[i]);
        loop_source_init(&agent->control, on_control);
        loop_source_init(&agent->signals, on_signal);
        settings->egress.ranges = settings->ranges;
        r = spawner_init(&agent->spawner, settings->data_dir, &settings->egress, err);
        if (r < 0)
                return r;
        r = open_signals(agent);
        if (r == 0)
                r = loop_init(&agent->loop);
        if (r == 0)
                r = loop_add(&agent->loop, &agent->signals, agent->signal_fd, EPOLLIN);
        if (r == 0)
                r = loop_add(&agent->loop, &agent->control, CONTROL_FD, EPOLLIN);
        if (r == 0)
                r = heirlooms_init(&agent->heirlooms, &agent->loop, &agent->spawner.template,
                                   agent->spawner.proc_fd);
        if (r == 0)
                r = egress_watch(&agent->spawner.egress, &agent->loop);
        if (r < 0)
                return err_errno(err, r, "preparing the event loop");
        nursery_init(&agent->python_nursery, agent, AGENT_RUNTIME_PYTHON3);
        nursery_init(&agent->node_nursery, agent, AGENT_RUNTIME_NODE);
        stock_init(&agent->stock, agent, settings->stock_most);
        return 0;
}

static void agent_deinit(struct agent *agent)
{
        spawner_deinit(&agent->spawner);
        loop_deinit(&agent->loop);
        fd_close(&agent->signal_fd);
}

static int parse_argument(int option, const char *text, struct settings *settings)
{
        struct egress_settings *egress = &settings->egress;
        char *end;

        switch (option) {
        case 'd':
                settings->data_dir = text;
                return 0;
        case 's':
                settings->stock_most = strtoul(text, &end, 10);
                return end == text || *end != '\0' || settings->stock_most > STOCK_MOST ? -EINVAL
                                                                                        : 0;
        case 'a':
                return address_range_parse(slice_of(text), &egress->addresses, NULL);
        case 'r':
                if (egress->range_count == NAMED_RANGES_MAX)
                        return -EINVAL;
                return named_range_parse(slice_of(text), &settings->ranges[egress->range_count++],
                                         NULL);
        default:
                return -EINVAL;
        }
}

static int parse_arguments(int argc, char **argv, struct settings *ret_settings)
{
        static const struct option options[] = {
                {"data-dir", required_argument, NULL, 'd'},
                {"stock", required_argument, NULL, 's'},
                {"egress-addresses", required_argument, NULL, 'a'},
                {"egress-range", required_argument, NULL, 'r'},
                {0},
        };
        struct settings settings = {.stock_most = STOCK_DEFAULT};
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
                if (parse_argument(option, optarg, &settings) < 0)
                        return -EINVAL;
        if (!settings.data_dir || optind != argc)
                return -EINVAL;
        *ret_settings = settings;
        return 0;
}

static bool has_control_socket(void)
{
        int type;
        socklen_t length = sizeof(type);

        return getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
               type == SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
        AUTO(memory_free) struct agent *agent = calloc(1, sizeof(*agent));
        struct settings settings;
        struct err err = {0};
        int r;

        log_setup("magpie-agent", LOG_INFO);
        if (parse_arguments(argc, argv, &settings) < 0) {
                log_error("usage: magpie-agent --data-dir DIR [--stock SANDBOXES] "
                          "[--egress-addresses RANGE] [--egress-range NAME=RANGE,...]...");
                return EXIT_USAGE;
        }
        if (!has_control_socket()) {
                log_error("descriptor 3 is no control socket; `magpie serve` starts the agent");
                return EXIT_USAGE;
        }
        if (!agent) {
                log_error("no memory to start");
                return EXIT_FAILURE;
        }
        r = agent_init(agent, &settings, &err);
        if (r < 0) {
                log_error("%s", err.text);
                return EXIT_FAILURE;
        }
        r = loop_run(&agent->loop);
        if (r < 0)
                log_error("waiting for events: %s", strerror(-r));
        agent_deinit(agent);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
