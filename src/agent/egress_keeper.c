/* The keeper's process; see egress_keeper.h. */
#include "agent/egress_keeper.h"

#include "agent/egress_keeper_parts.h"
#include "agent/egress_names.h"
#include "agent/netlink.h"
#include "base/auto.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define AGENT_FD 3
#define LOCK_WAIT_MS 5000
#define LOCK_TRY_MS 20
#define REVIEW_MS 5000
#define RESTART_PAUSE_MS 200

/* The keeper before, whose agent was killed, may still be undoing what it did. */
static int lock_folder(int lock_fd, struct err *err)
{
        for (int waited = 0; flock(lock_fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_TRY_MS) {
                if (errno != EWOULDBLOCK)
                        return err_errno(err, -errno, "locking outbound network");
                if (waited >= LOCK_WAIT_MS)
                        return err_set(err, -EBUSY,
                                       "what another node on this folder has made of outbound "
                                       "network is still there");
                (void)poll(NULL, 0, LOCK_TRY_MS);
        }
        return 0;
}

static int send_answer(const struct egress_keeper *keeper, const struct egress_answer *answer,
                       bool with_fds)
{
        const int fds[] = {keeper->namespace_fd, keeper->route_fd};
        struct iovec part = {.iov_base = (void *)(uintptr_t)answer, .iov_len = sizeof(*answer)};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(fds))];
        } control = {.header = {.cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(sizeof(fds))}};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        if (with_fds) {
                memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
        }
        return sendmsg(keeper->agent_fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int answer_open(struct egress_keeper *keeper)
{
        struct egress_answer answer = {.mtu = 0};

        if (!keeper->is_open && lock_folder(keeper->lock_fd, &answer.err) == 0) {
                egress_sweep(keeper);
                (void)egress_open(keeper, &answer.err);
        }
        answer.addresses = keeper->record.rules.addresses;
        answer.mtu = keeper->mtu;
        return send_answer(keeper, &answer, answer.err.code == 0);
}

static int answer_forget(struct egress_keeper *keeper, const struct egress_request *request)
{
        struct egress_answer answer = {.mtu = 0};

        (void)egress_forget_connections(keeper->record.rules.addresses, request->kept, &answer.err);
        return send_answer(keeper, &answer, false);
}

/* 0, or an error: the agent is gone. */
static int take_request(struct egress_keeper *keeper)
{
        struct egress_request request;
        ssize_t length = recv(keeper->agent_fd, &request, sizeof(request), 0);

        if (length < 0 && errno == EINTR)
                return 0;
        if (length != sizeof(request))
                return -EPIPE;
        if (request.type == EGRESS_OPEN)
                return answer_open(keeper);
        if (request.type == EGRESS_FORGET && keeper->is_open)
                return answer_forget(keeper, &request);
        return -EPROTO;
}

/* It is one small loop, but it is what names depend on. */
static void look_after_names(struct egress_keeper *keeper)
{
        if (keeper->names <= 0 || waitpid(keeper->names, NULL, WNOHANG) == 0)
                return;
        log_warn("what passes on the queries of sandboxes has ended; it is started again");
        (void)poll(NULL, 0, RESTART_PAUSE_MS);
        keeper->names = egress_names_start(keeper->datagram_fd, keeper->stream_fd);
}

static void keep(struct egress_keeper *keeper, int signal_fd)
{
        struct pollfd wanted[] = {{.fd = keeper->agent_fd, .events = POLLIN},
                                  {.fd = signal_fd, .events = POLLIN}};
        struct signalfd_siginfo info;

        for (;;) {
                bool guards = keeper->is_open && keeper->record.rules.guarded_count > 0;
                if (poll(wanted, 2, guards ? REVIEW_MS : -1) < 0 && errno != EINTR)
                        return;
                if (wanted[0].revents != 0 && take_request(keeper) < 0)
                        return;
                if (wanted[1].revents != 0 && read(signal_fd, &info, sizeof(info)) > 0)
                        look_after_names(keeper);
                egress_review(keeper);
        }
}

/* Whoever ends the node ends the agent, and that is what ends the keeper: a signal for all of them must
 * not. */
static int open_signals(void)
{
        sigset_t child, all;

        sigfillset(&all);
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || signal(SIGCHLD, SIG_DFL) == SIG_ERR)
                return -errno;
        return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void run(const struct egress_settings *settings, const char *data_dir, int agent_fd)
{
        struct egress_keeper keeper = {
                .settings = *settings,
                .agent_fd = AGENT_FD,
                .namespace_fd = -1,
                .route_fd = -1,
                .datagram_fd = -1,
                .stream_fd = -1,
        };
        struct err err = {0};
        int signal_fd;

        if (dup3(agent_fd, AGENT_FD, O_CLOEXEC) < 0 || close_range(AGENT_FD + 1, ~0u, 0) < 0)
                _exit(1);
        (void)prctl(PR_SET_NAME, "magpie-egress");
        (void)setpgid(0, 0);
        signal_fd = open_signals();
        keeper.lock_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        keeper.host_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        keeper.host_route_fd = netlink_open(NETLINK_ROUTE);
        if (signal_fd < 0 || keeper.lock_fd < 0 || keeper.host_fd < 0 || keeper.host_route_fd < 0)
                _exit(1);
        if (lock_folder(keeper.lock_fd, &err) == 0)
                egress_sweep(&keeper);
        keep(&keeper, signal_fd);
        egress_close(&keeper);
        _exit(0);
}

int egress_keeper_start(const struct egress_settings *settings, const char *data_dir,
                        struct err *err)
{
        AUTO(fd_close) int ours = -1;
        AUTO(fd_close) int theirs = -1;
        int pair[2], status;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return err_errno(err, -errno, "making a socket pair");
        ours = pair[0];
        theirs = pair[1];
        pid = fork();
        if (pid == 0) {
                /* Nobody's child: it outlives the agent, and is not to be waited for by it. */
                pid = fork();
                if (pid == 0)
                        run(settings, data_dir, theirs);
                _exit(pid < 0 ? 1 : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
                return err_errno(err, pid < 0 ? -errno : -ECHILD,
                                 "starting the keeper of outbound network");
        return fd_steal(&ours);
}
