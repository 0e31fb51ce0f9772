/* The composition root of the gateway's process: wiring, nothing else. */
#include "apps/node.h"

#include "adapters/agent_client/agent_client.h"
#include "adapters/archive/bundles_archive.h"
#include "adapters/images/images_disk.h"
#include "adapters/openssl/hmac.h"
#include "adapters/sodium/credentials_sodium.h"
#include "adapters/sqlite/registry_sqlite.h"
#include "base/auto.h"
#include "base/log.h"
#include "gateway/gateway_run.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define CREW_THREADS 2
#define CREW_WAITING_MAX 1024
#define IMAGE_CREW_THREADS 8 /* pulls at once; --pulls-max of them one user's */
#define IMAGE_CREW_WAITING_MAX 64
#define SECRET_BYTES 32

struct node {
        const struct serve_options *options;
        struct gateway gateway;
        struct agent_client agent;
        struct crew crew, image_crew;
        struct mac *mac;
        struct loop_source control, signals;
        int signal_fd;
        bool crew_runs, image_crew_runs, failed;
};

/* A message on the control socket carries the connection to a (new) agent. */
static void node_on_control(struct loop_source *source, uint32_t events)
{
        struct node *node = CONTAINER_OF(source, struct node, control);
        char byte, bytes[CMSG_SPACE(sizeof(int))];
        struct iovec part = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = bytes,
                                 .msg_controllen = sizeof(bytes)};
        ssize_t length = recvmsg(source->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *control;
        int fd;

        (void)events;
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (length <= 0) { /* the supervisor is gone, and the sandboxes with its agent */
                log_error("the supervisor is gone: ending");
                _exit(1);
        }
        control = CMSG_FIRSTHDR(&message);
        if (!control || control->cmsg_type != SCM_RIGHTS)
                return;
        memcpy(&fd, CMSG_DATA(control), sizeof(fd));
        agent_client_connect(&node->agent, fd);
}

static void node_on_signal(struct loop_source *source, uint32_t events)
{
        struct node *node = CONTAINER_OF(source, struct node, signals);
        struct signalfd_siginfo info;

        (void)events;
        if (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                gateway_drain(&node->gateway);
}

static void node_on_started(struct gateway *gateway, const char *problem)
{
        struct node *node = CONTAINER_OF(gateway, struct node, gateway);

        if (problem) {
                log_error("%s", problem);
                node->failed = true;
                gateway_drain(gateway);
                return;
        }
        gateway_accept(gateway);
        log_info("serving http://%s, data in %s", node->options->listen, node->options->data_dir);
}

/* DATA-DIR/secret signs the tokens: made at the first start. */
static int node_read_secret(const char *data_dir, uint8_t ret_secret[SECRET_BYTES], struct err *err)
{
        char path[4200];
        AUTO(fd_close) int fd = -1;

        (void)snprintf(path, sizeof(path), "%s/secret", data_dir);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                char fresh[4210];
                AUTO(fd_close) int made = -1;
                (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
                made = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                if (made < 0 || getrandom(ret_secret, SECRET_BYTES, 0) != SECRET_BYTES ||
                    write(made, ret_secret, SECRET_BYTES) != SECRET_BYTES || fsync(made) < 0 ||
                    rename(fresh, path) < 0)
                        return err_errno(err, -errno, "making '%s'", path);
                return 0;
        }
        if (fd < 0)
                return err_errno(err, -errno, "opening '%s'", path);
        if (read(fd, ret_secret, SECRET_BYTES) != SECRET_BYTES)
                return err_set(err, -EIO, "'%s' is damaged: it must hold %d bytes", path,
                               SECRET_BYTES);
        return 0;
}

static int node_open_ports(struct node *node, struct err *err)
{
        struct gateway *gateway = &node->gateway;
        const char *data_dir = node->options->data_dir;
        const struct bundle_limits limits = BUNDLE_LIMITS_DEFAULT;
        uint8_t secret[SECRET_BYTES];
        char database[4200];
        uint64_t seed;
        int r;

        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
                return err_errno(err, -errno, "asking for random bytes");
        r = node_read_secret(data_dir, secret, err);
        if (r < 0)
                return r;
        gateway->mac = node->mac = hmac_new(slice_make((const char *)secret, sizeof(secret)));
        explicit_bzero(secret, sizeof(secret));
        if (!gateway->mac)
                return err_set(err, -ENOMEM, "no memory for the key of tokens");
        r = credentials_sodium_open(&gateway->credentials);
        if (r < 0)
                return err_errno(err, r, "starting libsodium");
        r = bundles_archive_open(data_dir, &limits, &gateway->bundles, err);
        if (r < 0)
                return r;
        r = crew_init(&node->crew, CREW_THREADS, CREW_WAITING_MAX);
        if (r < 0)
                return err_errno(err, r, "starting threads");
        node->crew_runs = true;
        gateway->crew = &node->crew;
        r = images_disk_open(data_dir, &node->options->images, &gateway->images, err);
        if (r < 0)
                return r;
        r = crew_init(&node->image_crew, IMAGE_CREW_THREADS, IMAGE_CREW_WAITING_MAX);
        if (r < 0)
                return err_errno(err, r, "starting threads");
        node->image_crew_runs = true;
        gateway->image_crew = &node->image_crew;
        r = function_logs_init(&gateway->logs, data_dir, &node->crew);
        if (r < 0)
                return err_errno(err, r, "preparing the logs");
        (void)snprintf(database, sizeof(database), "%s/magpie.db", data_dir);
        return registry_sqlite_open(database, seed, &gateway->listener, &gateway->store, err);
}

static int node_open_loop(struct node *node, int control_fd, struct err *err)
{
        struct loop *loop = &node->gateway.threads[0].loop;
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        node->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (node->signal_fd < 0)
                return err_errno(err, -errno, "watching for signals");
        loop_source_init(&node->signals, node_on_signal);
        loop_source_init(&node->control, node_on_control);
        r = loop_add(loop, &node->signals, node->signal_fd, EPOLLIN);
        if (r == 0)
                r = loop_add(loop, &node->control, control_fd, EPOLLIN);
        if (r == 0)
                r = agent_client_init(&node->agent, loop, &node->gateway.scheduler.listener,
                                      &node->gateway.config.reach);
        if (r < 0)
                return err_errno(err, r, "preparing the event loop");
        node->gateway.scheduler.host = &node->agent.host;
        return 0;
}

static void node_close(struct node *node)
{
        registry_store_close(node->gateway.store);
        if (node->image_crew_runs)
                crew_deinit(&node->image_crew);
        if (node->crew_runs)
                crew_deinit(&node->crew);
        node->gateway.logs.crew = NULL;
        agent_client_deinit(&node->agent);
        gateway_deinit(&node->gateway);
        function_logs_deinit(&node->gateway.logs);
        bundles_archive_close(node->gateway.bundles);
        images_disk_close(node->gateway.images);
        credentials_sodium_close(node->gateway.credentials);
        hmac_free(node->mac);
        fd_close(&node->signal_fd);
}

int node_run(const struct serve_options *options, const int *listen_fds, int control_fd)
{
        static struct node node; /* large, one a process */
        struct err err = {0};
        int r;

        node.options = options;
        node.signal_fd = -1;
        /* An arena a thread would cost memory and bring nothing: threads here rarely allocate. */
        (void)mallopt(M_ARENA_MAX, 1);
        (void)setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive spells names in it */
        r = gateway_init(&node.gateway, &options->gateway, listen_fds);
        if (r < 0) {
                log_error("starting the gateway: %s", strerror(-r));
                return 1;
        }
        r = node_open_ports(&node, &err);
        if (r == 0)
                r = node_open_loop(&node, control_fd, &err);
        if (r < 0) {
                log_error("%s", err.text);
                return 1;
        }
        api_start(&node.gateway, node_on_started);
        r = gateway_run(&node.gateway);
        node_close(&node);
        return r < 0 || node.failed ? 1 : 0;
}
