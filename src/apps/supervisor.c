/* The supervisor; see supervisor.h.
 *
 * Theory of operation. It runs as root and does four things: it prepares the data folder, opens the
 * listening sockets (so that a restarted gateway finds them, with the clients that came meanwhile
 * in their backlogs), starts the two others, and waits. Each of them has a control socket to the
 * supervisor, on which it gets one end of a fresh socket pair whenever either of them was started:
 * so they meet. The end of a control socket tells each of them to end, whatever happens to the
 * supervisor.
 *
 * Where one of them ends that connection and lives on (the other said what it should not), nobody
 * would bring them together again. So the supervisor keeps a duplicate of the gateway's end, on
 * which it reads nothing; when it hangs up, the agent is started again, with a fresh pair.
 *
 * A lock on DATA-DIR/lock is held by whichever of the three is alive: a second node on the same
 * folder, or a new one while the old one is still dying, waits and then gives up.
 */
#include "apps/supervisor.h"

#include "apps/node.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/target.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL_FD 3 /* the agent's, by its contract */
#define BACKLOG 4096
#define LOCK_WAIT_MS 10000
#define RESTART_DELAY_MAX_MS 5000
#define HEALTHY_AFTER_MS 2000

enum child_kind { CHILD_AGENT, CHILD_GATEWAY, CHILD_COUNT };

struct child {
        pid_t pid;      /* 0: not running */
        int control_fd; /* our end */
        uint64_t started_ms, restart_at_ms;
        uint64_t delay_ms; /* before the next restart, when it dies young */
        bool was_healthy;
};

struct supervisor {
        struct serve_options *options;
        uid_t uid;
        gid_t gid;
        int lock_fd, signal_fd;
        int channel_fd; /* the gateway's end of the latest pair; -1 while one of the two is away */
        int listen_fds[ROUND_THREADS_MAX];
        struct child children[CHILD_COUNT];
        bool stopping;
        int exit_code;
};

static const char *const shared_folders[] = {"code", "staging", "images"};
static const char *const child_names[CHILD_COUNT] = {"agent", "gateway"};

static uint64_t now_ms(void)
{
        return clock_now_ns() / NS_PER_MS;
}

/* Preparing --------------------------------------------------------------------------------------- */

static int supervisor_find_user(struct supervisor *supervisor, struct err *err)
{
        const char *name = supervisor->options->user;
        const struct passwd *entry = getpwnam(name[0] ? name : "magpie");

        if (!entry && !name[0])
                entry = getpwnam("nobody");
        if (!entry)
                return err_set(err, -ENOENT, "there is no user '%s' on this machine", name);
        if (entry->pw_uid == 0)
                return err_set(err, -EINVAL,
                               "the gateway must not run as root: choose another --user");
        supervisor->uid = entry->pw_uid;
        supervisor->gid = entry->pw_gid;
        return 0;
}

static int make_folders(const char *path)
{
        char part[4096];

        for (const char *slash = path + 1;; slash++) {
                if (*slash != '/' && *slash != '\0')
                        continue;
                (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
                if (mkdir(part, 0755) < 0 && errno != EEXIST)
                        return -errno;
                if (*slash == '\0')
                        return 0;
        }
}

static int supervisor_prepare_folder(struct supervisor *supervisor, struct err *err)
{
        const char *folder = supervisor->options->data_dir;
        char path[4200];
        int r = make_folders(folder);

        if (r < 0)
                return err_errno(err, r, "making the data folder '%s'", folder);
        (void)snprintf(path, sizeof(path), "%s/lock", folder);
        /* Not close-on-exec: whoever of the three is alive holds the lock. */
        supervisor->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600); /* NOLINT */
        if (supervisor->lock_fd < 0)
                return err_errno(err, -errno, "opening '%s'", path);
        for (int waited = 0; flock(supervisor->lock_fd, LOCK_EX | LOCK_NB) < 0; waited += 20) {
                if (errno != EWOULDBLOCK)
                        return err_errno(err, -errno, "locking '%s'", path);
                if (waited >= LOCK_WAIT_MS)
                        return err_set(err, -EBUSY, "another node already serves '%s'", folder);
                (void)poll(NULL, 0, 20);
        }
        if (chown(folder, supervisor->uid, supervisor->gid) < 0)
                return err_errno(err, -errno, "giving '%s' to the gateway's user", folder);
        /* The gateway fills them, the agent reads them: they must be there for whoever is first. */
        for (size_t i = 0; i < sizeof(shared_folders) / sizeof(shared_folders[0]); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", folder, shared_folders[i]);
                if ((mkdir(path, 0755) < 0 && errno != EEXIST) ||
                    lchown(path, supervisor->uid, supervisor->gid) < 0)
                        return err_errno(err, -errno, "making the folder '%s'", path);
        }
        return 0;
}

static int open_listener(const struct addrinfo *address, bool shared, struct err *err)
{
        AUTO(fd_close)
        int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int yes = 1;

        if (fd < 0)
                return err_errno(err, -errno, "making a socket");
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (shared)
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
        if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 ||
            (shared && listen(fd, BACKLOG) < 0))
                return -errno;
        return fd_steal(&fd);
}

/* Port 0 is any: the next sockets, and whoever is told, need the one that the first one got. */
static int supervisor_learn_port(struct supervisor *supervisor, struct addrinfo *address)
{
        struct serve_options *options = supervisor->options;
        char *port = strrchr(options->listen, ':') + 1;

        if (getsockname(supervisor->listen_fds[0], address->ai_addr, &address->ai_addrlen) < 0)
                return -errno;
        if (getnameinfo(address->ai_addr, address->ai_addrlen, NULL, 0, options->port,
                        sizeof(options->port), NI_NUMERICSERV) != 0)
                return -EINVAL;
        (void)snprintf(port, sizeof(options->listen) - (size_t)(port - options->listen), "%s",
                       options->port);
        return 0;
}

static int supervisor_open_listeners(struct supervisor *supervisor, struct addrinfo *address,
                                     struct err *err)
{
        unsigned count = supervisor->options->gateway.thread_count;
        int r = 0;

        for (unsigned i = 0; i < count && r >= 0; i++) {
                r = supervisor->listen_fds[i] = open_listener(address, true, err);
                if (r >= 0 && i == 0)
                        r = supervisor_learn_port(supervisor, address);
        }
        return r;
}

/* One listening socket a thread, all on one address; the kernel spreads connections over them. */
static int supervisor_listen(struct supervisor *supervisor, struct err *err)
{
        const struct serve_options *options = supervisor->options;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
        int r = getaddrinfo(options->host[0] ? options->host : NULL, options->port, &hints, &found);

        if (r != 0)
                return err_set(err, -EINVAL, "listening on %s: %s", options->listen,
                               gai_strerror(r));
        /* SO_REUSEPORT would let two nodes share a port by accident: see first whether it is free. */
        r = open_listener(found, false, err);
        if (r >= 0) {
                (void)close(r);
                r = supervisor_open_listeners(supervisor, found, err);
        }
        freeaddrinfo(found);
        if (r == -EADDRINUSE)
                return err_set(err, r,
                               "%s is in use by another program; choose another with --listen",
                               options->listen);
        return r < 0 ? err_errno(err, r, "listening on %s", options->listen) : 0;
}

/* NODES_DIR/PORT leads to the data folder: so the command line of an administrator on this machine
 * finds the token. A convenience: where it cannot be made the node serves all the same. */
static void supervisor_show_folder(const struct supervisor *supervisor)
{
        const struct serve_options *options = supervisor->options;
        char path[64], fresh[96];

        (void)snprintf(path, sizeof(path), "%s/%s", NODES_DIR, options->port);
        (void)snprintf(fresh, sizeof(fresh), "%s.%ld", path, (long)getpid());
        (void)mkdir(NODES_DIR, 0755);
        if (symlink(options->data_dir, fresh) == 0 && rename(fresh, path) < 0)
                (void)unlink(fresh);
}

static void supervisor_hide_folder(const struct supervisor *supervisor)
{
        const struct serve_options *options = supervisor->options;
        char path[64], folder[4096];
        ssize_t length;

        (void)snprintf(path, sizeof(path), "%s/%s", NODES_DIR, options->port);
        length = readlink(path, folder, sizeof(folder));
        if (length > 0 && (size_t)length == strlen(options->data_dir) &&
            memcmp(folder, options->data_dir, (size_t)length) == 0)
                (void)unlink(path);
}

/* Starting ----------------------------------------------------------------------------------------- */

static void child_forget_signals(void)
{
        sigset_t none;

        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Ctrl-C on a terminal is for the supervisor, which ends the others in order. */
        (void)setpgid(0, 0);
}

#define AGENT_WORDS_MAX (8 + 2 * NAMED_RANGES_MAX)

static void agent_words(const struct serve_options *options, const char *ret_words[AGENT_WORDS_MAX])
{
        size_t count = 0;

        ret_words[count++] = "magpie-agent";
        ret_words[count++] = "--data-dir";
        ret_words[count++] = options->data_dir;
        if (!options->stock) {
                ret_words[count++] = "--stock";
                ret_words[count++] = "0";
        }
        if (options->egress_addresses[0]) {
                ret_words[count++] = "--egress-addresses";
                ret_words[count++] = options->egress_addresses;
        }
        for (size_t i = 0; i < options->range_count; i++) {
                ret_words[count++] = "--egress-range";
                ret_words[count++] = options->ranges[i];
        }
        ret_words[count] = NULL;
}

/* The agent stands beside this program, or where packages put it. */
static void exec_agent(const struct serve_options *options)
{
        char self[4096], path[4200];
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        const char *words[AGENT_WORDS_MAX];

        agent_words(options, words);
        if (length > 0) {
                const char *const places[] = {"", "/../agent", "/../libexec/magpie"};
                self[length] = '\0';
                (void)dirname(self);
                for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                        (void)snprintf(path, sizeof(path), "%s%s/magpie-agent", self, places[i]);
                        (void)execv(path, (char *const *)(uintptr_t)words);
                }
        }
        log_error("cannot start magpie-agent beside this program: %s", strerror(errno));
        _exit(127);
}

static void raise_descriptor_limit(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &files);
        }
}

/* The gateway's user must come as far as the data: the outermost folder that lets it not pass. */
static bool find_closed_folder(const char *path, char *ret_folder, size_t size)
{
        for (const char *slash = path + 1;; slash++) {
                if (*slash != '/' && *slash != '\0')
                        continue;
                (void)snprintf(ret_folder, size, "%.*s", (int)(slash - path), path);
                if (access(ret_folder, X_OK) < 0 && errno == EACCES)
                        return true;
                if (*slash == '\0')
                        return false;
        }
}

static void check_way_to_data(const struct supervisor *supervisor)
{
        const struct passwd *entry = getpwuid(supervisor->uid);
        char folder[4096];

        if (!find_closed_folder(supervisor->options->data_dir, folder, sizeof(folder)))
                return;
        log_error("the gateway runs as user %s, which may not enter '%s'; let it pass (chmod o+x "
                  "%s), or choose another --data-dir or --user",
                  entry ? entry->pw_name : "nobody", folder, folder);
        _exit(1);
}

static void become_gateway(struct supervisor *supervisor, int control_fd)
{
        sigset_t term;

        raise_descriptor_limit();
        for (size_t i = 0; i < CHILD_COUNT; i++)
                fd_close(&supervisor->children[i].control_fd);
        fd_close(&supervisor->signal_fd);
        fd_close(&supervisor->channel_fd);
        if (setgroups(0, NULL) < 0 ||
            setresgid(supervisor->gid, supervisor->gid, supervisor->gid) < 0 ||
            setresuid(supervisor->uid, supervisor->uid, supervisor->uid) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
                log_error("dropping privileges: %s", strerror(errno));
                _exit(1);
        }
        check_way_to_data(supervisor);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* setresuid has cleared it */
        /* Blocked before any thread exists, and read from a descriptor. */
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &term, NULL);
        _exit(node_run(supervisor->options, supervisor->listen_fds, control_fd));
}

/* Brings gateway and agent together: each gets one end of a fresh pair. */
static void supervisor_join(struct supervisor *supervisor)
{
        const int on = 1;
        int pair[2];

        for (size_t i = 0; i < CHILD_COUNT; i++)
                if (supervisor->children[i].pid == 0)
                        return;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                log_error("joining agent and gateway: %s", strerror(errno));
                return;
        }
        /* The gateway may greet before the agent has its end, and must be known then. */
        (void)setsockopt(pair[CHILD_AGENT], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
        for (size_t i = 0; i < CHILD_COUNT; i++) {
                char byte = 0, bytes[CMSG_SPACE(sizeof(int))] = {0};
                struct iovec part = {.iov_base = &byte, .iov_len = 1};
                struct msghdr message = {.msg_iov = &part,
                                         .msg_iovlen = 1,
                                         .msg_control = bytes,
                                         .msg_controllen = sizeof(bytes)};
                struct cmsghdr *control = CMSG_FIRSTHDR(&message);
                control->cmsg_level = SOL_SOCKET;
                control->cmsg_type = SCM_RIGHTS;
                control->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(control), &pair[i], sizeof(int));
                /* Where it fails that child is dead, and SIGCHLD on its way. */
                (void)sendmsg(supervisor->children[i].control_fd, &message, MSG_NOSIGNAL);
        }
        (void)close(pair[CHILD_AGENT]);
        fd_close(&supervisor->channel_fd);
        supervisor->channel_fd = pair[CHILD_GATEWAY];
}

static void supervisor_start(struct supervisor *supervisor, enum child_kind kind)
{
        struct child *child = &supervisor->children[kind];
        int pair[2];
        pid_t pid;

        child->restart_at_ms = 0;
        child->started_ms = now_ms();
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                log_error("starting the %s: %s", child_names[kind], strerror(errno));
                child->restart_at_ms = child->started_ms + RESTART_DELAY_MAX_MS;
                return;
        }
        pid = fork();
        if (pid == 0) {
                child_forget_signals();
                (void)close(pair[0]);
                if (kind == CHILD_GATEWAY)
                        become_gateway(supervisor, pair[1]);
                if (pair[1] != CONTROL_FD)
                        (void)dup2(pair[1], CONTROL_FD);
                else
                        (void)fcntl(CONTROL_FD, F_SETFD, 0);
                exec_agent(supervisor->options);
        }
        (void)close(pair[1]);
        if (pid < 0) {
                log_error("starting the %s: %s", child_names[kind], strerror(errno));
                (void)close(pair[0]);
                child->restart_at_ms = child->started_ms + RESTART_DELAY_MAX_MS;
                return;
        }
        child->pid = pid;
        child->control_fd = pair[0];
        supervisor_join(supervisor);
}

/* Watching ------------------------------------------------------------------------------------------ */

/* The gateway finishes what is under way and ends; then the agent sees the end of its control. */
static void supervisor_stop(struct supervisor *supervisor)
{
        pid_t gateway = supervisor->children[CHILD_GATEWAY].pid;

        if (supervisor->stopping) { /* asked twice: now */
                for (size_t i = 0; i < CHILD_COUNT; i++)
                        if (supervisor->children[i].pid > 0)
                                (void)kill(supervisor->children[i].pid, SIGKILL);
                return;
        }
        supervisor->stopping = true;
        /* The gateway closes its own: a client that comes now is refused, and does not wait. */
        for (unsigned i = 0; i < supervisor->options->gateway.thread_count; i++)
                fd_close(&supervisor->listen_fds[i]);
        if (gateway > 0)
                (void)kill(gateway, SIGTERM);
}

static void supervisor_child_died(struct supervisor *supervisor, enum child_kind kind, int status)
{
        struct child *child = &supervisor->children[kind];
        uint64_t now = now_ms();
        bool is_young = now - child->started_ms < HEALTHY_AFTER_MS;

        child->pid = 0;
        child->was_healthy = child->was_healthy || !is_young;
        fd_close(&child->control_fd);
        fd_close(&supervisor->channel_fd); /* so the agent sees that its gateway is gone */
        if (supervisor->stopping) {
                if (kind == CHILD_GATEWAY && supervisor->exit_code == 0)
                        supervisor->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
                return;
        }
        /* It said itself why it cannot run: starting it again would not help. */
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && !child->was_healthy &&
            child->delay_ms == 0) {
                supervisor_stop(supervisor);
                supervisor->exit_code = 1;
                return;
        }
        child->delay_ms = !is_young ? 0 : child->delay_ms == 0 ? 10 : child->delay_ms * 2;
        if (child->delay_ms > RESTART_DELAY_MAX_MS)
                child->delay_ms = RESTART_DELAY_MAX_MS;
        child->restart_at_ms = now + child->delay_ms;
        if (WIFSIGNALED(status))
                log_warn("the %s was ended by signal %d; starting it again", child_names[kind],
                         WTERMSIG(status));
        else
                log_warn("the %s ended with status %d; starting it again", child_names[kind],
                         WEXITSTATUS(status));
}

static void supervisor_reap(struct supervisor *supervisor)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (enum child_kind kind = 0; kind < CHILD_COUNT; kind++)
                        if (supervisor->children[kind].pid == pid)
                                supervisor_child_died(supervisor, kind, status);
}

static void supervisor_on_signals(struct supervisor *supervisor)
{
        struct signalfd_siginfo info;

        while (read(supervisor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                if (info.ssi_signo == SIGCHLD) {
                        supervisor_reap(supervisor);
                        continue;
                }
                if (!supervisor->stopping)
                        log_info("finishing the requests under way");
                supervisor_stop(supervisor);
        }
}

/* Where the agent is dead SIGCHLD is on its way, and killing it once more changes nothing. */
static void supervisor_on_parting(struct supervisor *supervisor)
{
        pid_t agent = supervisor->children[CHILD_AGENT].pid;

        log_warn("the connection between gateway and agent has ended");
        fd_close(&supervisor->channel_fd);
        if (agent > 0)
                (void)kill(agent, SIGKILL);
}

static int supervisor_timeout_ms(const struct supervisor *supervisor)
{
        uint64_t now = now_ms(), nearest = UINT64_MAX;

        for (size_t i = 0; i < CHILD_COUNT; i++)
                if (supervisor->children[i].restart_at_ms > 0 &&
                    supervisor->children[i].restart_at_ms < nearest)
                        nearest = supervisor->children[i].restart_at_ms;
        if (nearest == UINT64_MAX)
                return -1;
        return nearest > now ? (int)(nearest - now) : 0;
}

static void supervisor_watch(struct supervisor *supervisor)
{
        struct pollfd polls[] = {{.fd = supervisor->signal_fd, .events = POLLIN}, {.fd = -1}};

        for (;;) {
                struct child *agent = &supervisor->children[CHILD_AGENT];
                bool gateway_runs = supervisor->children[CHILD_GATEWAY].pid > 0;

                if (supervisor->stopping && !gateway_runs) {
                        fd_close(&agent->control_fd);
                        if (agent->pid == 0)
                                return;
                }
                polls[1] =
                        (struct pollfd){.fd = supervisor->stopping ? -1 : supervisor->channel_fd};
                (void)poll(polls, 2, supervisor->stopping ? -1 : supervisor_timeout_ms(supervisor));
                supervisor_on_signals(supervisor);
                if (polls[1].revents && supervisor->channel_fd >= 0 && !supervisor->stopping)
                        supervisor_on_parting(supervisor);
                for (enum child_kind kind = 0; kind < CHILD_COUNT && !supervisor->stopping; kind++)
                        if (supervisor->children[kind].restart_at_ms > 0 &&
                            supervisor->children[kind].restart_at_ms <= now_ms())
                                supervisor_start(supervisor, kind);
        }
}

int supervisor_run(struct serve_options *options)
{
        struct supervisor supervisor = {.options = options,
                                        .lock_fd = -1,
                                        .channel_fd = -1,
                                        .children = {{.control_fd = -1}, {.control_fd = -1}}};
        struct err err = {0};
        sigset_t signals;

        if (supervisor_find_user(&supervisor, &err) < 0 ||
            supervisor_prepare_folder(&supervisor, &err) < 0 ||
            supervisor_listen(&supervisor, &err) < 0) {
                log_error("%s", err.text);
                return 1;
        }
        sigemptyset(&signals);
        sigaddset(&signals, SIGCHLD);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        supervisor.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (supervisor.signal_fd < 0) {
                log_error("watching for signals: %s", strerror(errno));
                return 1;
        }
        supervisor_show_folder(&supervisor);
        supervisor_start(&supervisor, CHILD_AGENT);
        supervisor_start(&supervisor, CHILD_GATEWAY);
        supervisor_watch(&supervisor);
        supervisor_hide_folder(&supervisor);
        return supervisor.exit_code;
}
